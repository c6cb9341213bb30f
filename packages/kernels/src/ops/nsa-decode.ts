// One new token per sequence over a paged cache: NSA and dense attention for generation, without gradients.
//
// Pages hold page_size tokens; the compressed cache shares the block table with page_size/stride entries a page.
// Legend: B sequences, H query heads, G KV heads, K and V head dims, P pages in the pool.
import type { FloatDtype } from "../device/dtype.ts";
import type { Device, Tensor } from "../device/tensor.ts";
import { type FlashConfig, statsDtype } from "./flash-attention.ts";
import type { NsaInputs } from "./nsa-attention.ts";
import type { Phi, RopeTables } from "./nsa-compress.ts";
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

/** Compressed blocks of every sequence: a new token may complete one. */
export interface BlockGrid {
  blockSize: number;
  stride: number;
  kvHeads: number;
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
  /** Holds seqLens, positions and slots. */
  counters: Tensor;
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
  /** Holds seqLens, positions and slots. */
  counters: Tensor;
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

/** First position of the compressed block that the newest token completes, or −1. */
const completedBlock = (s: DecodeSequence, nsa: BlockGrid) =>
  s.length >= nsa.blockSize && (s.length - nsa.blockSize) % nsa.stride === 0 ? s.length - nsa.blockSize : -1;

/**
 * Uploads the indices of one step. With `blocks`, sequences whose newest token completes a block are listed;
 * `everyRow` lists all rows instead: shapes then stay constant and `updatePlan` can move the plan on.
 */
export function planDecode(
  device: Device,
  sequences: readonly DecodeSequence[],
  pageSize: number,
  maxPages: number,
  blocks?: BlockGrid,
  everyRow = false,
): DecodePlan {
  if (blocks && pageSize % blocks.stride)
    throw new Error(`page_size ${pageSize} is not a multiple of stride ${blocks.stride}`);
  const listed = blocks && !everyRow ? sequences.filter((s) => completedBlock(s, blocks) >= 0) : sequences;
  const b = sequences.length;
  const i32 = (n: number) => device.empty([Math.max(1, n)], "i32");
  const counters = i32(3 * b);
  const plan: DecodePlan = {
    b,
    pageSize,
    maxPages,
    counters,
    blockTable: i32(b * maxPages),
    seqLens: counters.view(0, [b]),
    positions: counters.view(b, [b]),
    slots: counters.view(2 * b, [b]),
  };
  if (blocks) {
    const rows = listed.length;
    const n = Math.max(1, rows);
    const counters = i32(3 * n);
    plan.completed = {
      rows,
      counters,
      blockTable: everyRow ? plan.blockTable : i32(rows * maxPages),
      seqLens: counters.view(0, [n]),
      positions: counters.view(n, [n]),
      slots: counters.view(2 * n, [n]),
      gatherStart: i32(n * blocks.kvHeads).write(
        Int32Array.from({ length: n * blocks.kvHeads }, (_, r) => r * blocks.blockSize),
      ),
    };
    if (!everyRow && rows > 0) writeTable(plan.completed.blockTable, listed, maxPages);
  }
  writeTable(plan.blockTable, sequences, maxPages);
  writeCounters(plan, sequences, listed, blocks);
  return plan;
}

/** Moves a plan made with `everyRow` to the sequences' new lengths; `table`: their pages have changed too. */
export function updatePlan(
  plan: DecodePlan,
  sequences: readonly DecodeSequence[],
  table: boolean,
  blocks?: BlockGrid,
): void {
  if (sequences.length !== plan.b) throw new Error(`${sequences.length} sequences for a plan of ${plan.b}`);
  if (table) writeTable(plan.blockTable, sequences, plan.maxPages);
  writeCounters(plan, sequences, sequences, blocks);
}

function writeTable(t: Tensor, sequences: readonly DecodeSequence[], maxPages: number): void {
  const values = new Int32Array(t.numel);
  sequences.forEach(({ pages }, r) => {
    for (let i = 0; i < maxPages && i < pages.length; i++) values[r * maxPages + i] = pages[i]!;
  });
  t.write(values);
}

function writeCounters(
  plan: DecodePlan,
  sequences: readonly DecodeSequence[],
  listed: readonly DecodeSequence[],
  blocks?: BlockGrid,
): void {
  const { b, pageSize } = plan;
  const values = new Int32Array(3 * b);
  for (let r = 0; r < b; r++) {
    const { length, pages } = sequences[r]!;
    values[r] = length;
    values[b + r] = Math.max(0, length - 1);
    values[2 * b + r] = length > 0 ? cacheSlot(pages, length - 1, pageSize) : -1;
  }
  plan.counters.write(values);
  if (!blocks || !plan.completed || listed.length === 0) return;
  const rows = listed.length;
  const done = new Int32Array(3 * rows);
  listed.forEach((s, r) => {
    const first = completedBlock(s, blocks);
    done[r] = s.length;
    done[rows + r] = Math.max(0, first);
    done[2 * rows + r] = first < 0 ? -1 : cacheSlot(s.pages, first / blocks.stride, pageSize / blocks.stride);
  });
  plan.completed.counters.write(done);
}

/** cache[slots[r]] = x[r]; −1 skips. */
export function writeCache(x: Tensor, cache: Tensor, slots: Tensor, rows: number): void {
  const cols = cache.shape[1]!;
  x.device.run("paged_write", { x, cache, slot: slots, rows, cols, ldx: cols });
}

/**
 * The columns of one projection, fused [B, W] with W = H·K + G·(K + V), whose q and k are not turned yet: puts turned k, and v, into
 * the caches and attends → [B, H·V]. What `fused` holds afterwards is undefined.
 */
export function decodeFused(
  fused: Tensor,
  kCache: Tensor,
  vCache: Tensor,
  plan: DecodePlan,
  tables: RopeTables,
  c: FlashConfig,
): Tensor {
  const ld = fused.numel / plan.b;
  const columns = (offset: number) => fused.view(offset, [fused.numel - offset]);
  const q = columns(0);
  const k = columns(c.heads * c.dimK);
  const v = columns((c.heads + c.kvHeads) * c.dimK);
  const o = fused.device.empty([plan.b, c.heads * c.dimV], fused.dtype);
  pagedAttention(q, kCache, vCache, o, undefined, plan, c, plan.pageSize, 1, 1, { k, v, tables, ld });
  for (const t of [q, k, v]) t.free();
  return o;
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
  newest?: { k: Tensor; v: Tensor; tables: RopeTables; ld: number },
): void {
  q.device.run("paged_attn", {
    q,
    k_cache: kCache,
    v_cache: vCache,
    block_table: plan.blockTable,
    seq_lens: plan.seqLens,
    o,
    lse,
    k: newest?.k,
    v: newest?.v,
    cos: newest?.tables.cos,
    sin: newest?.tables.sin,
    positions: newest && plan.positions,
    slot: newest && plan.slots,
    rot_dim: newest?.tables.rotDim ?? 0,
    b: plan.b,
    hq: c.heads,
    hkv: c.kvHeads,
    dim_k: c.dimK,
    dim_v: c.dimV,
    ldq: newest?.ld ?? c.heads * c.dimK,
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
