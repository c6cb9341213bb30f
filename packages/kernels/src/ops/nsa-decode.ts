// One new token per sequence over a paged cache: NSA and dense attention for generation, without gradients.
//
// Pages hold page_size tokens; the compressed cache shares the block table with page_size/stride entries a page.
// Legend: B sequences, H query heads, G KV heads, K and V head dims, P pages in the pool.
import type { Device } from "../device/device.ts";
import type { FloatDtype } from "../device/dtype.ts";
import type { Tensor } from "../device/tensor.ts";
import { type FlashConfig, statsDtype } from "./flash-attention.ts";
import type { NsaInputs } from "./nsa-attention.ts";
import type { Phi } from "./nsa-compress.ts";
import { type NsaConfig, resolveNsaConfig } from "./nsa-config.ts";

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

/** A sequence as decode sees it. */
export interface DecodeSequence {
  /** Tokens including the one being decoded; 0 marks an idle row. */
  length: number;
  /** Its pages in order; at least ceil(length / page_size). */
  pages: ArrayLike<number>;
}

/** Rows whose newest token completes a compressed block. */
interface CompletedBlocks {
  rows: number;
  blockTable: Tensor;
  seqLens: Tensor;
  /** Row of the compressed cache to write, −1 = none. */
  slots: Tensor;
  /** First position of the block. */
  positions: Tensor;
  /** r·block_size for every row and KV head: where the pooled φ finds its gathered block. */
  gatherStart: Tensor;
}

/** Index tensors of one decode step, shared by all layers. */
export interface DecodePlan {
  b: number;
  pageSize: number;
  maxPages: number;
  blockTable: Tensor;
  seqLens: Tensor;
  /** Position of the new token, [B]. */
  positions: Tensor;
  /** Cache row of the new token, −1 for idle rows, [B]. */
  slots: Tensor;
  completed?: CompletedBlocks;
}

/** Cache row of token (or compressed entry) `entry`. */
export function cacheSlot(pages: ArrayLike<number>, entry: number, pageSize: number): number {
  return pages[Math.floor(entry / pageSize)]! * pageSize + (entry % pageSize);
}

/**
 * Uploads the indices of one step. With `nsa`, sequences whose newest token completes a block are listed;
 * `everyRow` lists all rows instead (constant shapes, for captured steps).
 */
export function planDecode(
  device: Device,
  sequences: readonly DecodeSequence[],
  pageSize: number,
  maxPages: number,
  nsa?: NsaConfig,
  everyRow = false,
): DecodePlan {
  const i32 = (values: number[]) => device.from(values, [Math.max(1, values.length)], "i32");
  const table = (seqs: readonly DecodeSequence[]) =>
    i32(seqs.flatMap((s) => Array.from({ length: maxPages }, (_, i) => s.pages[i] ?? 0)));
  const plan: DecodePlan = {
    b: sequences.length,
    pageSize,
    maxPages,
    blockTable: table(sequences),
    seqLens: i32(sequences.map((s) => s.length)),
    positions: i32(sequences.map((s) => Math.max(0, s.length - 1))),
    slots: i32(sequences.map((s) => (s.length > 0 ? cacheSlot(s.pages, s.length - 1, pageSize) : -1))),
  };
  if (!nsa) return plan;
  if (pageSize % nsa.stride)
    throw new Error(`page_size ${pageSize} is not a multiple of stride ${nsa.stride}`);
  const completes = (s: DecodeSequence) =>
    s.length >= nsa.blockSize && (s.length - nsa.blockSize) % nsa.stride === 0;
  const rows = everyRow ? sequences : sequences.filter(completes);
  const first = (s: DecodeSequence) => Math.max(0, s.length - nsa.blockSize);
  const slot = (s: DecodeSequence) =>
    completes(s) ? cacheSlot(s.pages, first(s) / nsa.stride, pageSize / nsa.stride) : -1;
  plan.completed = {
    rows: rows.length,
    blockTable: table(rows),
    seqLens: i32(rows.map((s) => s.length)),
    slots: i32(rows.map(slot)),
    positions: i32(rows.map(first)),
    gatherStart: i32(Array.from({ length: rows.length * nsa.kvHeads }, (_, r) => r * nsa.blockSize)),
  };
  return plan;
}

