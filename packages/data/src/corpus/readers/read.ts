// Picks the reader of a file by its name, and turns a broken stream into a refusal that keeps what came before.
import { basename } from "node:path";
import { NsaError } from "@nsa/core";
import { decodePage, looksBinary } from "../extract/charset.ts";
import { extractWithin } from "../extract/page.ts";
import { readArchiveDocuments } from "./archive.ts";
import { readParts } from "./bytes.ts";
import { type ReadEvent, refuse } from "./document.ts";
import { readJsonl } from "./jsonl.ts";
import { Gap } from "./members.ts";
import { readParquet } from "./parquet.ts";

export type InputFormat = "jsonl" | "archive" | "parquet" | "html" | "text";

const FORMATS: [RegExp, InputFormat][] = [
  [/\.(jsonl|ndjson|json)$/, "jsonl"],
  [/\.(warc|wet|arc)$/, "archive"],
  [/\.parquet$/, "parquet"],
  [/\.(html?|xhtml)$/, "html"],
  [/\.(txt|text|md|tex)$/, "text"],
];

/** Format by name, compression suffix aside. Throws NsaError `input_format` (exit 2). */
export function formatOf(path: string): InputFormat {
  const name = basename(path)
    .toLowerCase()
    .replace(/\.(gz|zst)$/, "");
  for (const [pattern, format] of FORMATS) if (pattern.test(name)) return format;
  throw new NsaError({
    code: "input_format",
    what: `cannot tell the format of ${path}`,
    why: "its name ends in none of .jsonl .warc .wet .arc .parquet .html .txt (with .gz or .zst, but for Parquet)",
    fix: "rename the file",
    exitCode: 2,
  });
}

export interface ReadOptions {
  /** Longest record in bytes; longer ones are quarantined. */
  maxRecordBytes: number;
}

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

/** A text or HTML file is one document. */
async function* readWhole(
  path: string,
  file: string,
  html: boolean,
  maxBytes: number,
): AsyncGenerator<ReadEvent> {
  const parts: Uint8Array[] = [];
  let bytes = 0;
  for await (const part of readParts(path)) {
    if (part instanceof Gap) {
      yield refuse(file, bytes, "stream_broken", `${part.reason} (byte ${part.at})`);
      continue;
    }
    bytes += part.length;
    if (bytes > maxBytes) {
      yield refuse(file, 0, "record_too_long", file);
      return;
    }
    parts.push(part);
  }
  const content = Buffer.concat(parts);
  const plain = html ? pageText(content) : plainText(content);
  if ("reason" in plain) {
    yield refuse(file, 0, plain.reason, content.subarray(0, 120).toString("latin1"));
    return;
  }
  const page = html ? await extractWithin(plain.text) : { title: "", text: plain.text };
  if ("reason" in page) {
    yield refuse(file, 0, page.reason, plain.text);
    return;
  }
  const { title, text } = page;
  if (text.trim() === "") yield refuse(file, 0, "no_text", plain.text);
  else yield { document: { id: file, url: "", domain: "", title, text, source: { file, offset: 0 } } };
}

function reader(path: string, file: string, maxBytes: number): AsyncGenerator<ReadEvent> {
  switch (formatOf(path)) {
    case "jsonl":
      return readJsonl(path, file, maxBytes);
    case "archive":
      return readArchiveDocuments(path, file, maxBytes);
    case "parquet":
      return readParquet(path, file);
    case "html":
      return readWhole(path, file, true, maxBytes);
    case "text":
      return readWhole(path, file, false, maxBytes);
  }
}

/**
 * Streams documents, refusals and skipped records of one file. A stream that breaks (truncated gzip, damaged Parquet)
 * gives the refusal `stream_broken`; what is sound before and after it is kept.
 */
export async function* readDocuments(path: string, options: ReadOptions): AsyncGenerator<ReadEvent> {
  const file = basename(path);
  try {
    yield* reader(path, file, options.maxRecordBytes);
  } catch (error) {
    if (error instanceof NsaError) throw error;
    yield refuse(file, -1, "stream_broken", (error as Error).message);
  }
}
