// DeepSeekMath's unified view over seeds: every method of configs/pipelines/unified.yaml from one SFT checkpoint on one data set.
//
// `pnpm bench unified [--seeds 3] [--from 21] --json`: runs the pipeline once a seed, reads what each checkpoint solves (pass@1, greedy,
// maj@64, pass@64), how many tokens were sampled for it, and the trainer's peak memory beside the estimate of --dry-run. The pipeline
// decides which methods there are: each stage X that a stage ask-X measures.
import { mkdtempSync, readdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  atLeast,
  atMost,
  type BenchResult,
  describeMachine,
  loadConfig,
  readJsonl,
  readRunJson,
} from "@nsa/core";
import { z } from "zod";
import { argument, nsa, root } from "./support/command-line.ts";
import { differenceOverSeeds, verdictOn } from "./support/differences.ts";

const recipe = join(root, "configs/pipelines/unified.yaml");

const pipelineSchema = z.looseObject({
  stages: z.array(
    z.looseObject({ name: z.string(), stage: z.string(), set: z.array(z.string()).default([]) }),
  ),
});

type Stage = z.output<typeof pipelineSchema>["stages"][number];

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

/** Stages whose seed is that of the bench; the questions and data of crawls stay the same. */
const SEEDED = ["pretrain", "sft", "sample", "dpo", "grpo"];

interface Measured {
  /** By task: pass_at_1, greedy, maj_at_64, pass_at_64. */
  accuracy: Record<string, Record<string, number>>;
  sampledTokens: number;
  seconds: number;
  memoryPeak?: number;
  memoryEstimate?: number;
}

type Summary = {
  task: string;
  accuracy: { mean: number };
  greedy: { accuracy: { mean: number } };
  passAtK: Record<string, number>;
  majAtK: Record<string, number>;
};

/** Tokens of all outputs that a stage recorded. */
function sampledTokens(folder: string): number {
  return readJsonl<{ tokens?: number; ids?: number[]; question?: string }>(join(folder, "samples.jsonl"))
    .filter((row) => row.question !== undefined)
    .reduce((sum, { tokens, ids }) => sum + (tokens ?? ids?.length ?? 0), 0);
}

/** The largest figure of a metric in a run folder; undefined where there is none. */
function largest(folder: string, metric: string): number | undefined {
  const found = readJsonl<Record<string, number>>(join(folder, "metrics.jsonl")).flatMap(
    (row) => row[metric] ?? [],
  );
  return found.length > 0 ? Math.max(...found) : undefined;
}

/** What became of one method in the pipeline run of this folder. */
async function measure(run: string, method: Stage, stages: readonly Stage[]): Promise<Measured> {
  const folderOf = (name: string) => join(run, "stages", name);
  const folder = folderOf(method.name);
  const summaries = readRunJson(folderOf(`ask-${method.name}`), "summary.json") as unknown as Summary[];
  const accuracy = Object.fromEntries(
    summaries.map((s) => [
      s.task,
      {
        pass_at_1: s.accuracy.mean,
        greedy: s.greedy.accuracy.mean,
        maj_at_64: s.majAtK["64"]!,
        pass_at_64: s.passAtK["64"]!,
      },
    ]),
  );
  // Offline methods learn from what another stage has sampled. Kept outputs were chosen among all: those count.
  const [from] = method.set.flatMap((text) => /\{([\w-]+)\.samples\}/.exec(text)?.[1] ?? []);
  const sampler = from === undefined ? method : stages.find(({ name }) => name === from)!;
  const all = stages.find(
    ({ stage, set }) => stage === sampler.stage && !set.some((text) => text === "keep=correct"),
  )!;
  const [estimate] = await nsa(run, [method.stage, join(folder, "config.yaml"), "--dry-run"]);
  const { seconds } = readRunJson(folder, "timing.json") as { seconds: number };
  return {
    accuracy,
    sampledTokens: sampledTokens(folderOf(from === undefined ? method.name : all.name)),
    seconds,
    memoryPeak: largest(folder, "perf/memory_peak_bytes"),
    memoryEstimate: estimate!.memory_bytes as number,
  };
}