/** cache[slots[r]] = x[r]; −1 skips. */
export function writeCache(x: Tensor, cache: Tensor, slots: Tensor, rows: number): void {
  const cols = cache.shape[1]!;
  x.device.run("paged_write", { x, cache, slot: slots, rows, cols, ldx: cols });
}

/** Softmax attention of one query per sequence over cached tokens. q [B, H·K] → [B, H·V]. */
export function decodeAttention(
  q: Tensor,
  kCache: Tensor,
  vCache: Tensor,
  plan: DecodePlan,
  config: FlashConfig,
): Tensor {
  const o = q.device.empty([plan.b, config.heads * config.dimV], q.dtype);
  pagedAttention(q, kCache, vCache, o, undefined, plan, config, plan.pageSize, 1, 1);
  return o;
}

function pagedAttention(
  q: Tensor,
  kCache: Tensor,
  vCache: Tensor,
  o: Tensor,
  lse: Tensor | undefined,
  plan: DecodePlan,
  c: FlashConfig,
  pageSize: number,
  blockSize: number,
  stride: number,
): void {
  q.device.run("paged_attn", {
    q,
    k_cache: kCache,
    v_cache: vCache,
    block_table: plan.blockTable,
    seq_lens: plan.seqLens,
    o,
    lse,
    b: plan.b,
    hq: c.heads,
    hkv: c.kvHeads,
    dim_k: c.dimK,
    dim_v: c.dimV,
    ldq: c.heads * c.dimK,
    ldo: c.heads * c.dimV,
    page_size: pageSize,
    max_pages: plan.maxPages,
    window: c.windowSize ?? 0,
    block_size: blockSize,
    stride,
    scale: c.scale ?? 1 / Math.sqrt(c.dimK),
  });
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

  const out = () => device.empty([plan.b, c.heads * c.dimV], q.dtype);
  const [oCmp, oSlc, oWin] = [out(), out(), out()];
  const o = scope.keep(out());
  const branch = { heads: c.heads, kvHeads: c.kvHeads, dimK: c.dimK, dimV: c.dimV, scale: c.scale };
  const blockPage = plan.pageSize / c.stride;
  const lse = device.empty([plan.b, c.heads], statsDtype(q));
  pagedAttention(q, cache.kBlocks, cache.vBlocks, oCmp, lse, plan, branch, blockPage, c.blockSize, c.stride);
  const idx = device.empty([plan.b, c.kvHeads, c.numSelectedBlocks], "i32");
  const sizes = {
    block_table: plan.blockTable,
    seq_lens: plan.seqLens,
    b: plan.b,
    hq: c.heads,
    hkv: c.kvHeads,
    dim_k: c.dimK,
    ldq: c.heads * c.dimK,
    max_pages: plan.maxPages,
    selection_block_size: c.selectionBlockSize,
    num_selected: c.numSelectedBlocks,
    scale: c.scale,
  };
  device.run("nsa_decode_select", {
    q,
    k_cmp_cache: cache.kBlocks,
    lse,
    idx,
    page_size: blockPage,
    block_size: c.blockSize,
    stride: c.stride,
    num_init: c.numInitialBlocks,
    num_local: c.numLocalBlocks,
    ...sizes,
  });
  device.run("nsa_decode_selected", {
    q,
    k_cache: cache.kSlc,
    v_cache: cache.vSlc,
    idx,
    o: oSlc,
    page_size: plan.pageSize,
    dim_v: c.dimV,
    ldo: c.heads * c.dimV,
    ...sizes,
  });
  const window = { ...branch, windowSize: c.windowSize };
  pagedAttention(q, cache.kWin, cache.vWin, oWin, undefined, plan, window, plan.pageSize, 1, 1);
  const gateSizes = { tokens: plan.b, hq: c.heads, dim_v: c.dimV, ldg: 3 * c.heads };
  device.run("nsa_gate_fwd", { gate, o_cmp: oCmp, o_slc: oSlc, o_win: oWin, o, ...gateSizes });
  return o;
}
