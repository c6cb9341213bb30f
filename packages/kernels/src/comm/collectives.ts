// Communication between ranks of a data-parallel run; one rank needs none.
import type { Tensor } from "../device/tensor.ts";

export interface Collectives {
  readonly rank: number;
  readonly world: number;
  /** t becomes the sum over ranks, in the order of ranks on every rank. */
  allReduceSum(t: Tensor): void;
  /** The sum over ranks of a few host numbers. */
  allReduceNumbers(values: number[]): number[];
}

/** World of one: every operation is the identity. */
export const singleRank: Collectives = {
  rank: 0,
  world: 1,
  allReduceSum: () => {},
  allReduceNumbers: (values) => values,
};
