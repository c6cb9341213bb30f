// Losses on preferences: of a pair, from the margin d = log π_θ/π_ref (chosen) − log π_θ/π_ref (rejected), summed over tokens.
//
// Legend: P pairs of the micro-batch.
import { Registry } from "@nsa/core";
import type { Tensor, TensorMath } from "@nsa/kernels";

/** A member of the registry `preference_loss`. */
export interface PreferenceLossKind {
  readonly name: string;
  /** Loss of each pair, [P], from the margins, [P]; β is the strength with which the policy is held to the reference. */
  loss(m: TensorMath, margin: Tensor, beta: number): Tensor;
}

/** −log σ(β·d) (DPO, eq. 7). */
const sigmoid: PreferenceLossKind = {
  name: "sigmoid",
  loss: (m, margin, beta) => m.neg(m.logSigmoid(m.mul(margin, beta))),
};

/** max(0, 1 − β·d) (SLiC, normalized by the reference). */
const hinge: PreferenceLossKind = {
  name: "hinge",
  loss: (m, margin, beta) => m.relu(m.add(m.mul(margin, -beta), 1)),
};

/** (d − 1/(2β))² (IPO, eq. 17): the margin has a finite optimum. */
const ipo: PreferenceLossKind = {
  name: "ipo",
  loss: (m, margin, beta) => m.square(m.sub(margin, 1 / (2 * beta))),
};

export const preferenceLosses = new Registry<PreferenceLossKind>("preference_loss", {
  needs: { loss: "function" },
}).register(sigmoid, hinge, ipo);
