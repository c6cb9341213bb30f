// The loss of distillation: a divergence from the teacher's distribution over the whole vocabulary, at the positions that are learned.
import type { Batch } from "@nsa/core";
import { distillHead, gatherRows, Tape } from "@nsa/kernels";
import type { Transformer } from "@nsa/model";
import type { LossContext, LossFunction } from "../loss.ts";
import type { DivergenceKind } from "./divergences.ts";

export interface DistillationSettings {
  divergence: DivergenceKind;
  temperature: number;
  /** The teacher's most likely tokens; 0 = all. */
  topK: number;
  /** Share of the divergence in the loss; the rest is cross-entropy of the examples' tokens. */
  weight: number;
}

/** Σ over learned positions of weight·divergence + (1 − weight)·(−log p(target)), over the sum of weights. */
export function distillation(
  student: Transformer,
  teacher: Transformer,
  { divergence, temperature, topK, weight }: DistillationSettings,
): LossFunction {
  const { device } = student;
  return (
    batch: Batch,
    { tape, math, hidden, logp, weight: weights, inverseWeightSum, weightSum }: LossContext,
  ) => {
    const at = Int32Array.from([...batch.lossWeight.keys()].filter((t) => batch.lossWeight[t] !== 0));
    const rows = device.from(at, [at.length], "i32");
    const shares = Float64Array.from(at, (t) => (weight * batch.lossWeight[t]!) / weightSum);
    const slopes = device.from(shares, [at.length], logp.dtype);
    const without = new Tape(false);
    // Documents of its own: they carry what the teacher's kinds of attention need.
    const seen = gatherRows(without, teacher.forward(without, teacher.upload(batch)), rows);
    const each = distillHead(
      tape,
      { h: gatherRows(tape, hidden, rows), w: student.headWeight },
      { h: seen, w: teacher.headWeight },
      slopes,
      divergence.rows,
      { temperature, topK },
    );
    // Its gradients are taken; what follows is a number to report, and the cross-entropy's own gradient.
    const value = math.sum(math.mul(each, slopes));
    const tokens = math.mul(math.neg(math.sum(math.mul(logp, weights))), inverseWeightSum);
    const loss = weight < 1 ? math.add(math.mul(tokens, 1 - weight), value) : value;
    const reported = weight > 0 ? math.mul(math.detach(value), 1 / weight) : math.detach(value);
    return {
      loss,
      metrics: { "distill/divergence": reported, "distill/cross_entropy": math.detach(tokens) },
    };
  };
}
