// The seam between model and losses: per-token log-probability, log-sum-exp and entropy, without storing logits for all.
//
// Legend: n rows, D model width, V vocabulary.
import type { Tensor } from "../device/tensor.ts";
import type { Tape } from "../tape.ts";
import { statsDtype } from "./flash-attention.ts";
import { gradientBuffer } from "./nsa-compress.ts";

export interface LmHeadOptions {
  /** Logits are divided by it: the temperature of the policy that sampled the tokens. Default 1. */
  temperature?: number;
  /** Logits are kept for the backward when they need no more bytes than this, else computed again. Default 64 MiB. */
  logitsBudgetBytes?: number;
  /**
   * d loss / d logp of a loss that is linear in logp, [n]: the gradients of h and w are then taken in the forward, where the
   * logits are at hand, and none may flow in through the outputs.
   */
  slope?: Tensor;
}

export interface LmHeadResult {
  /** log p(target), 0 where the target is −1, [n]. */
  logp: Tensor;
  /** logsumexp of the logits, [n]. */
  lse: Tensor;
  /** −Σ p·log p, [n]. */
  entropy: Tensor;
}

/**
 * z = h·Wᵀ / temperature; h [n, D], w [V, D], targets i32 [n]. Gradients may flow in through all three outputs, or are taken at
 * once for a known slope.
 */
export function lmHead(
  tape: Tape,
  h: Tensor,
  w: Tensor,
  targets: Tensor,
  options: LmHeadOptions = {},
): LmHeadResult {
  const device = h.device;
  const [v, d] = [w.shape[0]!, w.shape[1]!];
  const n = targets.numel;
  const stats = statsDtype(h);
  const sizes = { n, d, v, inv_temperature: 1 / (options.temperature ?? 1) };
  const taped = tape.needs(h, w);
  const budget = options.logitsBudgetBytes ?? 64 * 2 ** 20;
  const [logp, lse, entropy] = [0, 0, 0].map(() => device.empty([n], stats)) as [Tensor, Tensor, Tensor];
  const gradients = () => ({
    dh: device.empty(h.shape, h.dtype),
    // A frozen w has no gradient, and none is made: it would be as large as w.
    dw: w.requiresGrad ? gradientBuffer(w) : undefined,
  });
  // A slope uses them up in the forward, where a GPU pads rows to 8 columns.
  const columns = options.slope ? Math.ceil(v / 8) * 8 : v;
  const logits = taped && n * v * 4 <= budget ? device.empty([n, columns], stats) : undefined;
  if (taped && options.slope) {
    const { dh, dw } = gradients();
    const slope = { dlogp: options.slope, dh, dw };
    device.run("lm_head_fwd", { h, w, targets, logp, lse, entropy, logits, ...slope, ...sizes });
    logits?.free();
    tape.accumulate(h, dh);
    return { logp, lse, entropy };
  }
  device.run("lm_head_fwd", { h, w, targets, logp, lse, entropy, logits, ...sizes });
  if (!taped) return { logp, lse, entropy };
  tape.push([logp, lse, entropy], () => {
    const { dh, dw } = gradients();
    const grads = { dlogp: logp.grad, dlse: lse.grad, dentropy: entropy.grad };
    device.run("lm_head_bwd", { h, w, targets, lse, entropy, logits, ...grads, dh, dw, ...sizes });
    logits?.free();
    tape.accumulate(h, dh);
  });
  return { logp, lse, entropy };
}
