// Policy losses per token on the per-token log-probability; aggregation weights are applied by the caller.
//
// Legend: n tokens of the micro-batch's outputs, S outputs (samples) in it.
import type { Tensor, TensorMath } from "@nsa/kernels";
import { type KlKind, klEstimate } from "./kl.ts";

export type PolicyLossKind = "grpo" | "gspo" | "cispo" | "reinforce";

export interface PolicyLossConfig {
  kind: PolicyLossKind;
  /** Lower and upper clip range; DAPO's clip-higher sets them apart. */
  clipEpsLow: number;
  clipEpsHigh: number;
  /** Largest weight of the sampler correction. */
  samplerCap?: number;
}

export interface PolicyLossInputs {
  /** log π_θ of the sampled tokens, [n], on the tape. */
  logp: Tensor;
  /** log π_old, [n]. */
  oldLogp: Tensor;
  /** Â, [n]. */
  advantage: Tensor;
  /** log π of the sampler, [n]; where it is given, tokens are weighed by min(π_old/π_sampler, samplerCap). */
  samplerLogp?: Tensor;
  /** Borders of the outputs among the n tokens, i32 [S + 1]; needed by gspo. */
  cuSamples: Tensor;
  /** 1/|o_i| of each output, [S]; needed by gspo. */
  inverseLengths: Tensor;
}

/**
 * Objective of each token, [n], to be maximised. Outputs are drawn from the sampler's π, which rounds otherwise than the
 * trainer's π_old: the truncated weight min(π_old/π_sampler, cap) takes the objective's expectation to π_old.
 */
export function policyObjective(m: TensorMath, inputs: PolicyLossInputs, config: PolicyLossConfig): Tensor {
  const objective = plainObjective(m, inputs, config);
  if (!inputs.samplerLogp) return objective;
  const ratio = m.exp(m.detach(m.sub(inputs.oldLogp, inputs.samplerLogp)));
  return m.mul(objective, m.detach(m.min(ratio, config.samplerCap ?? Number.MAX_VALUE)));
}

function plainObjective(m: TensorMath, inputs: PolicyLossInputs, config: PolicyLossConfig): Tensor {
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
