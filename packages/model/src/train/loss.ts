// The contract between trainer and losses, and the loss of pretraining and SFT.
import type { Batch } from "@nsa/core";
import type { Tape, Tensor, TensorMath } from "@nsa/kernels";
import type { DeviceBatch } from "../transformer/transformer.ts";
import type { HeadResult } from "./head.ts";

export interface LossContext extends HeadResult {
  tape: Tape;
  /** Expressions on this tape. */
  math: TensorMath;
  /** [T, D]. */
  hidden: Tensor;
  /** Losses that layers add of their own. */
  aux: Tensor[];
  /** lossWeight on the device, [T]. */
  weight: Tensor;
  /** A column of the batch on the device, [T]. */
  column(name: string): Tensor;
  /** Documents of the micro-batch on the device. */
  device: DeviceBatch;
  /** Sum of weights over all micro-batches and ranks of the step. */
  weightSum: number;
}

export interface LossResult {
  /** [1], already divided by what the step is divided by: micro-batches are summed. */
  loss: Tensor;
  /** Summed over micro-batches; names ending in `_max` take the largest. */
  metrics?: Record<string, Tensor | number>;
}

export type LossFunction = (batch: Batch, context: LossContext) => LossResult;

/** −Σ w·log p / Σ w, nats per weighted token. */
export const crossEntropy: LossFunction = (_, { math, logp, weight, weightSum }) => ({
  loss: math.mul(math.sum(math.mul(logp, weight)), -1 / Math.max(weightSum, 1e-30)),
});
