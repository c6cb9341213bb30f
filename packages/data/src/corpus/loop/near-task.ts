// Tasks `near` and `cluster`: pairs of near duplicates band by band, then the verdicts that follow from all of them.

import { readFileSync, writeFileSync } from "node:fs";
import { writeWhole } from "@nsa/core";
import { bandPairs, clusterMarks, type NearOptions } from "../dedup/near.ts";
import type { TaskIo } from "../jobs/task.ts";
import { readU32 } from "./column.ts";
import { DROP_NEAR, KEEP } from "./exact-task.ts";

/**
 * spec: {band, bands, rows, threshold}. Inputs: exact verdicts, signatures and bands of each shard. Outputs: [pairs].
 * Pairs of a band, u32 × 2 each, by document number through all shards.
 */
export async function nearTask(io: TaskIo): Promise<Record<string, unknown>> {
  const { band, bands, rows, threshold } = io.spec as Record<string, number>;
  const shards = io.inputs.length / 3;
  const verdicts = io.inputs.slice(0, shards).map((path) => readFileSync(path));
  const files = verdicts.map((column, s) => ({
    signatures: io.inputs[shards + s]!,
    bands: io.inputs[2 * shards + s]!,
    documents: column.length,
  }));
  const ignore = Uint8Array.from(Buffer.concat(verdicts), (v) => (v === KEEP ? 0 : 1));
  const options: NearOptions = { bands: bands!, hashes: bands! * rows!, threshold: threshold! };
  const pairs = bandPairs(files, band!, options, ignore);
  writeWhole(io.outputs[0]!, new Uint8Array(pairs.buffer));
  return { pairs: pairs.length / 2 };
}

/** spec: {shards}. Inputs: exact verdicts of each shard, pairs of each band. Outputs: verdicts of each shard. */
export async function clusterTask(io: TaskIo): Promise<Record<string, unknown>> {
  const shards = io.spec.shards as number;
  const verdicts = io.inputs.slice(0, shards).map((path) => readFileSync(path));
  const documents = verdicts.reduce((n, column) => n + column.length, 0);
  const marks = clusterMarks(documents, io.inputs.slice(shards).map(readU32));
  let dropped = 0;
  let at = 0;
  verdicts.forEach((column, s) => {
    for (let i = 0; i < column.length; i++, at++) {
      if (marks[at] !== 1) continue;
      column[i] = DROP_NEAR;
      dropped++;
    }
    writeFileSync(io.outputs[s]!, column);
  });
  return { dropped_near: dropped };
}
