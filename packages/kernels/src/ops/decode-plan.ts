// Index tensors of a decode step over a paged cache: where new tokens are written and which compressed blocks they complete.
//
// Pages hold page_size tokens; the compressed cache shares the block table with page_size/stride entries a page.
// Legend: B sequences.
import type { Device, Tensor } from "../device/tensor.ts";

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
export interface CompletedBlocks {
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
const completedBlock = (s: DecodeSequence, grid: BlockGrid) =>
  s.length >= grid.blockSize && (s.length - grid.blockSize) % grid.stride === 0
    ? s.length - grid.blockSize
    : -1;

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
