// What a GRPO run may cost at most: every output as long as it may be.
import { type Resize, sameSize } from "@nsa/core";
import {
  cacheBytesPerToken,
  INFERENCE_ONLY,
  loraOfRecipe,
  readModelConfig,
  resolveModelConfig,
  trainFlops,
  weightBytes,
} from "@nsa/model";
import { estimateTraining } from "@nsa/train";
import { checkGrpo, type GrpoConfig } from "./config.ts";
import { withIterations } from "./iterations/plan.ts";

/** Prompts are short beside outputs in the problem families; a file's may be longer. */
const PROMPT_TOKENS = 64;

/** Weights, gradients and moments of a value model of its own; its activations come when the policy's are gone. */
function valueBytes(config: GrpoConfig, policy: number, resize: Resize): number {
  const { value, init, adapter, train, microBatchTokens } = config;
  if (!value || value.shared) return 0;
  if (value.init === "policy" && !train.groups?.length) return policy;
  const from = value.init === "policy" ? init.checkpoint : value.init;
  const size = { ...train, steps: 1, microBatches: 1, microBatchTokens, seqLen: 1, groups: [] };
  const base = readModelConfig(from);
  const lora = loraOfRecipe(adapter, base);
  const model = resolveModelConfig({ ...base, head: "scalar", lora });
  return estimateTraining(resize(model), size).memory_parameters_bytes!;
}

/**
 * Upper bounds from the recipe and the architecture of `init.checkpoint`.
 * FLOPs: sampling is one forward, the update recomputes π_old, and a reference, if there
 * is one, runs forward too; each of the μ inner epochs is a forward and a backward.
 */
export function estimateGrpo(
  recipe: GrpoConfig,
  _device?: string,
  resize: Resize = sameSize,
): Record<string, number> {
  const config = withIterations(recipe);
  checkGrpo(config);
  const { rollout, algorithm } = config;
  const base = readModelConfig(config.init.checkpoint);
  const lora = loraOfRecipe(config.adapter, base);
  const model = resize(resolveModelConfig({ ...base, lora }));
  const length = PROMPT_TOKENS + rollout.maxTokens;
  const rounds = 1 + rollout.dynamicSamplingRounds;
  const samples = config.steps * rollout.questionsPerStep * rollout.groupSize * rounds;
  const update = estimateTraining(model, {
    steps: 1,
    microBatches: 1,
    microBatchTokens: config.microBatchTokens,
    seqLen: length,
    recompute: config.train.recompute,
    logitsBudgetMb: config.train.logitsBudgetMb,
    optimizer: config.train.optimizer,
    groups: config.train.groups,
  });
  const perToken = cacheBytesPerToken(model);
  const held = Math.min(rollout.cacheTokens, rollout.maxSequences * length);
  const forwards = algorithm.klCoef > 0 ? 3 : 2;
  const forward = trainFlops(model, length, INFERENCE_ONLY).actual;
  const training = trainFlops(model, length, config.train.groups).actual;
  const flops = samples * length * (forward * forwards + training * algorithm.innerEpochs);
  const reference = algorithm.klCoef > 0 && !lora ? weightBytes(model, INFERENCE_ONLY) : 0;
  const judges = config.rewards.flatMap(({ checkpoint, ensemble }) =>
    checkpoint ? [checkpoint, ...ensemble] : [],
  );
  const reward = judges.reduce((n, folder) => n + weightBytes(readModelConfig(folder), INFERENCE_ONLY), 0);
  const value = valueBytes(config, update.memory_parameters_bytes!, resize);
  return {
    parameters: update.parameters!,
    samples_at_most: samples,
    tokens_at_most: samples * length,
    flops,
    memory_parameters_bytes: update.memory_parameters_bytes!,
    memory_activations_bytes: update.memory_activations_bytes!,
    memory_cache_bytes: perToken * held,
    ...(reference > 0 ? { memory_reference_bytes: reference } : {}),
    ...(reward > 0 ? { memory_reward_bytes: reward } : {}),
    ...(value > 0 ? { memory_value_bytes: value } : {}),
    // The cache is freed before the update allocates its activations.
    memory_bytes:
      update.memory_parameters_bytes! +
      Math.max(update.memory_activations_bytes!, perToken * held) +
      reference +
      reward +
      value,
  };
}
