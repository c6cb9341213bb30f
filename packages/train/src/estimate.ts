// What a training run will cost, by formulas from the architecture and the loop's settings.
import type { ModelConfig, ParameterGroup } from "@nsa/model";
import { largestStateShare, parameterCount, trainFlops, trainMemory } from "@nsa/model";
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
  /** Ranks of the run. Default 1. */
  world?: number | undefined;
  /** Where it will run; scratch memory differs. */
  device?: string;
}

/**
 * Parameters, tokens, FLOPs and bytes, under the names that `--dry-run` prints. Bytes are those of one rank, the one with the most masters and
 * moments where ranks share them out; all else counts for the whole run.
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
  const elsewhere = bytesElsewhere(model, size, memory.state);
  return {
    parameters: parameterCount(model),
    tokens,
    flops_per_token_palm: flops.palm,
    flops_per_token_actual: flops.actual,
    attention_read_share: flops.readShare,
    flops: flops.actual * tokens,
    memory_parameters_bytes: memory.parameters - elsewhere,
    memory_activations_bytes: memory.activations,
    memory_bytes: memory.total - elsewhere,
  };
}

/** Bytes of `state`, all masters and moments, that even the rank with the most of them leaves to others. As in the trainer, adapters are not shared out. */
function bytesElsewhere(
  model: ModelConfig,
  { shareState, world = 1, groups }: TrainingSize,
  state: number,
): number {
  if (world === 1 || !shareState || model.lora || !sharesBytes(shareState, state)) return 0;
  return Math.round(state * (1 - largestStateShare(model, groups, world)));
}
