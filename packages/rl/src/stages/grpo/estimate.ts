// What a GRPO run may cost at most: every output as long as it may be.
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
import { checkGrpo, type GrpoConfig } from "./config.ts";
import { withIterations } from "./iterations/plan.ts";
import { rolloutBytes } from "./rollout-bytes.ts";

/** Bytes a token of what a policy loss makes besides the head: columns, ratios, objectives and their gradients, measured. */
const LOSS_BYTES = 100;

/**
 * Weights, gradients and moments of a value model of its own. Where steps are captured (CUDA) its activations lie in memory apart, which
 * it holds between steps; else they come when the policy's are gone.
 */
function valueBytes(
  config: GrpoConfig,
  length: number,
  tokens: number,
  device: string | undefined,
  resize: Resize,
) {
  const { value, init, adapter, train } = config;
  if (!value || value.shared) return 0;
  const base = readModelConfig(value.init === "policy" ? init.checkpoint : value.init);
  const model = resize(resolveModelConfig({ ...base, head: "scalar", lora: loraOfRecipe(adapter, base) }));
  const { recompute, logitsBudgetMb, optimizer } = train;
  const settings = { recompute, logitsBudgetMb, optimizer, device, groups: [] };
  const size = { ...settings, steps: 1, microBatches: 1, microBatchTokens: tokens, seqLen: length };
  const bytes = estimateTraining(model, size);
  return bytes.memory_parameters_bytes! + (device === "cuda" ? bytes.memory_activations_bytes! : 0);
}

/**
 * Upper bounds from the recipe and the architecture of `init.checkpoint`.
 * FLOPs: sampling is one forward, the update recomputes π_old, and a reference, if there
 * is one, runs forward too; each of the μ inner epochs is a forward and a backward.
 */
export function estimateGrpo(
  recipe: GrpoConfig,
  device?: string,
  resize: Resize = sameSize,
): Record<string, number> {
  const config = withIterations(recipe);
  checkGrpo(config);
  const { rollout, algorithm } = config;
  const base = readModelConfig(config.init.checkpoint);
  const lora = loraOfRecipe(config.adapter, base);
  const model = resize(resolveModelConfig({ ...base, lora }));
  const prompt = promptLength(config, config.init.checkpoint);
  const length = Math.min(prompt.longest + rollout.maxTokens, model.maxSeqLen);
  const rounds = 1 + rollout.dynamicSamplingRounds;
  const samples = config.steps * rollout.questionsPerStep * rollout.groupSize * rounds;
  const asked = rollout.questionsPerStep * rollout.groupSize;
  // A step may fill less than a micro-batch.
  const microBatchTokens = Math.min(config.microBatchTokens, asked * length);
  const { recompute, logitsBudgetMb, optimizer, groups } = config.train;
  const size = { recompute, logitsBudgetMb, optimizer, groups, device, seqLen: length };
  // Prompts have no targets.
  const headRows = Math.ceil((microBatchTokens * rollout.maxTokens) / (prompt.mean + rollout.maxTokens));
  const update = estimateTraining(model, { ...size, steps: 1, microBatches: 1, microBatchTokens, headRows });
  const activations = update.memory_activations_bytes! + LOSS_BYTES * microBatchTokens;
  const asking = { questions: rollout.questionsPerStep, prompt: prompt.longest, length, device };
  const generation = rolloutBytes(model, config, asking);
  const forwards = algorithm.klCoef > 0 ? 3 : 2;
  const forward = trainFlops(model, length, INFERENCE_ONLY).actual;
  const training = trainFlops(model, length, config.train.groups).actual;
  const flops = samples * length * (forward * forwards + training * algorithm.innerEpochs);
  const reference = algorithm.klCoef > 0 && !lora ? weightBytes(model, INFERENCE_ONLY) : 0;
  const judges = config.rewards.flatMap(({ checkpoint, ensemble }) =>
    checkpoint ? [checkpoint, ...ensemble] : [],
  );
  const reward = judges.reduce((n, folder) => n + weightBytes(readModelConfig(folder), INFERENCE_ONLY), 0);
  const value = valueBytes(config, length, microBatchTokens, device, resize);
  return {
    parameters: update.parameters!,
    samples_at_most: samples,
    tokens_at_most: samples * length,
    flops,
    memory_parameters_bytes: update.memory_parameters_bytes!,
    memory_activations_bytes: activations,
    memory_cache_bytes: generation.cache,
    ...(reference > 0 ? { memory_reference_bytes: reference } : {}),
    ...(reward > 0 ? { memory_reward_bytes: reward } : {}),
    ...(value > 0 ? { memory_value_bytes: value } : {}),
    // The cache is freed before the update allocates its activations.
    memory_bytes:
      update.memory_parameters_bytes! + Math.max(activations, generation.total) + reference + reward + value,
  };
}
