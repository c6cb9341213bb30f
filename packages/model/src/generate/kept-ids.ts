// The ids that top-k, top-p and min-p keep of a row of logits, by the rules of the device's `sample`.
//
// Ranks are by falling logit, ties to the lower id. min-p and top-k cut first; of what is left, the shortest beginning with a mass of
// at least top-p of the whole vocabulary stays.
import type { Tensor } from "@nsa/kernels";
import type { GenerateRequest, SamplingParams } from "./request.ts";

/** Kept ids, best first. A rounding of the mass at the border may keep one more or one less than the device does. */
export function keptOf(
  logits_V: ArrayLike<number>,
  { temperature, topP, minP, topK }: SamplingParams,
): number[] {
  const scale = temperature > 0 ? 1 / temperature : 1;
  const z = Float32Array.from(logits_V, (x) => x * Math.fround(scale));
  let most = Number.NEGATIVE_INFINITY;
  for (const x of z) most = Math.max(most, x);
  const threshold = minP > 0 ? Math.log(minP) + most : Number.NEGATIVE_INFINITY;
  const ids: number[] = [];
  let sum = 0;
  for (let j = 0; j < z.length; j++) {
    sum += Math.exp(z[j]! - most);
    if (z[j]! >= threshold || z[j] === most) ids.push(j);
  }
  ids.sort((a, b) => z[b]! - z[a]! || a - b);
  const limit = temperature > 0 ? (topK > 0 ? topK : ids.length) : 1;
  if (topP >= 1) return ids.slice(0, limit);
  let [mass, count] = [0, 0];
  while (count < Math.min(limit, ids.length) && (count === 0 || mass < topP))
    mass += Math.exp(z[ids[count++]!]! - most) / sum;
  return ids.slice(0, count);
}

/** Per row of logits [B, V] the ids that its request keeps, the drawn one first; none where none are wanted. */
export function keptIds(
  logits: Tensor,
  requests: readonly GenerateRequest[],
  drawn: ArrayLike<number>,
): (number[] | undefined)[] {
  const V = logits.shape[1]!;
  return requests.map(({ keptIds: wanted, sampling }, row) => {
    if (!wanted) return undefined;
    const view = logits.view(row * V, [V]);
    const values = view.read();
    view.free();
    const id = drawn[row]!;
    return [id, ...keptOf(values, sampling).filter((other) => other !== id)];
  });
}
