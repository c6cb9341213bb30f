// A pipeline run once a seed as a bench: what each checkpoint that a stage ask-X measures can solve, tokens sampled for it, memory, and
// claims about differences between two of them.
import { existsSync, mkdtempSync, readdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { type BenchResult, loadConfig, readJsonl, readRunJson } from "@nsa/core";
import { z } from "zod";
import { nsa, textArgument } from "./command-line.ts";
import { differenceOverSeeds, verdictOn } from "./differences.ts";

const pipelineSchema = z.looseObject({
  stages: z.array(
    z.looseObject({ name: z.string(), stage: z.string(), set: z.array(z.string()).default([]) }),
  ),
});

type Stage = z.output<typeof pipelineSchema>["stages"][number];

/** Stages whose seed is that of the bench; the questions and data of crawls stay the same. */
const SEEDED = ["pretrain", "sft", "sample", "dpo", "grpo"];

export interface Measured {
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

/** A run of a pipeline with one seed: its folder, and what became of each method. */
export interface SeedRun {
  folder: string;
  methods: Record<string, Measured>;
}

/**
 * Runs the pipeline of this recipe with the seed in all its stages but crawls; its folder and its stages. With `--runs folder` a run that
 * lies there finished, as `<recipe>-<seed>`, is taken instead: one that was made on another machine.
 */
export async function runPipeline(recipe: string, seed: number): Promise<{ run: string; stages: Stage[] }> {
  const { stages } = loadConfig(pipelineSchema, recipe).config;
  const kept = join(textArgument("runs") ?? "", `${basename(recipe, ".yaml")}-${seed}`);
  if (existsSync(kept)) return { run: kept, stages };
  const cwd = mkdtempSync(join(tmpdir(), "nsa-pipeline-bench-"));
  const set = stages.filter(({ stage }) => SEEDED.includes(stage)).map(({ name }) => `${name}.seed=${seed}`);
  await nsa(cwd, ["pipeline", "run", recipe, ...set.flatMap((text) => ["--set", text])]);
  return { run: join(cwd, "runs", readdirSync(join(cwd, "runs"))[0]!), stages };
}

/** Runs the pipeline of this recipe with the seed, and measures what each stage X that a stage ask-X asks has become. */
export async function runSeed(recipe: string, seed: number): Promise<SeedRun> {
  const { run, stages } = await runPipeline(recipe, seed);
  const methods = stages.filter(({ name }) => stages.some((s) => s.name === `ask-${name}`));
  const measured: Record<string, Measured> = {};
  for (const method of methods) measured[method.name] = await measure(run, method, stages);
  return { folder: run, methods: measured };
}

type Figures = BenchResult["figures"];

/** All figures of a seed, by method. */
export function figuresOf(seed: number, methods: Readonly<Record<string, Measured>>): Figures {
  const figures: Figures = {};
  for (const [method, m] of Object.entries(methods)) {
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

/** Claims on each task's pass@1, that the second of two methods is better than the first, as differences over seeds with their verdicts. */
export function claims(
  seeds: readonly Readonly<Record<string, Measured>>[],
  pairs: readonly (readonly [string, string])[],
): Figures {
  const figures: Figures = {};
  const finite = (x: number) => (Number.isFinite(x) ? x : null);
  for (const task of Object.keys(Object.values(seeds[0]!)[0]!.accuracy)) {
    for (const [first, second] of pairs) {
      const of = (method: string) => seeds.map((methods) => methods[method]!.accuracy[task]!.pass_at_1!);
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
