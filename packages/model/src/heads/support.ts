// Log-probabilities under a policy that is cut to a set of ids at each position, as top-k, top-p and min-p cut the sampler's.
//
// Legend: T tokens, D width, V vocabulary, n positions, K ids of all positions' sets.
import { embedding, repeatRows, type Tape, type Tensor, TensorMath } from "@nsa/kernels";
import type { Transformer } from "../transformer/transformer.ts";

/** One position: the row of hidden that predicts it, and its kept ids, the sampled one first. */
export interface SupportPosition {
  row: number;
  kept: readonly number[];
}

/**
 * ln π(first id | kept ids), [n]: logits of the kept ids alone, divided by the temperature, under a softmax over them. Gradients flow
 * into hidden [T, D] and into the head's weight. Memory: 2·K·D values.
 */
export function supportLogp(
  model: Transformer,
  tape: Tape,
  hidden: Tensor,
  positions: readonly SupportPosition[],
  temperature = 1,
): Tensor {
  const { device, config } = model;
  const D = config.dModel;
  const i32 = (values: readonly number[]) => device.from(Int32Array.from(values), [values.length], "i32");
  const borders = (lengths: readonly number[]) => {
    const cu = [0];
    for (const length of lengths) cu.push(cu.at(-1)! + length);
    return cu;
  };
  const ids = positions.flatMap(({ kept }) => [...kept]);
  const K = ids.length;
  const starts = borders(positions.map(({ kept }) => kept.length));
  const m = new TensorMath(tape);
  const weights = embedding(tape, model.headWeight, i32(ids));
  const states = repeatRows(tape, hidden, i32(positions.flatMap(({ row, kept }) => kept.map(() => row))));
  const products = m.mul(states, weights);
  const scaled = m.mul(
    m.segmentSum(products, i32(Array.from({ length: K + 1 }, (_, i) => i * D))),
    1 / temperature,
  );
  // The largest logit of each set, so that no exponential overflows; a constant, since it cancels.
  const values = scaled.read();
  const most = positions.map((_, i) => {
    let largest = Number.NEGATIVE_INFINITY;
    for (let k = starts[i]!; k < starts[i + 1]!; k++) largest = Math.max(largest, values[k]!);
    return largest;
  });
  const cu = i32(starts);
  const shift = m.segmentBroadcast(device.from(Float32Array.from(most), [most.length], scaled.dtype), cu, K);
  const z = m.sub(scaled, shift);
  // The first id of each set, by a mask.
  const first = new Float32Array(K);
  for (const start of starts.slice(0, -1)) first[start] = 1;
  const chosen = m.segmentSum(m.mul(z, device.from(first, [K], z.dtype)), cu);
  return m.sub(chosen, m.log(m.segmentSum(m.exp(z), cu)));
}
