// Policy losses per token on the per-token log-probability; aggregation weights are applied by the caller.
//
// Legend: n tokens of the micro-batch's outputs, S outputs (samples) in it.
import { Registry } from "@nsa/core";
import type { Tensor, TensorMath } from "@nsa/kernels";
import { type KlKind, klEstimate } from "./kl.ts";

export interface PolicyLossConfig {
  /** Name of a {@link PolicyLossKind}. */
  kind: string;
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
 * Objective of each token, [n], to be maximised. Outputs are drawn from the sampler's π, which rounds differently from the
 * trainer's π_old: the truncated weight min(π_old/π_sampler, cap) takes the objective's expectation to π_old.
 */
export function policyObjective(m: TensorMath, inputs: PolicyLossInputs, config: PolicyLossConfig): Tensor {
  const objective = policyLosses.get(config.kind).objective(m, inputs, config);
  if (!inputs.samplerLogp) return objective;
  const ratio = m.exp(m.detach(m.sub(inputs.oldLogp, inputs.samplerLogp)));
  return m.mul(objective, m.detach(m.min(ratio, config.samplerCap ?? Number.MAX_VALUE)));
}

/** A policy loss: the objective of each token, [n], to be maximised, before the sampler correction. */
export interface PolicyLossKind {
  readonly name: string;
  /** Whether the importance ratio is one of each token or one of each output; diagnostics are taken over the same. */
  readonly ratioOver: "token" | "sequence";
  objective(m: TensorMath, inputs: PolicyLossInputs, config: PolicyLossConfig): Tensor;
}

/** min(ρ·Â, clip(ρ, 1 − ε_low, 1 + ε_high)·Â). */
function clippedObjective(m: TensorMath, ratio: Tensor, advantage: Tensor, config: PolicyLossConfig): Tensor {
  const clipped = m.clamp(ratio, 1 - config.clipEpsLow, 1 + config.clipEpsHigh);
  return m.min(m.mul(ratio, advantage), m.mul(clipped, advantage));
}

/** ρ of each token (PPO, GRPO). */
const grpo: PolicyLossKind = {
  name: "grpo",
  ratioOver: "token",
  objective: (m, { logp, oldLogp, advantage }, config) =>
    clippedObjective(m, m.exp(m.sub(logp, oldLogp)), advantage, config),
};

/** s_i = (π_θ(o)/π_old(o))^(1/|o|): the mean, not the sum, of the log-ratios. */
const gspo: PolicyLossKind = {
  name: "gspo",
  ratioOver: "sequence",
  objective(m, { logp, oldLogp, advantage, cuSamples, inverseLengths }, config) {
    const mean = m.mul(m.segmentSum(m.sub(logp, oldLogp), cuSamples), inverseLengths);
    const ratio = m.exp(m.segmentBroadcast(mean, cuSamples, logp.numel));
    return clippedObjective(m, ratio, advantage, config);
  },
};

/** The clipped importance weight is a constant; every token keeps its gradient. */
const cispo: PolicyLossKind = {
  name: "cispo",
  ratioOver: "token",
  objective(m, { logp, oldLogp, advantage }, config) {
    const ratio = m.exp(m.detach(m.sub(logp, oldLogp)));
    const weight = m.clamp(ratio, 1 - config.clipEpsLow, 1 + config.clipEpsHigh);
    return m.mul(logp, m.mul(m.detach(weight), advantage));
  },
};

const reinforce: PolicyLossKind = {
  name: "reinforce",
  ratioOver: "token",
  objective: (m, { logp, advantage }) => m.mul(logp, advantage),
};

export const policyLosses = new Registry<PolicyLossKind>("loss", {
  needs: { ratioOver: "string", objective: "function" },
}).register(grpo, gspo, cispo, reinforce);

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
