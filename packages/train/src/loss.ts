// The contract between trainer and losses, and the loss of pretraining and SFT.
import type { Batch } from "@nsa/core";
import type { Tape, Tensor, TensorMath } from "@nsa/kernels";
import type { DeviceBatch, HeadOutputs, LmOutputs } from "@nsa/model";

/** What a loss is given besides the outputs of the model's head. */
export interface LossInputs {
  tape: Tape;
  /** Expressions on this tape. */
  math: TensorMath;
  /** [T, D]. */
  hidden: Tensor;
  /** Auxiliary losses of the layers, each [1]; the trainer adds them to the loss by itself. */
  aux: readonly Tensor[];
  /** lossWeight on the device, [T]. */
  weight: Tensor;
  /** A column of the batch on the device, [T]. */
  column(name: string): Tensor;
  /** Documents of the micro-batch on the device. */
  device: DeviceBatch;
  /** Sum of weights over all micro-batches and ranks of the step. */
  weightSum: number;
  /** 1 / weightSum on the device, [1]: what a static loss multiplies by. */
  inverseWeightSum: Tensor;
}

/** What a loss is given: by default the outputs of a language model's head. */
export type LossContext<H extends HeadOutputs = LmOutputs> = LossInputs & H;

export interface LossResult {
  /** [1], already divided by what the step is divided by: micro-batches are summed. */
  loss: Tensor;
  /** Summed over micro-batches; names ending in `_max` take the largest. */
  metrics?: Record<string, Tensor | number>;
  /** Values that {@link LossFunction.figures} takes, by name; not of a static loss. */
  rows?: Record<string, Tensor>;
}

/** What a slope may depend on: nothing that the forward finds out. */
export type SlopeContext = Pick<LossContext, "math" | "weight" | "inverseWeightSum">;

export interface LossFunction<C = LossContext> {
  (batch: Batch, context: C): LossResult;
  /**
   * d loss / d logp, [T], of a loss that is linear in the log-probabilities and takes no other gradient: the head's gradients are
   * then taken in its forward, which saves making the logits twice.
   */
  slope?: (context: SlopeContext) => Tensor;
  /**
   * Metrics of a micro-batch that the host makes of the loss's `rows`, in addition to the loss's own. Called once the step's update was
   * given to the device, so that the device does not wait for the host in the middle of a step.
   */
  figures?: (batch: Batch, rows: Record<string, Float64Array>) => Record<string, number>;
  /**
   * The loss asks for the same ops on tensors of the context whatever the batch holds, and reads no value on the host:
   * where the device can, its micro-batches are then run as captured steps. T may be padded with rows of weight 0, and
   * `weightSum` is that of the batch it was recorded with, so it uses `inverseWeightSum`.
   */
  static?: true;
}

/** A loss for whatever head the model has. */
export type AnyLoss = LossFunction<never>;

/** −Σ w·log p / Σ w, nats per weighted token. */
export const crossEntropy: LossFunction = Object.assign(
  (_: Batch, { math, logp, weight, inverseWeightSum }: LossContext) => ({
    loss: math.mul(math.neg(math.sum(math.mul(logp, weight))), inverseWeightSum),
  }),
  {
    slope: ({ math, weight, inverseWeightSum }: SlopeContext) => math.mul(math.neg(weight), inverseWeightSum),
    static: true as const,
  },
);
