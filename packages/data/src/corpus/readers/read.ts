// Picks the reader of a file by its name, and turns a broken stream into a refusal that keeps what came before.
import { NsaError } from "@nsa/core";
import { readArchiveDocuments } from "./archive.ts";
import { fileSource, type Source } from "./bytes.ts";
import { type ReadEvent, refuse } from "./document.ts";
import { formatOf } from "./formats.ts";
import { readJsonl } from "./jsonl.ts";
import { decodeTex } from "./latex.ts";
import { readParquet } from "./parquet.ts";
import { readTarball, texEvents } from "./tarball.ts";
import { readContent, readWhole } from "./whole.ts";

export interface ReadOptions {
  /** Longest record in bytes; longer ones are quarantined. */
  maxRecordBytes: number;
}

/** A TeX file that stands by itself; files that it includes are not looked for. */
async function* readTex(source: Source, maxBytes: number): AsyncGenerator<ReadEvent> {
  const { content, refusals } = await readContent(source, maxBytes);
  yield* refusals;
  if (!content) return;
  const raw = content.includes(0) ? undefined : decodeTex(content);
  if (raw === undefined) {
    yield refuse(source.name, 0, "binary", content.subarray(0, 120).toString("latin1"));
    return;
  }
  const events = [...texEvents(source.name, new Map([["", raw]]), maxBytes)];
  if (events.some((event) => "document" in event)) yield* events;
  else yield refuse(source.name, 0, "no_text", raw);
}

function reader(path: string, maxBytes: number): AsyncGenerator<ReadEvent> {
  const format = formatOf(path);
  const source = fileSource(path);
  switch (format) {
    case "jsonl":
      return readJsonl(source, maxBytes);
    case "archive":
      return readArchiveDocuments(source, maxBytes);
    case "parquet":
      return readParquet(path, source.name);
    case "tar":
      return readTarball(source, maxBytes);
    case "latex":
      return readTex(source, maxBytes);
    case "html":
    case "text":
    case "code":
      return readWhole(source, format, maxBytes);
  }
}

/**
 * Streams documents, refusals and skipped records of one file. A stream that breaks (truncated gzip, damaged Parquet)
 * gives the refusal `stream_broken`; what is sound before and after it is kept.
 */
export async function* readDocuments(path: string, options: ReadOptions): AsyncGenerator<ReadEvent> {
  try {
    yield* reader(path, options.maxRecordBytes);
  } catch (error) {
    if (error instanceof NsaError) throw error;
    yield refuse(fileSource(path).name, -1, "stream_broken", (error as Error).message);
  }
}
