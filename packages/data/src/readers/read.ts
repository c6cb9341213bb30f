// Picks the reader of a file by its name, and turns a broken stream into a refusal that keeps what came before.
import { basename } from "node:path";
import { NsaError } from "@nsa/core";
import { type ReadEvent, refuse } from "./document.ts";
import { readJsonl } from "./jsonl.ts";

export type InputFormat = "jsonl";

export function formatOf(path: string): InputFormat {
  const name = basename(path)
    .toLowerCase()
    .replace(/\.(gz|zst)$/, "");
  if (/\.(jsonl|ndjson|json)$/.test(name)) return "jsonl";
  throw new NsaError({
    code: "input_format",
    what: `cannot tell the format of ${path}`,
    why: "its name ends in none of .jsonl(.gz|.zst)",
    fix: "rename the file",
    exitCode: 2,
  });
}

export interface ReadOptions {
  /** Longest record in bytes; longer ones are quarantined. */
  maxRecordBytes: number;
}

/** Streams documents and refusals of one file. */
export async function* readDocuments(path: string, options: ReadOptions): AsyncGenerator<ReadEvent> {
  const file = basename(path);
  formatOf(path);
  try {
    yield* readJsonl(path, file, options.maxRecordBytes);
  } catch (error) {
    if (error instanceof NsaError) throw error;
    yield refuse(file, -1, "stream_broken", String((error as Error).message));
  }
}
