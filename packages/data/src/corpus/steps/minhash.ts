// Step `minhash`: signatures of a shard's documents, and its sorted run of every band.
import { closeSync, openSync } from "node:fs";
import { writeFully } from "@nsa/core";
import { z } from "zod";
import { bandHash, finalise, type MinhashOptions, minhashSignatures } from "../dedup/minhash.ts";
import { bandRun } from "../dedup/near.ts";
import { ByteColumn } from "../loop/column.ts";
import type { Document } from "../readers/document.ts";
import { forEachJson } from "../readers/each.ts";
import { TextLines } from "../text/lines.ts";
import { defineStep, type Stats, type StepIo } from "./step.ts";

const BATCH_BYTES = 1 << 22;
/** Value of a signature without a shingle. */
const EMPTY = 0xffffffff;

const spec = z.strictObject({
  shingleWords: z.number().int().min(1).describe("Words in a shingle."),
  bands: z.number().int().min(1).describe("Bands of the signature."),
  rows: z.number().int().min(1).describe("Values in a band."),
  seed: z.number().int().min(0).describe("Seed of the hash functions."),
});

interface Shard {
  name: string;
  documents: string;
  signatures: string;
  bands: string;
}

export const minhashStep = defineStep({
  kind: "minhash",
  spec,
  plan: (given: { set: string; shards: Shard[]; options: z.infer<typeof spec> }) =>
    given.shards.map(({ name, documents, signatures, bands }) => ({
      name: `${given.set}-${name}`,
      spec: given.options,
      inputs: [documents],
      outputs: [signatures, bands],
    })),
  run: hashShard,
});

/** Inputs: [documents]. Outputs: [signatures, bands]. */
async function hashShard(io: StepIo<z.infer<typeof spec>>): Promise<Stats> {
  const { shingleWords, bands, rows, seed } = io.spec;
  const options: MinhashOptions = { shingleWords, hashes: bands * rows, seed };
  const out = openSync(io.outputs[0]!, "w");
  const hashes = Array.from({ length: bands }, () => new ByteColumn());
  const batch = new TextLines();
  let documents = 0;
  const flush = () => {
    const signatures = minhashSignatures(batch.bytes(), options);
    writeFully(out, new Uint8Array(signatures.buffer, signatures.byteOffset, signatures.byteLength));
    for (let d = 0; d < batch.count; d++)
      for (let b = 0; b < bands; b++) {
        const { bytes, at } = hashes[b]!.extend(4);
        const start = d * options.hashes;
        // Texts without a word are no copies of each other: each gets a hash of its own.
        const empty = signatures[start] === EMPTY && signatures[start + rows - 1] === EMPTY;
        const hash = empty ? finalise(documents + d) : bandHash(signatures, start + b * rows, rows);
        bytes.writeUInt32LE(hash, at);
      }
    documents += batch.count;
    batch.clear();
  };
  forEachJson<Document>(io.inputs[0]!, ({ text }) => {
    batch.addCompared(text);
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
    writeFully(bandsOut, new Uint8Array(run.buffer));
  }
  closeSync(bandsOut);
  return { documents };
}
