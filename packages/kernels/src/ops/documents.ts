// The documents of a packed micro-batch on the device, and the grid of compressed blocks that each of them carries.
//
// Legend: T tokens, n documents, NB compressed blocks of all documents together.
import type { Device, Tensor } from "../device/tensor.ts";

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

/** What a device needs to know of packed documents, on the host. */
export interface DocumentLayout {
  longest: number;
  /** [n + 1]. */
  cuSeqlens: Int32Array;
  /** [T]. */
  positions: Int32Array;
  compressed?: { blockSize: number; stride: number; columns: CompressedColumns };
}

interface CompressedColumns {
  cuBlocks: Int32Array;
  blockStart: Int32Array;
  positions: Int32Array;
}

/** Sizes of a layout that many batches share. */
export interface DocumentBucket {
  documents: number;
  tokens: number;
  longest: number;
}

/** Blocks of one document of `tokens`: no packing of as many tokens has more. */
export function mostBlocks(tokens: number, grid: { blockSize: number; stride: number }): number {
  return tokens < grid.blockSize ? 0 : Math.floor((tokens - grid.blockSize) / grid.stride) + 1;
}

/**
 * Where documents and their compressed blocks lie. With `bucket`, sizes are the bucket's: one document of unused tokens
 * fills up to its tokens, empty documents to its count, and the last of those owns the unused blocks, which no query sees.
 */
export function layoutDocuments(
  cuSeqlens: ArrayLike<number>,
  grid?: { blockSize: number; stride: number },
  bucket?: DocumentBucket,
): DocumentLayout {
  const given = cuSeqlens.length - 1;
  const tokens = bucket?.tokens ?? cuSeqlens[given]!;
  const count = bucket?.documents ?? given;
  const borders = new Int32Array(count + 1).fill(tokens);
  for (let i = 0; i <= given; i++) borders[i] = cuSeqlens[i]!;
  const positions = new Int32Array(tokens);
  let longest = 0;
  for (let i = 0; i < count; i++) {
    const [start, end] = [borders[i]!, borders[i + 1]!];
    longest = Math.max(longest, end - start);
    for (let t = start; t < end; t++) positions[t] = t - start;
  }
  if (bucket && longest > bucket.longest) throw new Error("a document is longer than its bucket");
  const layout: DocumentLayout = { longest: bucket?.longest ?? longest, cuSeqlens: borders, positions };
  if (grid) layout.compressed = { ...grid, columns: compressedColumns(borders, grid, bucket) };
  return layout;
}

function compressedColumns(
  borders: Int32Array,
  grid: { blockSize: number; stride: number },
  bucket: DocumentBucket | undefined,
): CompressedColumns {
  const count = borders.length - 1;
  const cuBlocks = new Int32Array(count + 1);
  for (let i = 0; i < count; i++)
    cuBlocks[i + 1] = cuBlocks[i]! + mostBlocks(borders[i + 1]! - borders[i]!, grid);
  if (bucket) cuBlocks[count] = Math.max(cuBlocks[count]!, mostBlocks(bucket.tokens, grid));
  const blockStart = new Int32Array(cuBlocks[count]!);
  const positions = new Int32Array(cuBlocks[count]!);
  for (let i = 0; i < count; i++) {
    // Unused blocks read the first tokens.
    const unused = borders[i + 1] === borders[i];
    for (let b = cuBlocks[i]!; b < cuBlocks[i + 1]! && !unused; b++) {
      positions[b] = (b - cuBlocks[i]!) * grid.stride;
      blockStart[b] = borders[i]! + positions[b]!;
    }
  }
  return { cuBlocks, blockStart, positions };
}

/** The arrays of a layout that a device needs, by name; {@link documentsOf} takes their tensors under these names. */
export function documentArrays({
  cuSeqlens,
  positions,
  compressed,
}: DocumentLayout): Record<string, Int32Array> {
  const borders = { cu_seqlens: cuSeqlens, positions };
  if (!compressed) return borders;
  const { cuBlocks, blockStart, positions: blockPositions } = compressed.columns;
  return { ...borders, cu_blocks: cuBlocks, block_start: blockStart, block_positions: blockPositions };
}

/** The documents of a layout whose arrays are on a device. */
export function documentsOf(layout: DocumentLayout, tensorOf: (name: string) => Tensor): Documents {
  const { cuSeqlens, positions, longest, compressed } = layout;
  const docs: Documents = {
    count: cuSeqlens.length - 1,
    tokens: positions.length,
    longest,
    cuSeqlens: tensorOf("cu_seqlens"),
    positions: tensorOf("positions"),
  };
  if (!compressed) return docs;
  const { columns, ...grid } = compressed;
  docs.compressed = {
    ...grid,
    blocks: columns.blockStart.length,
    cuBlocks: tensorOf("cu_blocks"),
    blockStart: tensorOf("block_start"),
    positions: tensorOf("block_positions"),
  };
  return docs;
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
  const layout = layoutDocuments(cuSeqlens, grid);
  const arrays = documentArrays(layout);
  return documentsOf(layout, (name) =>
    device.from(arrays[name]!, [Math.max(1, arrays[name]!.length)], "i32"),
  );
}
