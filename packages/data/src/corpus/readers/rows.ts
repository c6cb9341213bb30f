// Plain rows of a JSONL file (labels, benchmarks) that must be whole: a bad row is an error, not a quarantine case.
import { NsaError } from "@nsa/core";
import { readBytes, splitLines } from "./bytes.ts";
import { parseRow } from "./numbers.ts";

export async function* readDocumentsRows(path: string): AsyncGenerator<Record<string, unknown>> {
  let number = 0;
  try {
    for await (const { bytes } of splitLines(readBytes(path), 1 << 28)) {
      number++;
      if (bytes.length > 0) yield parseRow(Buffer.from(bytes).toString("utf8")) as Record<string, unknown>;
    }
  } catch (cause) {
    const missing = (cause as NodeJS.ErrnoException).code === "ENOENT";
    throw new NsaError({
      code: "rows_bad",
      what: missing ? `no file ${path}` : `cannot read row ${number} of ${path}`,
      why: missing ? "it is not there" : (cause as Error).message,
      fix: missing ? "check the path" : "give a whole JSONL file",
      exitCode: 3,
      cause,
    });
  }
}
