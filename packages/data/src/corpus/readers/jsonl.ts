// JSONL (plain, .gz, .zst): one object a line with `text` (or `html`) and, if known, `id`, `url`, `domain`, `title`.
import { decodePage } from "../extract/charset.ts";
import { extractWithin } from "../extract/page.ts";
import { decodeUtf8 } from "../text/decode.ts";
import { type Source, splitLines } from "./bytes.ts";
import { type Document, domainOf, type ReadEvent, refuse } from "./document.ts";
import { parseRow } from "./numbers.ts";

/** The first of the fields that is not empty; bytes are decoded as text, or as a page. */
function field(row: Record<string, unknown>, names: string[], contentType = "text/plain"): string {
  for (const name of names) {
    const value = row[name];
    if (typeof value === "string" && value !== "") return value;
    if (typeof value === "number" || typeof value === "bigint") return String(value);
    if (value instanceof Uint8Array && value.length > 0) return decodePage(value, contentType);
  }
  return "";
}

/** A data set's row of a problem: what is asked, and the way to its answer. */
function problemOf(row: Record<string, unknown>): string {
  const asked = field(row, ["question", "problem"]);
  const solved = field(row, ["solution", "rationale"]);
  return asked === "" || solved === "" ? asked : `${asked}\n\n${solved}`;
}

/** One parsed row as a document, or why it is none. */
export async function documentOf(
  row: unknown,
  file: string,
  offset: number,
  ordinal: number,
): Promise<Document | { reason: string }> {
  if (row === null || typeof row !== "object" || Array.isArray(row)) return { reason: "not_an_object" };
  const fields = row as Record<string, unknown>;
  let text = field(fields, ["text", "content", "raw_content"]);
  let title = field(fields, ["title"]);
  if (text === "") {
    const html = field(fields, ["html"], "text/html");
    if (html === "") text = problemOf(fields);
    else {
      const extracted = await extractWithin(html);
      if ("reason" in extracted) return extracted;
      text = extracted.text;
      title ||= extracted.title;
    }
    if (text.trim() === "") return { reason: "no_text" };
  }
  const url = field(fields, ["url", "uri"]);
  return {
    id: field(fields, ["id"]) || `${file}:${ordinal}`,
    url,
    domain: field(fields, ["domain"]) || domainOf(url),
    title,
    text,
    source: { file, offset },
  };
}

export async function* readJsonl(source: Source, maxBytes: number): AsyncGenerator<ReadEvent> {
  const file = source.name;
  let ordinal = 0;
  for await (const { bytes, offset, tooLong, gap } of splitLines(source.parts(), maxBytes)) {
    if (gap) {
      yield refuse(file, offset, "stream_broken", `${gap.reason} (byte ${gap.at})`);
      continue;
    }
    if (tooLong !== undefined) {
      yield refuse(file, offset, "line_too_long", `${tooLong} bytes`);
      continue;
    }
    if (bytes.length === 0 || (bytes.length === 1 && bytes[0] === 13)) continue;
    let line: string;
    try {
      line = decodeUtf8(bytes);
    } catch {
      yield refuse(file, offset, "not_utf8", Buffer.from(bytes.subarray(0, 120)).toString("latin1"));
      continue;
    }
    let row: unknown;
    try {
      row = parseRow(line);
    } catch {
      yield refuse(file, offset, "not_json", line);
      continue;
    }
    const document = await documentOf(row, file, offset, ordinal++);
    yield "reason" in document ? refuse(file, offset, document.reason, line) : { document };
  }
}
