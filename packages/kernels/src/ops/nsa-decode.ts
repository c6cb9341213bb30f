// NSA of one new token per sequence over a paged cache, without gradients.
//
// Legend: B sequences, H query heads, G KV heads, K and V head dims, P pages in the pool.
import type { FloatDtype } from "../device/dtype.ts";
import type { Device, Tensor } from "../device/tensor.ts";
import type { CompletedBlocks, DecodePlan } from "./decode-plan.ts";
import { statsDtype } from "./flash-attention.ts";
import type { NsaInputs } from "./nsa-attention.ts";
import type { Phi } from "./nsa-compress.ts";
import { type NsaConfig, resolveNsaConfig } from "./nsa-config.ts";
import { writeCache } from "./paged-attention.ts";

/** Cached rows of one NSA layer: [P·page_size, G·dim], and the outputs of φ in [P·page_size/stride, G·dim]. */
export interface NsaLayerCache {
  kCmp: Tensor;
  vCmp: Tensor;
  kSlc: Tensor;
  vSlc: Tensor;
  kWin: Tensor;
  vWin: Tensor;
  kBlocks: Tensor;
  vBlocks: Tensor;
}

/** Allocates the cache of one layer; it belongs to the innermost scope. */
export function nsaLayerCache(
  device: Device,
  config: NsaConfig,
  pages: number,
  pageSize: number,
  dtype: FloatDtype,
): NsaLayerCache {
  const rows = pages * pageSize;
  const [k, v] = [config.kvHeads * config.dimK, config.kvHeads * config.dimV];
  const make = (n: number, cols: number) => device.zeros([n, cols], dtype);
  return {
    kCmp: make(rows, k),
    vCmp: make(rows, v),
    kSlc: make(rows, k),
    vSlc: make(rows, v),
    kWin: make(rows, k),
    vWin: make(rows, v),
    kBlocks: make(rows / config.stride, k),
    vBlocks: make(rows / config.stride, v),
  };
}

/** φ of the newest block of each completed row; [rows, G·d]. */
function compressNewest(
  cache: Tensor,
  phi: Phi,
  done: CompletedBlocks,
  plan: DecodePlan,
  c: NsaConfig,
): Tensor {
  const device = cache.device;
  const cols = cache.shape[1]!;
  const d = cols / c.kvHeads;
  const rows = done.rows * c.kvHeads;
  const inner = c.blockSize * d;
  const blocks = device.empty([rows, inner], cache.dtype);
  device.run("paged_block_gather", {
    cache,
    pos: phi.kind === "mlp" ? phi.pos : undefined,
    block_table: done.blockTable,
    seq_lens: done.seqLens,
    y: blocks,
    b: done.rows,
    hkv: c.kvHeads,
    d,
    block_size: c.blockSize,
    page_size: plan.pageSize,
    max_pages: plan.maxPages,
  });
  const y = device.empty([done.rows, cols], cache.dtype);
  if (phi.kind === "mlp") {
    const hidden = phi.up.shape[0]!;
    const a = device.empty([rows, hidden], cache.dtype);
    const plain = { alpha: 1, beta: 0, trans_a: 0, trans_b: 1, m: rows };
    const up = { n: hidden, k: inner, lda: inner, ldb: inner, ldc: hidden };
    const down = { n: d, k: hidden, lda: hidden, ldb: hidden, ldc: d };
    device.run("gemm", { a: blocks, b: phi.up, c: a, ...plain, ...up });
    device.run("unary", { x: a, y: a, kind: 9 });
    device.run("gemm", { a, b: phi.down, c: y, ...plain, ...down });
  } else {
    const w =
      phi.kind === "weighted" ? phi.weight : device.full([c.blockSize], statsDtype(cache), 1 / c.blockSize);
    const sizes = { nb: rows, hkv: 1, d, block_size: c.blockSize, ldx: d };
    device.run("nsa_pool_fwd", { x: blocks, w, block_start: done.gatherStart, y, ...sizes });
  }
  return y;
}

/**
 * NSA of one new token per sequence whose keys, values and completed blocks are in the cache already. q [B, H·K], gate [B, 3·H] →
 * [B, H·V].
 */
export function nsaDecodeAttention(
  q: Tensor,
  gate: Tensor,
  cache: NsaLayerCache,
  plan: DecodePlan,
  config: NsaConfig,
): Tensor {
  const c = resolveNsaConfig(config);
  const o = q.device.empty([plan.b, c.heads * c.dimV], q.dtype);
  q.device.run("nsa_decode_attend", {
    q,
    gate,
    k_cmp: cache.kBlocks,
    v_cmp: cache.vBlocks,
    k_slc: cache.kSlc,
    v_slc: cache.vSlc,
    k_win: cache.kWin,
    v_win: cache.vWin,
    block_table: plan.blockTable,
    seq_lens: plan.seqLens,
    o,
    b: plan.b,
    hq: c.heads,
    hkv: c.kvHeads,
    dim_k: c.dimK,
    dim_v: c.dimV,
    ldq: c.heads * c.dimK,
    ldg: 3 * c.heads,
    page_size: plan.pageSize,
    max_pages: plan.maxPages,
    block_size: c.blockSize,
    stride: c.stride,
    selection_block_size: c.selectionBlockSize,
    num_selected: c.numSelectedBlocks,
    num_init: c.numInitialBlocks,
    num_local: c.numLocalBlocks,
    window: c.windowSize,
    scale: c.scale,
  });
  return o;
}

/**
 * NSA of one new token per sequence: writes its keys and values into the cache, compresses blocks that it completes,
 * and attends. Inputs as `nsaAttention` with T = B; returns [B, H·V]. Equal to the last row of a prefill.
 */
export function nsaDecode(
  inputs: NsaInputs,
  cache: NsaLayerCache,
  plan: DecodePlan,
  config: NsaConfig,
): Tensor {
  const c = resolveNsaConfig(config);
  const { q, gate, phiK, phiV, rope } = inputs;
  const device = q.device;
  using scope = device.scope();
  for (const name of ["kCmp", "vCmp", "kSlc", "vSlc", "kWin", "vWin"] as const) {
    writeCache(inputs[name], cache[name], plan.slots, plan.b);
  }
  const done = plan.completed;
  if (!done) throw new Error("planDecode was not given this layer's NSA config");
  if (done.rows > 0) {
    const k = compressNewest(cache.kCmp, phiK, done, plan, c);
    if (rope) {
      const cols = k.shape[1]!;
      const sizes = { rows: done.rows, heads: c.kvHeads, head_dim: c.dimK, rot_dim: rope.rotDim };
      const tables = { cos: rope.cos, sin: rope.sin, positions: done.positions };
      device.run("rope", { x: k, y: k, ...tables, ...sizes, ldx: cols, ldy: cols, inverse: 0 });
    }
    writeCache(k, cache.kBlocks, done.slots, done.rows);
    writeCache(compressNewest(cache.vCmp, phiV, done, plan, c), cache.vBlocks, done.slots, done.rows);
  }

  return scope.keep(nsaDecodeAttention(q, gate, cache, plan, config));
}
