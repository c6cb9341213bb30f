// Task `minhash`: signatures of a shard's documents, and its sorted run of every band.
import { closeSync, openSync, writeSync } from "node:fs";
import { bandHash, type MinhashOptions, minhashSignatures } from "../dedup/minhash.ts";
import { bandRun } from "../dedup/near.ts";
import type { TaskIo } from "../jobs/task.ts";
import type { Document } from "../readers/document.ts";
import { forEachJson } from "../readers/each.ts";
import { TextLines } from "../text/lines.ts";
import { ByteColumn } from "./column.ts";

const BATCH_BYTES = 1 << 22;

/** spec: {shingleWords, bands, rows, seed}. Inputs: [documents]. Outputs: [signatures, bands]. */
export async function minhashTask(io: TaskIo): Promise<Record<string, unknown>> {
  const { shingleWords, bands, rows, seed } = io.spec as Record<string, number>;
  const options: MinhashOptions = { shingleWords: shingleWords!, hashes: bands! * rows!, seed: seed! };
  const out = openSync(io.outputs[0]!, "w");
  const hashes = Array.from({ length: bands! }, () => new ByteColumn());
  const batch = new TextLines();
  let documents = 0;
  const flush = () => {
    const signatures = minhashSignatures(batch.bytes(), options);
    writeSync(out, new Uint8Array(signatures.buffer, signatures.byteOffset, signatures.byteLength));
    for (let d = 0; d < batch.count; d++)
      for (let b = 0; b < bands!; b++) {
        const { bytes, at } = hashes[b]!.extend(4);
        bytes.writeUInt32LE(bandHash(signatures, d * options.hashes + b * rows!, rows!), at);
      }
    documents += batch.count;
    batch.clear();
  };
  forEachJson<Document>(io.inputs[0]!, ({ text }) => {
    batch.addWords(text);
    if (batch.length > BATCH_BYTES) flush();
  });
  if (batch.count > 0) flush();
  closeSync(out);
  const bandsOut = openSync(io.outputs[1]!, "w");
  for (const column of hashes) {
    const bytes = column.view();
    const run = bandRun(
      new Uint32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length)),
    );
    writeSync(bandsOut, new Uint8Array(run.buffer));
  }
  closeSync(bandsOut);
  return { documents };
}
