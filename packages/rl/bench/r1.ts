// DeepSeek-R1's pipeline over seeds: what each stage is on held-out questions, the price of one language, preferences, and distillation.
//
// `pnpm bench r1 [--seeds 3] [--from 61] [--keep folder] [--device cuda] --json`: runs configs/pipelines/r1.yaml once a seed. The figures of a
// stage are those of the stage ask-X that sampled its checkpoint; questions with a rule are pooled over their families.
import { join } from "node:path";
import { atLeast, type BenchResult, describeMachine, readJsonl } from "@nsa/core";
import type { SampleRow } from "../src/stages/sample/rows.ts";
import { argument, measureOnce, root } from "./support/command-line.ts";
import { differenceOverSeeds, verdictOn } from "./support/differences.ts";
import { runPipeline } from "./support/pipeline-bench.ts";

const recipe = join(root, "configs/pipelines/r1.yaml");

/** Means over a stage's held-out questions: with a rule, and with a judge. */
interface Asked {
  right: number;
  language: number;
  judge: number;
}

interface Seed {
  stages: Record<string, Asked>;
  pairAccuracy: number;
  coldStart: number;
  seconds: number;
}

/** The most accuracy that one language may cost. */
const PRICE = 0.02;

const mean = (xs: readonly number[]) => xs.reduce((a, b) => a + b, 0) / xs.length;

function askedOf(run: string, stage: string): Asked {
  const rows = readJsonl<SampleRow>(join(run, "stages", stage, "samples.jsonl")).filter(
    ({ ids }) => ids !== undefined,
  );
  const ruled = rows.filter(({ judge }) => judge === undefined);
  return {
    right: mean(ruled.map(({ verdict }) => (verdict === "right" ? 1 : 0))),
    language: mean(ruled.map(({ parts }) => parts.language!)),
    judge: mean(rows.flatMap(({ judge, parts }) => (judge === undefined ? [] : [parts.judge!]))),
  };
}

/** The last value of a metric in a stage's folder. */
const lastOf = (run: string, stage: string, metric: string) =>
  readJsonl<Record<string, number>>(join(run, "stages", stage, "metrics.jsonl"))
    .flatMap((row) => row[metric] ?? [])
    .at(-1)!;

async function measure(seed: number): Promise<Seed> {
  const from = performance.now();
  const { run, stages } = await runPipeline(recipe, seed);
  const asked = stages.map(({ name }) => name).filter((name) => name.startsWith("ask-"));
  return {
    stages: Object.fromEntries(asked.map((name) => [name.slice("ask-".length), askedOf(run, name)])),
    pairAccuracy: lastOf(run, "reward", "held_out/pair_accuracy"),
    coldStart: lastOf(run, "cold-samples", "sample/kept"),
    seconds: (performance.now() - from) / 1000,
  };
}

/** Differences over seeds, second less first: what, of which stages. */
const DIFFERENCES = [
  ["language", "zero", "zero-english"],
  ["right", "zero", "zero-english"],
  ["right", "base", "zero"],
  ["right", "cold", "reason"],
  ["judge", "sft", "all"],
  ["right", "sft", "all"],
  ["right", "small-rl", "small"],
] as const;

async function run(): Promise<BenchResult> {
  const first = argument("from", 61);
  const count = argument("seeds", 3);
  const figures: BenchResult["figures"] = {};
  const seeds: Seed[] = [];
  for (let seed = first; seed < first + count; seed++) {
    const measured = await measureOnce(`r1-${seed}`, () => measure(seed));
    seeds.push(measured);
    for (const [stage, asked] of Object.entries(measured.stages))
      for (const [name, value] of Object.entries(asked))
        figures[`seed_${seed}_${stage.replaceAll("-", "_")}_${name}`] = value;
    figures[`seed_${seed}_pair_accuracy`] = measured.pairAccuracy;
    figures[`seed_${seed}_cold_start_examples`] = measured.coldStart;
    figures[`seed_${seed}_seconds`] = measured.seconds;
  }
  const over = (what: keyof Asked, from: string, to: string) =>
    differenceOverSeeds(
      seeds.map(({ stages }) => stages[from]![what]),
      seeds.map(({ stages }) => stages[to]![what]),
    );
  for (const [what, from, to] of DIFFERENCES) {
    const difference = over(what, from, to);
    const key = `${to}_minus_${from}_${what}`.replaceAll("-", "_");
    figures[key] = difference.mean;
    figures[`${key}_low`] = Number.isFinite(difference.low) ? difference.low : null;
    figures[`${key}_high`] = Number.isFinite(difference.high) ? difference.high : null;
    figures[`${key}_verdict`] = verdictOn(difference);
  }
  return {
    name: "r1",
    machine: describeMachine(),
    figures,
    ratios: {},
    bars: [
      atLeast("seeds", count, 3),
      atLeast(
        "rise of language consistency by its reward, least over seeds",
        Math.min(...seeds.map(({ stages }) => stages["zero-english"]!.language - stages.zero!.language)),
        0.01,
      ),
      atLeast(
        "accuracy with it less without, mean over seeds",
        over("right", "zero", "zero-english").mean,
        -PRICE,
      ),
      atLeast(
        "distilled small model less RL on it, mean over seeds",
        over("right", "small-rl", "small").mean,
        0,
      ),
    ],
  };
}

export default {
  name: "r1",
  about:
    "DeepSeek-R1's pipeline over seeds: each stage on held-out questions, the price of one language, preferences, distillation against RL",
  run,
};
