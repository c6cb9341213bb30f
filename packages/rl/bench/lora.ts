// Low-rank adapters against full fine-tuning over seeds, in SFT and in GRPO, where full fine-tuning gains 40 points and more.
//
// `pnpm bench lora [--seeds 3] [--from 41] [--keep folder] [--device cuda] --json`: runs configs/pipelines/lora.yaml once a seed and
// reads what each checkpoint solves. The claim is an equivalence: adapters lie at most two points below, on the mean over seeds.
import { join } from "node:path";
import { atLeast, type BenchResult, describeMachine } from "@nsa/core";
import { argument, measureOnce, root } from "./support/command-line.ts";
import { differenceOverSeeds } from "./support/differences.ts";
import { claims, figuresOf, type Measured, runSeed } from "./support/pipeline-bench.ts";

const recipe = join(root, "configs/pipelines/lora.yaml");

/** Where each comparison starts, full fine-tuning, and adapters. */
const COMPARISONS = [
  { start: "base", full: "sft", lora: "sft-lora" },
  { start: "start", full: "grpo", lora: "grpo-lora" },
] as const;

/** What full fine-tuning must gain for the comparison to mean anything, and how far below adapters may lie. */
const GAIN = 0.4;
const MARGIN = 0.02;

type Seed = Readonly<Record<string, Measured>>;

/** pass@1 of a method in every seed; the pipeline asks one task. */
const passOf = (seeds: readonly Seed[], method: string) =>
  seeds.map((methods) => Object.values(methods[method]!.accuracy)[0]!.pass_at_1!);

function barsOf(seeds: readonly Seed[]): BenchResult["bars"] {
  return COMPARISONS.flatMap(({ start, full, lora }) => {
    const gains = passOf(seeds, full).map((pass, i) => pass - passOf(seeds, start)[i]!);
    const { mean } = differenceOverSeeds(passOf(seeds, full), passOf(seeds, lora));
    return [
      atLeast(`${full}: gain of full fine-tuning, least over seeds`, Math.min(...gains), GAIN),
      atLeast(`${lora} less ${full}, mean over seeds`, mean, -MARGIN),
    ];
  });
}

async function run(): Promise<BenchResult> {
  const first = argument("from", 41);
  const count = argument("seeds", 3);
  const seeds: Seed[] = [];
  let figures: BenchResult["figures"] = {};
  for (let seed = first; seed < first + count; seed++) {
    const { methods } = await measureOnce(`lora-${seed}`, () => runSeed(recipe, seed));
    seeds.push(methods);
    figures = { ...figures, ...figuresOf(seed, methods) };
  }
  const pairs = COMPARISONS.flatMap(({ start, full, lora }) => [
    [start, full] as const,
    [full, lora] as const,
  ]);
  return {
    name: "lora",
    machine: describeMachine(),
    figures: { ...figures, ...claims(seeds, pairs) },
    ratios: {},
    bars: [atLeast("seeds", count, 3), ...barsOf(seeds)],
  };
}

export default {
  name: "lora",
  about: "low-rank adapters against full fine-tuning in SFT and GRPO, over seeds, where that gains 40 points",
  run,
};