async function runSeed(seed: number): Promise<Map<string, Measured>> {
  const cwd = mkdtempSync(join(tmpdir(), "nsa-unified-"));
  const { stages } = loadConfig(pipelineSchema, recipe).config;
  const set = stages.filter(({ stage }) => SEEDED.includes(stage)).map(({ name }) => `${name}.seed=${seed}`);
  await nsa(cwd, ["pipeline", "run", recipe, ...set.flatMap((text) => ["--set", text])]);
  const run = join(cwd, "runs", readdirSync(join(cwd, "runs"))[0]!);
  const methods = stages.filter(({ name }) => stages.some((s) => s.name === `ask-${name}`));
  const measured = new Map<string, Measured>();
  for (const method of methods) measured.set(method.name, await measure(run, method, stages));
  return measured;
}

type Figures = BenchResult["figures"];

/** All figures of a seed, by method. */
function figuresOf(seed: number, methods: ReadonlyMap<string, Measured>): Figures {
  const figures: Figures = {};
  for (const [method, m] of methods) {
    const key = `seed_${seed}_${method.replaceAll("-", "_")}`;
    for (const [task, values] of Object.entries(m.accuracy))
      for (const [name, value] of Object.entries(values))
        figures[`${key}_${task.replaceAll("-", "_")}_${name}`] = value;
    figures[`${key}_sampled_tokens`] = m.sampledTokens;
    figures[`${key}_seconds`] = m.seconds;
    figures[`${key}_memory_peak_bytes`] = m.memoryPeak ?? null;
    figures[`${key}_memory_estimate_bytes`] = m.memoryEstimate ?? null;
  }
  return figures;
}

/** The paper's claims on each task's pass@1 as differences over seeds with their verdicts. */
function claims(seeds: readonly ReadonlyMap<string, Measured>[]): Figures {
  const figures: Figures = {};
  const finite = (x: number) => (Number.isFinite(x) ? x : null);
  for (const task of Object.keys(seeds[0]!.get("sft")!.accuracy)) {
    for (const [first, second] of CLAIMS) {
      const of = (method: string) => seeds.map((methods) => methods.get(method)!.accuracy[task]!.pass_at_1!);
      const difference = differenceOverSeeds(of(first), of(second));
      const key = `${second}_minus_${first}_${task}`.replaceAll("-", "_");
      figures[`${key}_pass_at_1`] = difference.mean;
      figures[`${key}_low`] = finite(difference.low);
      figures[`${key}_high`] = finite(difference.high);
      figures[`${key}_verdict`] = verdictOn(difference);
    }
  }
  return figures;
}

async function run(): Promise<BenchResult> {
  const first = argument("from", 21);
  const count = argument("seeds", 3);
  const seeds: Map<string, Measured>[] = [];
  let figures: Figures = {};
  for (let seed = first; seed < first + count; seed++) {
    const methods = await runSeed(seed);
    seeds.push(methods);
    figures = { ...figures, ...figuresOf(seed, methods) };
  }
  const trained = seeds.flatMap((methods) => [...methods.values()]);
  const off = trained.flatMap(({ memoryPeak, memoryEstimate }) =>
    memoryPeak && memoryEstimate ? [Math.abs(memoryEstimate / memoryPeak - 1)] : [],
  );
  // PPO holds a value model and its optimizer's state besides; printed as it is.
  const peak = (method: string) => seeds[0]!.get(method)?.memoryPeak ?? null;
  const [ppo, grpo] = [peak("ppo"), peak("grpo-outcome")];
  return {
    name: "unified",
    machine: describeMachine(),
    figures: { ...figures, ...claims(seeds) },
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
