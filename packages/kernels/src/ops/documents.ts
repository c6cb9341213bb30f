// The documents of a packed micro-batch on the device, and the grid of compressed blocks that each of them carries.
//
// Legend: T tokens, n documents, NB compressed blocks of all documents together.
import type { Device } from "../device/device.ts";
import type { Tensor } from "../device/tensor.ts";

/** Blocks of `blockSize` tokens every `stride` tokens; each document starts its own grid, ragged tails have no block. */
export interface CompressedGrid {
  blockSize: number;
  stride: number;
  /** NB. */
  blocks: number;
  /** Borders of the documents' blocks, i32 [n + 1]. */
  cuBlocks: Tensor;
  /** First token row of each block, i32 [NB]. */
  blockStart: Tensor;
  /** Position of that token inside its document, i32 [NB]. */
  positions: Tensor;
}

export interface Documents {
  count: number;
  tokens: number;
  /** Tokens of the longest document. */
  longest: number;
  /** i32 [n + 1], from 0 to T. */
  cuSeqlens: Tensor;
  /** Position of each token inside its document, i32 [T]. */
  positions: Tensor;
  compressed?: CompressedGrid;
}

/**
 * Uploads the borders of packed documents, and with `grid` the compressed blocks that NSA needs.
 * The tensors belong to the innermost scope.
 */
export function packDocuments(
  device: Device,
  cuSeqlens: ArrayLike<number>,
  grid?: { blockSize: number; stride: number },
): Documents {
  const count = cuSeqlens.length - 1;
  const tokens = cuSeqlens[count]!;
  const positions = new Int32Array(tokens);
  let longest = 0;
  for (let i = 0; i < count; i++) {
    const start = cuSeqlens[i]!;
    longest = Math.max(longest, cuSeqlens[i + 1]! - start);
    for (let t = start; t < cuSeqlens[i + 1]!; t++) positions[t] = t - start;
  }
  const i32 = (values: ArrayLike<number>) => device.from(values, [Math.max(1, values.length)], "i32");
  const docs: Documents = {
    count,
    tokens,
    longest,
    cuSeqlens: i32(Int32Array.from(cuSeqlens)),
    positions: i32(positions),
  };
  if (!grid) return docs;

  const cuBlocks = new Int32Array(count + 1);
  const blockStart: number[] = [];
  const blockPositions: number[] = [];
  for (let i = 0; i < count; i++) {
    const length = cuSeqlens[i + 1]! - cuSeqlens[i]!;
    for (let p = 0; p + grid.blockSize <= length; p += grid.stride) {
      blockStart.push(cuSeqlens[i]! + p);
      blockPositions.push(p);
    }
    cuBlocks[i + 1] = blockStart.length;
  }
  docs.compressed = {
    ...grid,
    blocks: blockStart.length,
    cuBlocks: i32(cuBlocks),
    blockStart: i32(Int32Array.from(blockStart)),
    positions: i32(Int32Array.from(blockPositions)),
  };
  return docs;
}
