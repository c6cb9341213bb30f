// Synthetic recall: pairs of key and value early in a sequence, each key asked for once later, among filler.
//
// Ids: keys [0, keys), values [keys, keys + values), filler after them.
import { type Batch, Rng } from "@nsa/core";
import { gatherRows, Tape } from "@nsa/kernels";
import { type Branch, muteBranch, type Transformer } from "@nsa/model";

export interface RecallTask {
  keys: number;
  values: number;
  fillers: number;
  /** Pairs of a sequence, keys all different. */
  pairs: number;
  /** Tokens of a sequence. */
  length: number;
}

export interface RecallBatch extends Batch {
  /** Tokens between a question and its pair; 0 where nothing is asked. */
  distances: Int32Array;
}

export const recallVocabulary = (task: RecallTask) => task.keys + task.values + task.fillers;

/** `rows` sequences; batch number `index` of a stream. Only the answers have targets. */
export function recallBatch(task: RecallTask, rows: number, seed: number, index: number): RecallBatch {
  const { keys, values, fillers, pairs, length } = task;
  const T = rows * length;
  const batch: RecallBatch = {
    tokens: new Int32Array(T),
    targets: new Int32Array(T).fill(-1),
    lossWeight: new Float32Array(T),
    positions: Int32Array.from({ length: T }, (_, t) => t % length),
    cuSeqlens: Int32Array.from({ length: rows + 1 }, (_, i) => i * length),
    sampleIds: Float64Array.from({ length: rows }, (_, i) => index * rows + i),
    distances: new Int32Array(T),
  };
  for (let row = 0; row < rows; row++) {
    const sample = index * rows + row;
    const rng = new Rng(seed, 7000);
    const draw = (n: number, position: number) => rng.int(n, sample, position);
    const base = row * length;
    for (let t = 0; t < length; t++) batch.tokens[base + t] = keys + values + draw(fillers, t);
    const start = 2 * draw(Math.floor(length / 8 - pairs), length);
    const chosen = rng.permutation(keys, 2 * sample);
    const first = start / 2 + pairs;
    const slots = rng.permutation(length / 2 - first, 2 * sample + 1);
    for (let i = 0; i < pairs; i++) {
      const [key, value] = [chosen[i]!, keys + draw(values, length + 1 + i)];
      const [stored, asked] = [start + 2 * i, 2 * (first + slots[i]!)];
      batch.tokens.set([key, value], base + stored);
      batch.tokens.set([key, value], base + asked);
      batch.targets[base + asked] = value;
      batch.lossWeight[base + asked] = 1;
      batch.distances[base + asked] = asked - stored;
    }
  }
  return batch;
}

/** Share of questions further than `beyond` tokens whose most probable next token is the answer. */
export function recallAccuracy(
  model: Transformer,
  batch: RecallBatch,
  beyond: number,
  mute?: Branch,
): number {
  const { device, config } = model;
  using _ = device.scope();
  const rows = Array.from(batch.distances.keys()).filter((t) => batch.distances[t]! > beyond);
  const tape = new Tape(false);
  const uploaded = model.upload(batch);
  const hidden = model.forward(tape, uploaded, { attend: mute && muteBranch(mute, uploaded) });
  const states = gatherRows(tape, hidden, device.from(rows, [rows.length], "i32")).read();
  const head = model.headWeight.read();
  const [V, D] = [config.vocabSize, config.dModel];
  let right = 0;
  for (const [i, t] of rows.entries()) {
    let [best, top] = [-1, Number.NEGATIVE_INFINITY];
    for (let v = 0; v < V; v++) {
      let logit = 0;
      for (let d = 0; d < D; d++) logit += states[i * D + d]! * head[v * D + d]!;
      if (logit > top) [best, top] = [v, logit];
    }
    if (best === batch.targets[t]) right++;
  }
  return right / rows.length;
}
