// Task `read`: one input file to plain JSONL, with a duplicate key column and a quarantine of refused records.
import { writeWhole } from "@nsa/core";
import { contentKey, idKey, urlKey } from "../dedup/exact.ts";
import { KeySet } from "../dedup/key-set.ts";
import type { TaskIo } from "../jobs/task.ts";
import { readDocuments } from "../readers/read.ts";
import { JsonlWriter } from "../readers/write.ts";
import { TextLines } from "../text/lines.ts";
import { ByteColumn } from "./column.ts";

/** An id seen before in the file gets the record's place appended. spec: {maxRecordBytes}. Inputs: [file]. Outputs: [documents.jsonl, quarantine.jsonl, keys]. */
export async function readTask(io: TaskIo): Promise<Record<string, unknown>> {
  const documents = new JsonlWriter(io.outputs[0]!);
  const quarantine = new JsonlWriter(io.outputs[1]!);
  const keys = new ByteColumn();
  const ids = new KeySet();
  const words = new TextLines();
  let duplicateIds = 0;
  const reasons: Record<string, number> = {};
  const skipped: Record<string, number> = {};
  let chars = 0;
  const maxRecordBytes = io.spec.maxRecordBytes as number;
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
    if (!ids.add(idKey(document.id))) {
      duplicateIds++;
      document.id = `${document.id}#${document.source.file}:${document.source.offset}`;
    }
    documents.write(document);
    chars += document.text.length;
    const { bytes, at } = keys.extend(16);
    bytes.writeBigUInt64LE(urlKey(document.url), at);
    words.clear();
    words.addWords(document.text);
    bytes.writeBigUInt64LE(contentKey(words.bytes().subarray(0, -1)), at + 8);
  }
  documents.close();
  quarantine.close();
  writeWhole(io.outputs[2]!, keys.view());
  return {
    documents: documents.rows,
    refused: quarantine.rows,
    reasons,
    skipped,
    chars,
    duplicate_ids: duplicateIds,
  };
}
