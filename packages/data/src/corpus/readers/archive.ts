// Documents of WARC, WET and ARC files: HTML responses extracted, plain text taken as it is.
import { decodePage, looksBinary } from "../extract/charset.ts";
import { extractWithin } from "../extract/page.ts";
import type { Source } from "./bytes.ts";
import { type Document, domainOf, type ReadEvent, refuse } from "./document.ts";
import { parseHttp } from "./http.ts";
import { type ArchiveRecord, readArchive } from "./warc.ts";

async function page(
  record: ArchiveRecord,
  file: string,
  body: Uint8Array,
  contentType: string,
): Promise<Document | { skipped: string }> {
  if (record.url !== "" && !/^https?:/i.test(record.url)) return { skipped: "not_web" };
  const html =
    /html/i.test(contentType) || (contentType === "" && /^\s*</.test(decodePage(body.subarray(0, 64), "")));
  if (!html && !/^text\/plain/i.test(contentType)) return { skipped: "not_text" };
  const text = decodePage(body, contentType);
  if (looksBinary(text)) throw new Error("binary, no text");
  const extracted = html ? await extractWithin(text) : { title: "", text };
  if ("reason" in extracted) throw new Error(extracted.reason);
  if (extracted.text.trim() === "") return { skipped: "no_text" };
  return {
    id: record.id || `${file}:${record.offset}`,
    url: record.url,
    domain: domainOf(record.url),
    title: extracted.title,
    text: extracted.text,
    source: { file, offset: record.offset },
  };
}

async function documentOfRecord(
  record: ArchiveRecord,
  file: string,
  maxBytes: number,
): Promise<Document | { skipped: string }> {
  // Converted text is UTF-8 by definition, whatever it was before.
  if (record.type === "conversion" && !/html/i.test(record.contentType))
    return page(record, file, record.block, "text/plain; charset=utf-8");
  if (!/^application\/http/i.test(record.contentType))
    return page(record, file, record.block, record.contentType);
  const http = parseHttp(record.block, { cut: record.cut, most: maxBytes });
  if (!http) throw new Error("not an HTTP response");
  if (http.status !== 200) return { skipped: `http_${http.status}` };
  return page(record, file, http.body, http.headers.get("content-type") ?? "");
}

export async function* readArchiveDocuments(source: Source, maxBytes: number): AsyncGenerator<ReadEvent> {
  const file = source.name;
  for await (const event of readArchive(source.parts(), maxBytes)) {
    if ("broken" in event) {
      const { offset, reason, excerpt } = event.broken;
      yield refuse(file, offset, reason, excerpt);
      continue;
    }
    const { record } = event;
    try {
      const result = await documentOfRecord(record, file, maxBytes);
      yield "skipped" in result ? result : { document: result };
    } catch (error) {
      const reason = error instanceof RangeError ? "record_too_long" : "bad_body";
      yield refuse(file, record.offset, reason, `${record.url} ${(error as Error).message}`);
    }
  }
}
