// Task `read`: one input file to plain JSONL, with a duplicate key column and a quarantine of refused records.
import { writeFileSync } from "node:fs";
import { contentKey, urlKey } from "../dedup/exact.ts";
import { wordsOf } from "../dedup/words.ts";
import type { TaskIo } from "../jobs/task.ts";
import { readDocuments } from "../readers/read.ts";
import { JsonlWriter } from "../readers/write.ts";

/** spec: {max_record_bytes}. Inputs: [file]. Outputs: [documents.jsonl, quarantine.jsonl, keys]. */
export async function readTask(io: TaskIo): Promise<Record<string, unknown>> {
  const documents = new JsonlWriter(io.outputs[0]!);
  const quarantine = new JsonlWriter(io.outputs[1]!);
  const keys: BigUint64Array[] = [];
  const reasons: Record<string, number> = {};
  const skipped: Record<string, number> = {};
  let chars = 0;
  const maxRecordBytes = io.spec.max_record_bytes as number;
  for await (const event of readDocuments(io.inputs[0]!, { maxRecordBytes })) {
    if ("refusal" in event) {
      quarantine.write(event.refusal);
      reasons[event.refusal.reason] = (reasons[event.refusal.reason] ?? 0) + 1;
      continue;
    }
    if ("skipped" in event) {
      skipped[event.skipped] = (skipped[event.skipped] ?? 0) + 1;
      continue;
    }
    const { document } = event;
    documents.write(document);
    chars += document.text.length;
    keys.push(BigUint64Array.of(urlKey(document.url), contentKey(wordsOf(document.text))));
  }
  documents.close();
  quarantine.close();
  writeFileSync(io.outputs[2]!, Buffer.concat(keys.map((k) => new Uint8Array(k.buffer))));
  return { documents: documents.rows, refused: quarantine.rows, reasons, skipped, chars };
}
