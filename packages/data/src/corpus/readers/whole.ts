// Files that are one document: pages, plain texts, source code, TeX.
import { decodePage, looksBinary } from "../extract/charset.ts";
import { extractWithin } from "../extract/page.ts";
import type { Source } from "./bytes.ts";
import { isGenerated } from "./code.ts";
import { type ReadEvent, refuse } from "./document.ts";
import { Gap } from "./members.ts";

const strictUtf8 = new TextDecoder("utf-8", { fatal: true });

/** Text of a plain file: UTF-8, or UTF-16 with its mark. Unlike pages, files do not say what else they might be. */
function plainText(bytes: Buffer): { text: string } | { reason: "binary" | "not_utf8" } {
  const mark = bytes.subarray(0, 2).toString("hex");
  if (mark === "fffe" || mark === "feff") return { text: decodePage(bytes, "") };
  if (bytes.includes(0)) return { reason: "binary" };
  try {
    return { text: strictUtf8.decode(bytes) };
  } catch {
    return { reason: "not_utf8" };
  }
}

function pageText(bytes: Buffer): { text: string } | { reason: "binary" } {
  const text = decodePage(bytes, "");
  return looksBinary(text) ? { reason: "binary" } : { text };
}

/** Bytes of a file, and what of it was lost. */
export async function readContent(
  source: Source,
  maxBytes: number,
): Promise<{ content?: Buffer; refusals: ReadEvent[] }> {
  const refusals: ReadEvent[] = [];
  const parts: Uint8Array[] = [];
  let bytes = 0;
  for await (const part of source.parts()) {
    if (part instanceof Gap) {
      refusals.push(refuse(source.name, bytes, "stream_broken", `${part.reason} (byte ${part.at})`));
      continue;
    }
    bytes += part.length;
    if (bytes > maxBytes)
      return { refusals: [...refusals, refuse(source.name, 0, "record_too_long", source.name)] };
    parts.push(part);
  }
  return { content: Buffer.concat(parts), refusals };
}

/** A text, a page or a file of code is one document. */
export async function* readWhole(
  source: Source,
  kind: "html" | "text" | "code",
  maxBytes: number,
): AsyncGenerator<ReadEvent> {
  const file = source.name;
  const { content, refusals } = await readContent(source, maxBytes);
  yield* refusals;
  if (!content) return;
  const plain = kind === "html" ? pageText(content) : plainText(content);
  if ("reason" in plain) {
    yield refuse(file, 0, plain.reason, content.subarray(0, 120).toString("latin1"));
    return;
  }
  if (kind === "code" && isGenerated(plain.text)) {
    yield { skipped: "generated_code" };
    return;
  }
  const page = kind === "html" ? await extractWithin(plain.text) : { title: "", text: plain.text };
  if ("reason" in page) {
    yield refuse(file, 0, page.reason, plain.text);
    return;
  }
  const { title, text } = page;
  if (text.trim() === "") yield refuse(file, 0, "no_text", plain.text);
  else yield { document: { id: file, url: "", domain: "", title, text, source: { file, offset: 0 } } };
}
