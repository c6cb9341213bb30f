// DeepSeekMath's unified view over seeds: every method of configs/pipelines/unified.yaml from one SFT checkpoint on one data set.
//
// `pnpm bench unified [--seeds 3] [--from 21] [--keep folder] [--device cuda] --json`: runs the pipeline once a seed, reads what each checkpoint solves (pass@1, greedy,
// maj@64, pass@64), how many tokens were sampled for it, and the trainer's peak memory beside the estimate of --dry-run. The pipeline
// decides which methods there are: each stage X that a stage ask-X measures.
import { join } from "node:path";
import { atLeast, atMost, type BenchResult, describeMachine } from "@nsa/core";
import { argument, measureOnce, root } from "./support/command-line.ts";
import { claims, figuresOf, type Measured, runSeed } from "./support/pipeline-bench.ts";

const recipe = join(root, "configs/pipelines/unified.yaml");

/** Claims of the paper (§5.2.1 and figure 5) as differences of pass@1 that should be positive: second less first. */
const CLAIMS: readonly (readonly [string, string])[] = [
  ["sft", "rft"],
  ["sft", "dpo-offline"],
  ["sft", "grpo-outcome"],
  ["sft", "ppo"],
  ["rft", "online-rft"],
  ["dpo-offline", "dpo-online"],
  ["online-rft", "grpo-outcome"],
  ["grpo-outcome", "grpo-process"],
];

async function run(): Promise<BenchResult> {
  const first = argument("from", 21);
  const count = argument("seeds", 3);
  const seeds: Readonly<Record<string, Measured>>[] = [];
  let figures: BenchResult["figures"] = {};
  for (let seed = first; seed < first + count; seed++) {
    const { methods } = await measureOnce(`unified-${seed}`, () => runSeed(recipe, seed));
    seeds.push(methods);
    figures = { ...figures, ...figuresOf(seed, methods) };
  }
  const trained = seeds.flatMap((methods) => Object.values(methods));
  const off = trained.flatMap(({ memoryPeak, memoryEstimate }) =>
    memoryPeak && memoryEstimate ? [Math.abs(memoryEstimate / memoryPeak - 1)] : [],
  );
  // PPO holds a value model and its optimizer's state besides; printed as it is.
  const peak = (method: string) => seeds[0]![method]?.memoryPeak ?? null;
  const [ppo, grpo] = [peak("ppo"), peak("grpo-outcome")];
  return {
    name: "unified",
    machine: describeMachine(),
    figures: { ...figures, ...claims(seeds, CLAIMS) },
    ratios: { ppo_memory_over_grpo: ppo !== null && grpo !== null ? ppo / grpo : null },
    bars: [
      atLeast("seeds", count, 3),
      atMost("memory estimate against the arena's peak, largest relative error", Math.max(...off), 0.05),
    ],
  };
}

export default {
  name: "unified",
  about:
    "SFT, RFT, online RFT, DPO offline and online, PPO, GRPO by outcome and by process from one checkpoint, over seeds: accuracy, sampled tokens, memory",
  run,
};
