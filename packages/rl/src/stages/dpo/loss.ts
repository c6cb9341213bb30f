// The DPO loss as the trainer calls it, and the figures of its pairs.
//
// L = mean over pairs of −log σ(β·[(log π(c) − log π_ref(c)) − (log π(r) − log π_ref(r))]), where log π of an output is the sum over
// its tokens. The gradient with respect to the log-probability of every token of an output is therefore one number:
// −β·σ(−z)/P for the chosen output, the opposite for the rejected one. A segment sum on the tape gives just that.
import type { Metrics } from "@nsa/core";
import { type Device, Tape, type Tensor, TensorMath } from "@nsa/kernels";
import type { LossFunction } from "@nsa/train";
import { preferenceLosses } from "../../algorithm/preference-losses.ts";
import { type PairLogps, pairSums } from "./pair.ts";

export interface PreferenceObjective {
  /** Name of a `PreferenceLossKind`. */
  loss: string;
  beta: number;
}

/** Margins of the pairs, [P]: of log π_θ/π_ref, chosen less rejected, both given for each token, [T]. */
export function pairMargins(
  m: TensorMath,
  { logp, refLogp, sign, cuPairs }: Record<"logp" | "refLogp" | "sign" | "cuPairs", Tensor>,
): Tensor {
  // Token by token first: at the start the two models agree, and the difference of two long sums would round.
  return m.segmentSum(m.mul(m.sub(logp, refLogp), sign), cuPairs);
}

/** Figures of pairs as sums: divide by the number of pairs for their means. Ties count half in the accuracy. */
export function pairFigures(
  policy: readonly PairLogps[],
  reference: readonly PairLogps[],
  beta: number,
): Record<"chosen" | "rejected" | "accuracy" | "margin" | "logpsChosen" | "logpsRejected", number> {
  const sums = { chosen: 0, rejected: 0, accuracy: 0, margin: 0, logpsChosen: 0, logpsRejected: 0 };
  for (const [i, { chosen, rejected }] of policy.entries()) {
    const rewards = [beta * (chosen - reference[i]!.chosen), beta * (rejected - reference[i]!.rejected)];
    const margin = rewards[0]! - rewards[1]!;
    sums.chosen += rewards[0]!;
    sums.rejected += rewards[1]!;
    sums.margin += margin;
    sums.accuracy += margin > 0 ? 1 : margin === 0 ? 0.5 : 0;
    sums.logpsChosen += chosen;
    sums.logpsRejected += rejected;
  }
  return sums;
}

/** Figures as metrics, each divided by `pairs`: those of training, or with `val/` those of held-out pairs. */
export function pairMetrics(
  sums: ReturnType<typeof pairFigures>,
  pairs: number,
  held: "" | "val/" = "",
): Metrics {
  return {
    [`${held}rewards/chosen`]: sums.chosen / pairs,
    [`${held}rewards/rejected`]: sums.rejected / pairs,
    [`${held}dpo/accuracy`]: sums.accuracy / pairs,
    [`${held}dpo/margin`]: sums.margin / pairs,
    [`${held}logps/chosen`]: sums.logpsChosen / pairs,
    [`${held}logps/rejected`]: sums.logpsRejected / pairs,
  };
}

/** The mean loss over the pairs of a step, of micro-batches made by `pairBatch`; the step's `weightSum` is its number of pairs. */
export function dpoLoss({ loss, beta }: PreferenceObjective): LossFunction {
  return (batch, { math: m, logp, column, weightSum }) => {
    const borders = batch.cuSeqlens.filter((_, i) => i % 2 === 0);
    const cuPairs = logp.device.from(borders, [borders.length], "i32");
    const inputs = { logp, refLogp: column("ref_logp"), sign: column("sign"), cuPairs };
    const losses = preferenceLosses.get(loss).loss(m, pairMargins(m, inputs), beta);
    const total = m.mul(m.sum(losses), 1 / weightSum);
    const figures = pairFigures(
      pairSums(batch, logp.read()),
      pairSums(batch, batch.columns!.ref_logp!),
      beta,
    );
    return { loss: total, metrics: { "dpo/loss": total, ...pairMetrics(figures, weightSum) } };
  };
}

/** Losses of pairs by their margins, [P], without gradients. */
export function lossesOf(
  device: Device,
  margins: readonly number[],
  { loss, beta }: PreferenceObjective,
): Float64Array {
  using _ = device.scope();
  const margin = device.from(Float32Array.from(margins), [margins.length], "f32");
  return preferenceLosses
    .get(loss)
    .loss(new TensorMath(new Tape(false)), margin, beta)
    .read();
}
