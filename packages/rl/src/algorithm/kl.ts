// Estimators of KL(π_θ ‖ π_ref) from the log-probabilities of sampled tokens, as numbers and as tensors on the tape.
import type { Tensor, TensorMath } from "@nsa/kernels";

/** k1 = log π_θ − log π_ref, k2 = k1²/2, k3 = π_ref/π_θ − log(π_ref/π_θ) − 1 (DeepSeekMath eq. 4). */
export type KlKind = "k1" | "k2" | "k3";

/** The estimate of one token. */
export function klValue(logp: number, refLogp: number, kind: KlKind): number {
  const k1 = logp - refLogp;
  if (kind === "k1") return k1;
  return kind === "k2" ? 0.5 * k1 * k1 : Math.exp(-k1) + k1 - 1;
}

/**
 * The estimate of every token, [n]. As a loss, k1 has no gradient in expectation and k3's is eq. 21's β(π_ref/π_θ − 1);
 * as a reward, k1 is unbiased.
 */
export function klEstimate(m: TensorMath, logp: Tensor, refLogp: Tensor, kind: KlKind): Tensor {
  const k1 = m.sub(logp, refLogp);
  if (kind === "k1") return k1;
  if (kind === "k2") return m.mul(m.square(k1), 0.5);
  return m.sub(m.add(m.exp(m.neg(k1)), k1), 1);
}
