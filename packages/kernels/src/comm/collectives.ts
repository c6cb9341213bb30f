// The table of collective operations between the ranks of a run, over all of them or a group; one rank needs none.
//
// What every member promises: sums are taken in ascending order of ranks, so each rank and each run gets the same bits; a call returns
// when the result is given to the device; all ranks of the group make the same calls in the same order. A rank that ends makes the
// others throw `rank_lost`, and ranks that make different calls get `ranks_disagree` where the member can see it.
import type { Tensor } from "../device/tensor.ts";

/** Ranks that take part, in any order; without it, all of the world. */
export type RankGroup = readonly number[];

export interface Collectives {
  readonly rank: number;
  readonly world: number;
  /** t (f32 or f64, of equal size on all ranks) becomes the sum over ranks. */
  allReduce(t: Tensor, group?: RankGroup): void;
  /** The sum over ranks of a few host numbers. */
  allReduceNumbers(values: number[], group?: RankGroup): number[];
  /**
   * The sum over ranks of t, of which each rank gets its part into `out`: `lengths` are the elements of each rank of the group in
   * ascending order, by default {@link shareLengths}. Bits are those of `allReduce`. f32 or f64.
   */
  reduceScatter(t: Tensor, out: Tensor, options?: PartOptions): void;
  /** The sum over ranks of t (f32 or f64) becomes t of rank `root`; on the others t is left undefined. Bits are those of `allReduce`. */
  reduceTo(t: Tensor, root: number): void;
  /** The parts of all ranks behind one another into `out`, on every rank; any dtype. */
  allGather(part: Tensor, out: Tensor, options?: PartOptions): void;
  /** t of rank `root` on every rank; any dtype. */
  broadcast(t: Tensor, root: number, group?: RankGroup): void;
  /** Bytes of the host, of any length on each rank, on all ranks: in ascending order of ranks. */
  gatherBytes(own: Uint8Array, group?: RankGroup): Uint8Array[];
  /** Returns when all ranks of the group have called it. */
  barrier(group?: RankGroup): void;
  /** Whether transfers run beside the device's own work and may be part of a captured step. */
  readonly overlaps: boolean;
  /** The collectives on tensors that `body` calls, as one transfer; its results may be used after `settle`. */
  together(body: () => void): void;
  /** What the device is given from here on waits for all transfers. */
  settle(): void;
}

export interface PartOptions {
  /** Elements of each rank of the group, in ascending order of ranks. */
  lengths?: readonly number[];
  group?: RankGroup;
}

/** n elements shared out to `size` ranks as evenly as can be, the first ranks one more. */
export function shareLengths(n: number, size: number): number[] {
  return Array.from({ length: size }, (_, i) => Math.floor(n / size) + (i < n % size ? 1 : 0));
}

function copyInto(from: Tensor, to: Tensor): void {
  if (from.numel !== to.numel) throw new Error(`${from.numel} elements do not fit into ${to.numel}`);
  from.device.run("copy", { x: from, y: to });
}

/** World of one: every operation is the identity. */
export const singleRank: Collectives = {
  rank: 0,
  world: 1,
  allReduce: () => {},
  allReduceNumbers: (values) => values,
  reduceScatter: copyInto,
  reduceTo: () => {},
  allGather: copyInto,
  broadcast: () => {},
  gatherBytes: (own) => [own],
  barrier: () => {},
  overlaps: false,
  together: (body) => body(),
  settle: () => {},
};
