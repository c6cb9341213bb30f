// What a training run will cost, by formulas from the architecture and the loop's settings.
import type { ModelConfig, ParameterGroup } from "@nsa/model";
import { parameterCount, trainFlops, trainMemory } from "@nsa/model";
import type { OptimizerConfig } from "./optim/config.ts";
import { stateBytesPerParameter } from "./optim/registry.ts";
import { sharesBytes } from "./optim/shared.ts";

export interface TrainingSize {
  steps: number;
  microBatches: number;
  /** Tokens of one forward and backward. */
  microBatchTokens: number;
  /** Longest document, tokens. */
  seqLen: number;
  recompute: boolean;
  logitsBudgetMb: number;
  optimizer?: OptimizerConfig;
  /** Tokens of a micro-batch that have a target. Default all. */
  headRows?: number | undefined;
  /** Frozen groups count with their weights alone. */
  groups?: readonly ParameterGroup[] | undefined;
  /** Whether ranks of it share out masters and moments; without it they do not. */
  shareState?: "auto" | "always" | "never";
  /** Where it will run; scratch memory differs. */
  device?: string;
}

/**
 * Parameters, tokens, FLOPs and bytes, under the names that `--dry-run` prints. `shareable_bytes`, where ranks would share them out: masters
 * and moments, which `memory_bytes` has whole.
 */
export function estimateTraining(model: ModelConfig, size: TrainingSize): Record<string, number> {
  const tokens = size.steps * size.microBatches * size.microBatchTokens;
  const flops = trainFlops(model, size.seqLen, size.groups);
  const memory = trainMemory(model, size.microBatchTokens, {
    recompute: size.recompute,
    optimizerBytesPerParameter: size.optimizer && stateBytesPerParameter(size.optimizer, size.groups),
    logitsBudgetBytes: size.logitsBudgetMb * 2 ** 20,
    device: size.device,
    groups: size.groups,
    headRows: size.headRows,
  });
  return {
    parameters: parameterCount(model),
    tokens,
    flops_per_token_palm: flops.palm,
    flops_per_token_actual: flops.actual,
    attention_read_share: flops.readShare,
    flops: flops.actual * tokens,
    memory_parameters_bytes: memory.parameters,
    memory_activations_bytes: memory.activations,
    memory_bytes: memory.total,
    ...(size.shareState && sharesBytes(size.shareState, memory.state)
      ? { shareable_bytes: memory.state }
      : {}),
  };
}
