// Task `clean`: applies the duplicate verdicts and the length filter, and writes the shard's index columns.
import { readFileSync, writeFileSync } from "node:fs";
import type { TaskIo } from "../jobs/task.ts";
import type { Document } from "../readers/document.ts";
import { forEachJson } from "../readers/each.ts";
import { KEEP } from "./dedup-task.ts";
import { ShardWriter } from "./shards.ts";

/** spec: {min_chars, bytes_per_token}. Inputs: [documents, verdicts]. Outputs: [documents, rows, pages]. */
export async function cleanTask(io: TaskIo): Promise<Record<string, unknown>> {
  const verdicts = readFileSync(io.inputs[1]!);
  const [documents, rows, pages] = io.outputs as [string, string, string];
  const writer = new ShardWriter(documents, rows, pages, io.spec.bytes_per_token as number);
  const minChars = io.spec.min_chars as number;
  let short = 0;
  let duplicates = 0;
  forEachJson<Document>(io.inputs[0]!, (document, i) => {
    if (verdicts[i] !== KEEP) duplicates++;
    else if (document.text.length < minChars) short++;
    else writer.write(document);
  });
  writer.close(writeFileSync);
  return { documents: writer.documentsWritten, tokens: writer.tokens, duplicates, short };
}
