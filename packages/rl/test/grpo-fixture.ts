// A tiny base model and runs of GRPO on it, for the tests of whole runs.
import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { openStageContext, parseConfig, type StageEvent, type StageResult } from "@nsa/core";
import { pretrainSchema, runPretrain } from "@nsa/train";
import { grpoSchema, runGrpo } from "../src/index.ts";

export interface StageRun {
  result: StageResult;
  dir: string;
  events: StageEvent[];
}

/** Runs a stage in `root/name`. */
export async function runStage<T>(
  root: string,
  name: string,
  run: (config: T, ctx: ReturnType<typeof openStageContext>) => Promise<StageResult>,
  config: T,
  options: {
    resumeFrom?: string;
    stopAt?: number;
    onStep?: (step: number) => void;
    abort?: AbortController;
  } = {},
): Promise<StageRun> {
  const dir = join(root, name);
  mkdirSync(join(dir, "checkpoints"), { recursive: true });
  const events: StageEvent[] = [];
  const { abort = new AbortController() } = options;
  const ctx = openStageContext({
    runDir: dir,
    device: "cpu",
    resumeFrom: options.resumeFrom,
    signal: abort.signal,
    onEvent: (e) => {
      events.push(e);
      if (e.type === "step") options.onStep?.(e.step);
      if (e.type === "step" && e.step === options.stopAt) abort.abort();
    },
  });
  const result = await run(config, ctx);
  await ctx.close();
  return { result, dir, events };
}

/** A base model that solves about a third of one-digit sums; its checkpoint folder. `more`: further sources of its texts. */
export async function makeBase(
  root: string,
  model: Record<string, unknown> = {},
  more: readonly Record<string, unknown>[] = [],
): Promise<string> {
  const config = parseConfig(
    pretrainSchema,
    {
      data: {
        sources: [
          { family: "addition", difficulty: 1, documents: 1500, template: "{question}=", right_share: 0.5 },
          ...more,
        ],
        vocab_size: 300,
      },
      model: {
        attention: "full",
        d_model: 48,
        num_layers: 2,
        num_heads: 2,
        num_kv_heads: 2,
        d_ff: 96,
        max_seq_len: 64,
        ...model,
      },
      train: {
        steps: 150,
        micro_batch_tokens: 512,
        seq_len: 48,
        optimizer: { lr: 5e-3 },
        eval_every: 0,
        save_every: 0,
      },
    } as never,
    "test",
  );
  return (await runStage(root, "base", runPretrain, config)).result.outputs.checkpoint!;
}

/** A GRPO recipe of a second a step. */
export function grpoRecipe(checkpoint: string, set: Record<string, unknown> = {}) {
  return parseConfig(
    grpoSchema,
    {
      steps: 6,
      init: { checkpoint },
      task: { family: "addition", difficulty: 1, template: "{question}=" },
      rollout: { questions_per_step: 6, group_size: 8, max_tokens: 24 },
      algorithm: { aggregation: "token_mean" },
      train: { optimizer: { lr: 1e-3, weight_decay: 0 }, schedule: { kind: "constant" } },
      evaluation: { questions: 8, samples: 8 },
      checkpoint: { every: 3 },
      ...set,
    } as never,
    "test",
  );
}

/** GRPO runs in one folder, from one base. */
export const grpoRuns = (root: string, base: () => string) => ({
  recipe: (set: Record<string, unknown> = {}) => grpoRecipe(base(), set),
  run: (
    name: string,
    set: Record<string, unknown> = {},
    options: { resumeFrom?: string; stopAt?: number; onStep?: (step: number) => void } = {},
  ) => runStage(root, name, runGrpo, grpoRecipe(base(), set), options),
});

export const weightsOf = (r: StageResult) => readFileSync(join(r.outputs.checkpoint!, "model.safetensors"));
export const stepMetrics = (events: readonly StageEvent[]) =>
  events.flatMap((e) => (e.type === "step" ? [e.metrics] : []));
export const warningsOf = (events: readonly StageEvent[]) =>
  events.flatMap((e) => (e.type === "log" && e.level === "warn" ? [e.text] : []));
