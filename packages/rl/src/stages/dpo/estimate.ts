// What a DPO run may cost at most: every output as long as it may be.
import { type Resize, sameSize } from "@nsa/core";
import {
  INFERENCE_ONLY,
  loraOfRecipe,
  readModelConfig,
  resolveModelConfig,
  trainFlops,
  weightBytes,
} from "@nsa/model";
import { estimateTraining } from "@nsa/train";
import { promptLength } from "../../task/prompt-length.ts";
import { rolloutBytes } from "../grpo/rollout-bytes.ts";
import { checkDpo, type DpoConfig } from "./config.ts";
import { referenceFolder } from "./reference.ts";

/** Longest prompt of an online run, and longest prompt and output, positions. */
function lengthsOf(config: DpoConfig, maxSeqLen: number): { prompt: number; length: number } {
  const { pairs, data, rollout, init } = config;
  const prompt = pairs === "offline" ? 0 : promptLength(config, init.checkpoint).longest;
  const wanted = pairs === "offline" ? data.maxLength : prompt + rollout.maxTokens;
  return { prompt, length: Math.min(wanted, maxSeqLen) };
}

/**
 * Upper bounds from the recipe and the architecture of `init.checkpoint`. FLOPs: a training step and the
 * reference's forward; online, each output is sampled by one forward.
 */
export function estimateDpo(
  config: DpoConfig,
  device?: string,
  resize: Resize = sameSize,
): Record<string, number> {
  checkDpo(config);
  const { train, rollout } = config;
  const online = config.pairs === "online";
  const { init } = config;
  const base = readModelConfig(init.checkpoint);
  const lora = loraOfRecipe(config.adapter, base);
  const model = resize(resolveModelConfig({ ...base, lora }));
  const { prompt, length } = lengthsOf(config, model.maxSeqLen);
  const pairs = online ? rollout.questionsPerStep : train.pairsPerStep;
  const { steps, recompute, logitsBudgetMb, optimizer, groups } = train;
  const size = { recompute, logitsBudgetMb, optimizer, groups, device, seqLen: length };
  // A pair is never cut, and a step may fill less than a micro-batch.
  const microBatchTokens = Math.min(Math.max(train.microBatchTokens, 2 * length), pairs * 2 * length);
  const update = estimateTraining(model, { ...size, steps: 1, microBatches: 1, microBatchTokens });
  const training = trainFlops(model, length, groups).actual;
  const forward = trainFlops(model, length, INFERENCE_ONLY).actual;
  const tokens = steps * pairs * 2 * length;
  const samples = online ? steps * pairs * rollout.groupSize * (1 + rollout.dynamicSamplingRounds) : 0;
  const generation = online
    ? rolloutBytes(model, config, { questions: pairs, prompt, length, device })
    : undefined;
  const folder = referenceFolder(config);
  const shared = lora !== undefined && folder === init.checkpoint;
  const other = () => (folder === init.checkpoint ? { ...model, lora: undefined } : readModelConfig(folder));
  const reference = shared ? 0 : weightBytes(other(), INFERENCE_ONLY);
  return {
    parameters: update.parameters!,
    pairs_at_most: steps * pairs,
    tokens_at_most: tokens,
    ...(online ? { samples_at_most: samples, sampled_tokens_at_most: samples * length } : {}),
    flops: (training + forward) * tokens + forward * samples * length,
    memory_parameters_bytes: update.memory_parameters_bytes!,
    memory_activations_bytes: update.memory_activations_bytes!,
    memory_reference_bytes: reference,
    ...(generation ? { memory_cache_bytes: generation.cache } : {}),
    // The cache is freed before the update allocates its activations.
    memory_bytes:
      update.memory_parameters_bytes! +
      reference +
      Math.max(update.memory_activations_bytes!, generation?.total ?? 0),
  };
}
