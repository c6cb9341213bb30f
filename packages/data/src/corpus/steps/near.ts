// Step `near`: pairs of near duplicates, band by band.
import { readFileSync } from "node:fs";
import { writeWhole } from "@nsa/core";
import { z } from "zod";
import { bandPairs, type NearOptions } from "../dedup/near.ts";
import { KEEP } from "./exact.ts";
import { defineStep, type Stats, type StepIo } from "./step.ts";

const spec = z.strictObject({
  band: z.number().int().min(0).describe("Number of the band."),
  bands: z.number().int().min(1).describe("Bands of the signature."),
  rows: z.number().int().min(1).describe("Values in a band."),
  threshold: z
    .number()
    .min(0)
    .max(1)
    .describe("Estimated Jaccard similarity from which pages are duplicates."),
});

export const nearStep = defineStep({
  kind: "near",
  spec,
  plan: (given: {
    set: string;
    options: Omit<z.infer<typeof spec>, "band">;
    /** Exact verdicts, signatures and bands of each shard. */
    inputs: string[];
    /** One file a band. */
    pairs: string[];
  }) =>
    given.pairs.map((path, band) => ({
      name: `${given.set}-band-${band}`,
      spec: { band, ...given.options },
      inputs: given.inputs,
      outputs: [path],
    })),
  run: pairBand,
});

/**
 * Inputs: exact verdicts, signatures and bands of each shard. Outputs: [pairs]. Pairs of a band, u32 × 2 each, by
 * document number through all shards.
 */
async function pairBand(io: StepIo<z.infer<typeof spec>>): Promise<Stats> {
  const { band, bands, rows, threshold } = io.spec;
  const shards = io.inputs.length / 3;
  const verdicts = io.inputs.slice(0, shards).map((path) => readFileSync(path));
  const files = verdicts.map((column, s) => ({
    signatures: io.inputs[shards + s]!,
    bands: io.inputs[2 * shards + s]!,
    documents: column.length,
  }));
  const ignore = Uint8Array.from(Buffer.concat(verdicts), (v) => (v === KEEP ? 0 : 1));
  const options: NearOptions = { bands, hashes: bands * rows, threshold };
  const pairs = bandPairs(files, band, options, ignore);
  writeWhole(io.outputs[0]!, new Uint8Array(pairs.buffer));
  return { pairs: pairs.length / 2 };
}
