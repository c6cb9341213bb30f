// Softmax attention over all earlier tokens (full) or the last `window_size` of them (window), the query's own included.
//
// Legend: T tokens, B sequences, H query heads, G KV heads, K and V head dims.
import {
  decodeAttention,
  decodeFused,
  type FlashConfig,
  flashAttention,
  fusedAttention,
  type Tensor,
  writeCache,
} from "@nsa/kernels";
import type { ModelConfig } from "../config/schema.ts";
import type { AttentionKind } from "./kind.ts";

/** Rotated q [T, H·K] and k [T, G·K], v [T, G·V]. */
export interface DenseInputs {
  q: Tensor;
  k: Tensor;
  v: Tensor;
}

/** Mean over queries t < T of min(t + 1, limit). */
export function meanVisible(T: number, limit: number): number {
  const full = Math.min(T, limit);
  return ((full * (full + 1)) / 2 + (T - full) * limit) / T;
}

/** `windowOf`: tokens that a query sees, its own included; 0 = all. */
function dense(name: string, windowOf: (config: ModelConfig) => number): AttentionKind<DenseInputs> {
  const flash = (c: ModelConfig): FlashConfig => ({
    heads: c.numHeads,
    kvHeads: c.numKvHeads,
    dimK: c.headDim,
    dimV: c.valueHeadDim,
    windowSize: windowOf(c),
  });
  return {
    name,
    heads: (c) => [
      { name: "q_proj", heads: c.numHeads, dim: c.headDim, role: "query", rotate: true },
      { name: "k_proj", heads: c.numKvHeads, dim: c.headDim, role: "key", rotate: true },
      { name: "v_proj", heads: c.numKvHeads, dim: c.valueHeadDim, role: "value", rotate: false },
    ],
    inputs: (_tape, _layer, [q, k, v]) => ({ q: q!, k: k!, v: v! }),
    attend: (tape, c, inputs, docs) => flashAttention(tape, inputs, docs, flash(c)),
    fused: {
      attend: (tape, c, fused, tables, docs) => fusedAttention(tape, fused, tables, docs, flash(c)),
      decode: (c, fused, cache, plan, tables) =>
        decodeFused(fused, cache.k!, cache.v!, plan, tables, flash(c)),
    },
    cache: {
      make(device, c, pages, pageSize, dtype) {
        const make = (cols: number) => device.zeros([pages * pageSize, cols], dtype);
        return { k: make(c.numKvHeads * c.headDim), v: make(c.numKvHeads * c.valueHeadDim) };
      },
      prefill(tape, c, inputs, docs, cache, slots) {
        writeCache(inputs.k, cache.k!, slots.tokens, docs.tokens);
        writeCache(inputs.v, cache.v!, slots.tokens, docs.tokens);
        return flashAttention(tape, inputs, docs, flash(c));
      },
      decode(c, inputs, cache, plan) {
        writeCache(inputs.k, cache.k!, plan.slots, plan.b);
        writeCache(inputs.v, cache.v!, plan.slots, plan.b);
        return decodeAttention(inputs.q, cache.k!, cache.v!, plan, flash(c));
      },
    },
    work: (c, T) => ({ keys: meanVisible(T, windowOf(c) || T), flops: 0 }),
    memory: (c) => {
      const kv = c.numKvHeads * (c.headDim + c.valueHeadDim);
      return { kv, o: c.numHeads * c.valueHeadDim, stats: c.numHeads, other: 0, indexBytes: 0, cache: kv };
    },
  };
}

export const full = dense("full", () => 0);
export const window = dense("window", (c) => c.windowSize);
