// Softmax attention over packed documents with its gradient: causal, windowed, grouped KV heads, d_k ≠ d_v.
//
// Legend: T tokens, H query heads, G KV heads, K and V head dims.
import type { Device, Tensor } from "../device/tensor.ts";
import type { Tape } from "../tape.ts";
import type { Documents } from "./documents.ts";

export interface FlashConfig {
  heads: number;
  kvHeads: number;
  dimK: number;
  dimV: number;
  /** Last tokens seen, the query's own included; 0 = all. Default 0. */
  windowSize?: number;
  /** Default 1/√d_k. */
  scale?: number;
}

/** The keys' side of a flash call: dense tokens of the documents, or their compressed blocks. */
export interface KeyGrid {
  cuKeys: Tensor;
  keys: number;
  blockSize: number;
  stride: number;
}

/** Every token is a key. */
export function denseKeys(docs: Documents): KeyGrid {
  return { cuKeys: docs.cuSeqlens, keys: docs.tokens, blockSize: 1, stride: 1 };
}

/** Integer fields that flash_fwd and flash_bwd share, for contiguous operands. */
export function flashSizes(docs: Documents, grid: KeyGrid, c: FlashConfig) {
  return {
    cu_q: docs.cuSeqlens,
    cu_k: grid.cuKeys,
    n_docs: docs.count,
    tq: docs.tokens,
    tk: grid.keys,
    hq: c.heads,
    hkv: c.kvHeads,
    dim_k: c.dimK,
    dim_v: c.dimV,
    ldq: c.heads * c.dimK,
    ldk: c.kvHeads * c.dimK,
    ldv: c.kvHeads * c.dimV,
    ldo: c.heads * c.dimV,
    window: c.windowSize ?? 0,
    block_size: grid.blockSize,
    stride: grid.stride,
    scale: c.scale ?? 1 / Math.sqrt(c.dimK),
  };
}

/** Dtype of softmax statistics beside activations of the tensor's dtype. */
export function statsDtype(t: Tensor): "f32" | "f64" {
  return t.dtype === "f64" ? "f64" : "f32";
}

/** Output [T, H·V] and log-sum-exp [T, H] without a tape. */
export function flashForward(
  device: Device,
  q: Tensor,
  k: Tensor,
  v: Tensor,
  docs: Documents,
  grid: KeyGrid,
  config: FlashConfig,
): { o: Tensor; lse: Tensor } {
  const o = device.empty([docs.tokens, config.heads * config.dimV], q.dtype);
  const lse = device.empty([docs.tokens, config.heads], statsDtype(q));
  device.run("flash_fwd", { q, k, v, o, lse, ...flashSizes(docs, grid, config) });
  return { o, lse };
}

/**
 * o[t,h] = Σ_j softmax_j(scale·q[t,h]·k[j,g])·v[j,g] over keys j ≤ t of t's document (j > t − window), g = h/(H/G).
 * q [T, H·K], k [T, G·K], v [T, G·V] → o [T, H·V].
 */
export function flashAttention(
  tape: Tape,
  inputs: { q: Tensor; k: Tensor; v: Tensor },
  docs: Documents,
  config: FlashConfig,
): Tensor {
  const { q, k, v } = inputs;
  const device = q.device;
  const grid = denseKeys(docs);
  const { o, lse } = flashForward(device, q, k, v, docs, grid, config);
  if (!tape.needs(q, k, v)) {
    lse.free();
    return o;
  }
  tape.push([o], () => {
    const dq = device.empty(q.shape, q.dtype);
    const dk = device.empty(k.shape, k.dtype);
    const dv = device.empty(v.shape, v.dtype);
    const sizes = flashSizes(docs, grid, config);
    device.run("flash_bwd", {
      q,
      k,
      v,
      o,
      lse,
      do_: o.grad!,
      dq,
      dk,
      dv,
      accumulate: 0,
      rot_dim: 0,
      ...sizes,
    });
    tape.accumulate(q, dq);
    tape.accumulate(k, dk);
    tape.accumulate(v, dv);
  });
  return o;
}
