// How token losses become one number: a weight per token, fixed before the first micro-batch, so that splitting a step
// into micro-batches changes nothing.

/** `sequence_mean`: 1/|o_i| (GRPO); `token_mean`: 1 for every token (DAPO); `fixed_length`: 1/max_tokens (Dr. GRPO). */
export type Aggregation = "sequence_mean" | "token_mean" | "fixed_length";

/**
 * Weight of every token of each output; `keep[i]` false (truncated and masked) gives zeros and leaves the denominator
 * as well. Divide the weighted sum of token losses by {@link AggregationWeights.sum}.
 */
export interface AggregationWeights {
  weights: number[];
  sum: number;
}

export function aggregationWeights(
  lengths: readonly number[],
  kind: Aggregation,
  options: { maxTokens: number; keep?: readonly boolean[] },
): AggregationWeights {
  const kept = lengths.map((length, i) => (options.keep?.[i] ?? true) && length > 0);
  const count = kept.filter(Boolean).length;
  const weights = lengths.map((length, i) => {
    if (!kept[i]) return 0;
    if (kind === "sequence_mean") return 1 / length;
    return kind === "token_mean" ? 1 : 1 / options.maxTokens;
  });
  let sum = count;
  if (kind === "token_mean") sum = lengths.reduce((a, length, i) => a + (kept[i] ? length : 0), 0);
  return { weights, sum };
}
