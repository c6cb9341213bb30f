// Losses of reward models by name: what a batch of labelled numbers costs.
import { Registry } from "@nsa/core";
import type { TensorMath } from "@nsa/kernels";
import type { ScalarOutputs } from "@nsa/model";
import type { LossContext, LossFunction } from "@nsa/train";

export interface RewardLoss {
  readonly name: string;
  /** Texts of an example: 1, or 2 for a better and a worse one. */
  texts: 1 | 2;
  /** Whether σ of a number is a probability of being right. */
  probability: boolean;
  /** The sum over examples, divided by what the step is divided by. Column `label` is in [0, 1], or +1 and −1 for pairs. */
  loss: LossFunction<LossContext<ScalarOutputs>>;
  /** The same for one example on the host, nats: its numbers and their labels. */
  value(numbers: readonly number[], labels: readonly number[]): number;
}

/** log(1 + eˣ) without overflow. */
export const softplus = (x: number) => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)));

/** −y·log σ(v) − (1 − y)·log σ(−v) = −log σ(v) + (1 − y)·v. */
const crossEntropyOf = (m: TensorMath, { value, column }: LossContext<ScalarOutputs>) =>
  m.sub(m.mul(value, m.add(m.neg(column("label")), 1)), m.logSigmoid(value));

const pointwise: RewardLoss = {
  name: "pointwise",
  texts: 1,
  probability: true,
  loss: Object.assign(
    (_: unknown, context: LossContext<ScalarOutputs>) => {
      const { math: m, weight, inverseWeightSum } = context;
      return { loss: m.mul(m.sum(m.mul(crossEntropyOf(m, context), weight)), inverseWeightSum) };
    },
    { static: true as const },
  ),
  value: ([v], [y]) => softplus(-v!) + (1 - y!) * v!,
};

/** Every two documents are a pair: the better text, labelled +1, before the worse one, labelled −1. */
const bradleyTerry: RewardLoss = {
  name: "bradley_terry",
  texts: 2,
  probability: false,
  loss: (batch, { math: m, value, column, inverseWeightSum }) => {
    const borders = batch.cuSeqlens.filter((_, i) => i % 2 === 0);
    const pairs = value.device.from(borders, [borders.length], "i32");
    const margin = m.segmentSum(m.mul(value, column("label")), pairs);
    return { loss: m.mul(m.neg(m.sum(m.logSigmoid(margin))), inverseWeightSum) };
  },
  value: ([chosen, rejected]) => softplus(rejected! - chosen!),
};

export const rewardLosses = new Registry<RewardLoss>("reward_loss").register(pointwise, bradleyTerry);
