// A plugin for tests: attention over the last `window_size / 2` tokens, built from the kernels that every kind may use.
import type { Plugin } from "@nsa/core";
import { decodeAttention, type FlashConfig, flashAttention, type Tensor, writeCache } from "@nsa/kernels";
import type { AttentionKind, ModelConfig } from "@nsa/model";

interface Inputs {
  q: Tensor;
  k: Tensor;
  v: Tensor;
}

const reach = (c: ModelConfig) => Math.max(1, c.windowSize >> 1);

const flash = (c: ModelConfig): FlashConfig => ({
  heads: c.numHeads,
  kvHeads: c.numKvHeads,
  dimK: c.headDim,
  dimV: c.valueHeadDim,
  windowSize: reach(c),
});

export default {
  kind: "attention",
  name: "half_window",
  heads: (c) => [
    { name: "q_proj", heads: c.numHeads, dim: c.headDim, role: "query", rotate: true },
    { name: "k_proj", heads: c.numKvHeads, dim: c.headDim, role: "key", rotate: true },
    { name: "v_proj", heads: c.numKvHeads, dim: c.valueHeadDim, role: "value", rotate: false },
  ],
  inputs: (_tape, _layer, [q, k, v]) => ({ q: q!, k: k!, v: v! }),
  attend: (tape, c, inputs, docs) => flashAttention(tape, inputs, docs, flash(c)),
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
  work: (c, T) => ({ keys: Math.min(T, reach(c)), flops: 0 }),
  memory: (c) => {
    const kv = c.numKvHeads * (c.headDim + c.valueHeadDim);
    return { kv, o: c.numHeads * c.valueHeadDim, stats: c.numHeads, other: 0, indexBytes: 0, cache: kv };
  },
} satisfies Plugin<"attention", AttentionKind<Inputs>>;
