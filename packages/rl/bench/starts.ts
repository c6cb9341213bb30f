// Where RL starts: GRPO from a base model, after SFT and after a cold start, with as many sampled outputs, over seeds.
//
// `pnpm bench starts [--seeds 3] [--from 41] [--keep folder] [--device cuda] --json`: runs configs/pipelines/starts.yaml once a seed and
// reads what each checkpoint solves before and after RL, the tokens sampled for it, and claims over seeds.
import { join } from "node:path";
import { atLeast, atMost, type BenchResult, describeMachine } from "@nsa/core";
import { argument, measureOnce, root } from "./support/command-line.ts";
import { claims, figuresOf, type Measured, runSeed } from "./support/pipeline-bench.ts";

const recipe = join(root, "configs/pipelines/starts.yaml");
const AFTER_RL = ["base-rl", "sft-rl", "cold-rl"];

/** Second over first in pass@1. */
const CLAIMS = [
  ["base", "base-rl"],
  ["sft", "sft-rl"],
  ["cold", "cold-rl"],
  ["base-rl", "sft-rl"],
  ["base-rl", "cold-rl"],
  ["sft-rl", "cold-rl"],
] as const;

/** Largest over smallest number of tokens sampled by the three runs of a seed, less 1. */
function spreadOfTokens(methods: Readonly<Record<string, Measured>>): number {
  const tokens = AFTER_RL.map((name) => methods[name]!.sampledTokens);
  return Math.max(...tokens) / Math.min(...tokens) - 1;
}

async function run(): Promise<BenchResult> {
  const [count, first] = [argument("seeds", 3), argument("from", 41)];
  const seeds: Readonly<Record<string, Measured>>[] = [];
  let figures: BenchResult["figures"] = {};
  for (let seed = first; seed < first + count; seed++) {
    const { methods } = await measureOnce(`starts-${seed}`, () => runSeed(recipe, seed));
    seeds.push(methods);
    figures = { ...figures, ...figuresOf(seed, methods) };
  }
  return {
    name: "starts",
    machine: describeMachine(),
    figures: { ...figures, ...claims(seeds, CLAIMS) },
    ratios: {},
    bars: [
      atLeast("seeds", count, 3),
      atMost("tokens sampled, largest over smallest, less 1", Math.max(...seeds.map(spreadOfTokens)), 0.1),
    ],
  };
}

export default {
  name: "starts",
  about: "GRPO from a base model, after SFT and after a cold start, with as many sampled outputs, over seeds",
  run,
};
