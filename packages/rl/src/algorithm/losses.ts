// Policy losses per token on the per-token log-probability; aggregation weights are applied by the caller.
//
// Legend: n tokens of the micro-batch's outputs, S outputs (samples) in it.
import type { Tensor, TensorMath } from "@nsa/kernels";

export type PolicyLossKind = "grpo" | "gspo" | "cispo" | "reinforce";
export type KlKind = "k1" | "k2" | "k3";

export interface PolicyLossConfig {
  kind: PolicyLossKind;
  /** Lower and upper clip range; DAPO's clip-higher sets them apart. */
  clipEpsLow: number;
  clipEpsHigh: number;
}

export interface PolicyLossInputs {
  /** log π_θ of the sampled tokens, [n], on the tape. */
  logp: Tensor;
  /** log π_old, [n]. */
  oldLogp: Tensor;
  /** Â, [n]. */
  advantage: Tensor;
  /** Borders of the outputs among the n tokens, i32 [S + 1]; needed by gspo. */
  cuSamples: Tensor;
  /** 1/|o_i| of each output, [S]; needed by gspo. */
  inverseLengths: Tensor;
}

/** Objective of each token, [n], to be maximised. */
export function policyObjective(m: TensorMath, inputs: PolicyLossInputs, config: PolicyLossConfig): Tensor {
  const { logp, oldLogp, advantage } = inputs;
  const logRatio = m.sub(logp, oldLogp);
  if (config.kind === "reinforce") return m.mul(logp, advantage);
  if (config.kind === "cispo") {
    // The clipped importance weight is a constant; every token keeps its gradient.
    const weight = m.clamp(m.exp(m.detach(logRatio)), 1 - config.clipEpsLow, 1 + config.clipEpsHigh);
    return m.mul(logp, m.mul(m.detach(weight), advantage));
  }
  let ratio: Tensor;
  if (config.kind === "gspo") {
    // s_i = (π_θ(o)/π_old(o))^(1/|o|): the mean, not the sum, of the log-ratios.
    const mean = m.mul(m.segmentSum(logRatio, inputs.cuSamples), inputs.inverseLengths);
    ratio = m.exp(m.segmentBroadcast(mean, inputs.cuSamples, logp.numel));
  } else {
    ratio = m.exp(logRatio);
  }
  const clipped = m.clamp(ratio, 1 - config.clipEpsLow, 1 + config.clipEpsHigh);
  return m.min(m.mul(ratio, advantage), m.mul(clipped, advantage));
}

/**
 * Estimator of KL(π_θ ‖ π_ref) per token, [n]:
 * k1 = log π_θ − log π_ref, k2 = k1²/2, k3 = π_ref/π_θ − log(π_ref/π_θ) − 1 (DeepSeekMath eq. 4).
 */
export function klEstimate(m: TensorMath, logp: Tensor, refLogp: Tensor, kind: KlKind): Tensor {
  const k1 = m.sub(logp, refLogp);
  if (kind === "k1") return k1;
  if (kind === "k2") return m.mul(m.square(k1), 0.5);
  return m.sub(m.add(m.exp(m.neg(k1)), k1), 1);
}

/** Loss to minimise: −Σ_t w_t·(objective_t − β·KL_t), [1]. */
export function policyLoss(
  m: TensorMath,
  inputs: PolicyLossInputs & { weight: Tensor; refLogp?: Tensor },
  config: PolicyLossConfig & { klCoef: number; klKind: KlKind },
): Tensor {
  let objective = policyObjective(m, inputs, config);
  if (config.klCoef !== 0 && inputs.refLogp) {
    const kl = klEstimate(m, inputs.logp, inputs.refLogp, config.klKind);
    objective = m.sub(objective, m.mul(kl, config.klCoef));
  }
  return m.mul(m.sum(m.mul(objective, inputs.weight)), -1);
}
