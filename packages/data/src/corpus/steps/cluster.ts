// Step `cluster`: the verdicts that follow from the pairs of all bands.
import { readFileSync, writeFileSync } from "node:fs";
import { z } from "zod";
import { clusterMarks } from "../dedup/near.ts";
import { readU32 } from "../loop/column.ts";
import { DROP_NEAR } from "./exact.ts";
import { defineStep, type Stats, type StepIo } from "./step.ts";

const spec = z.strictObject({
  shards: z.number().int().min(0).describe("How many of the inputs are verdicts; the others are pairs."),
});

export const clusterStep = defineStep({
  kind: "cluster",
  spec,
  plan: (given: { set: string; kept: string[]; pairs: string[]; verdicts: string[] }) => [
    {
      name: given.set,
      spec: { shards: given.kept.length },
      inputs: [...given.kept, ...given.pairs],
      outputs: given.verdicts,
    },
  ],
  run: markNear,
});

/** Inputs: exact verdicts of each shard, pairs of each band. Outputs: verdicts of each shard. */
async function markNear(io: StepIo<z.infer<typeof spec>>): Promise<Stats> {
  const { shards } = io.spec;
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
