// The likeliest tokens of a position, from its logits on the host.
import type { Tensor } from "@nsa/kernels";
import type { GenerateRequest, TokenLogprob } from "./request.ts";

/** ln Σ exp(x · scale) of a row of logits. */
export function logSumExp(logits_V: ArrayLike<number>, scale = 1): number {
  let most = Number.NEGATIVE_INFINITY;
  for (let j = 0; j < logits_V.length; j++) most = Math.max(most, logits_V[j]! * scale);
  let sum = 0;
  for (let j = 0; j < logits_V.length; j++) sum += Math.exp(logits_V[j]! * scale - most);
  return most + Math.log(sum);
}

/** The k ids with the largest logits, best first, ties to the lower id; `lse` is the row's {@link logSumExp}. */
export function likeliest(logits_V: ArrayLike<number>, k: number, lse: number, scale = 1): TokenLogprob[] {
  const best: number[] = [];
  for (let j = 0; j < logits_V.length; j++) {
    if (best.length === k && !(logits_V[j]! > logits_V[best[k - 1]!]!)) continue;
    let at = best.length;
    while (at > 0 && logits_V[j]! > logits_V[best[at - 1]!]!) at--;
    best.splice(at, 0, j);
    if (best.length > k) best.pop();
  }
  return best.map((id) => ({ id, logp: logits_V[id]! * scale - lse }));
}

/** Per row of logits [B, V], its request's likeliest ids at the sampling temperature; none where none are wanted. */
export function topLogprobs(
  logits: Tensor,
  requests: readonly GenerateRequest[],
): (TokenLogprob[] | undefined)[] {
  const v = logits.shape[1]!;
  return requests.map((r, row) => {
    if (!r.topLogprobs) return undefined;
    const view = logits.view(row * v, [v]);
    const values = view.read();
    view.free();
    const scale = r.sampling.temperature > 0 ? 1 / r.sampling.temperature : 1;
    return likeliest(values, r.topLogprobs, logSumExp(values, scale), scale);
  });
}
