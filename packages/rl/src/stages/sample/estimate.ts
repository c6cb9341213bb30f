// What a run of `nsa sample` may cost at most: every output as long as it may be.

import { existsSync } from "node:fs";
import { type Resize, sameSize } from "@nsa/core";
import { expandInputs } from "@nsa/data";
import {
  generationBytes,
  INFERENCE_ONLY,
  parameterCount,
  readModelConfig,
  trainFlops,
  weightBytes,
} from "@nsa/model";
import { readRecords } from "@nsa/tasks";
import { stepEnds } from "../../rewards/step-rules.ts";
import { promptLength } from "../../task/prompt-length.ts";
import { FAMILY_QUESTIONS, HELD_OUT_SHARE, recordCount } from "../../task/size.ts";
import { checkSample, type SampleConfig } from "./config.ts";

/** Questions of the run, before those that cannot be asked are left out. */
function questions({ task, prompts }: SampleConfig): number {
  const records = recordCount(task);
  if (records === undefined) return prompts.questions ?? FAMILY_QUESTIONS;
  const share = task.files.length > 0 ? 1 : prompts.split === "train" ? 1 - HELD_OUT_SHARE : HELD_OUT_SHARE;
  return Math.min(prompts.questions ?? Number.POSITIVE_INFINITY, Math.ceil(records * share));
}

/** Roll-outs from the steps of the files that are there. */
function rolloutCount({ data, prompts }: SampleConfig): number {
  const found = data.files.filter((file) => file.includes("*") || existsSync(file));
  let starts = 0;
  for (const path of expandInputs(found))
    for (const { record } of readRecords(path)) {
      const { completion, steps } = record as { completion?: unknown; steps?: { end: number }[] };
      if (typeof completion === "string") starts += Math.max(0, stepEnds(completion, steps).length - 1);
    }
  return starts * prompts.rollouts;
}

/** Upper bounds from the recipe and the architecture of `init.checkpoint`. FLOPs: one forward, a third of a training step. */
export function estimateSample(
  config: SampleConfig,
  device?: string,
  resize: Resize = sameSize,
): Record<string, number> {
  checkSample(config);
  const { sampling, engine, init } = config;
  const model = resize(readModelConfig(init.checkpoint));
  const prompt = promptLength(config, init.checkpoint).longest;
  const length = prompt + sampling.maxTokens;
  const outputs = config.prompts.from === "steps" ? rolloutCount(config) : questions(config) * sampling.n;
  const n = config.prompts.from === "steps" ? config.prompts.rollouts : sampling.n;
  const calls = [{ prompts: Math.min(engine.questions, Math.ceil(outputs / n)), n }];
  const { maxSequences, cacheTokens, prefillTokens } = engine;
  const size = { calls, prompt, length, device, maxSequences, cacheTokens, prefillTokens };
  const generation = generationBytes(model, size);
  const weights = weightBytes(model, INFERENCE_ONLY);
  return {
    parameters: parameterCount(model),
    samples_at_most: outputs,
    tokens_at_most: outputs * length,
    flops: trainFlops(model, length, INFERENCE_ONLY).actual * outputs * length,
    memory_parameters_bytes: weights,
    memory_cache_bytes: generation.cache,
    memory_bytes: weights + generation.total,
  };
}
