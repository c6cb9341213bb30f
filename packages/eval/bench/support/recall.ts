// Synthetic recall: facts (a key with its value in one token) early in a sequence, asked for later, among filler.
//
// Ids: fact of key k and value v: k·values + v; then one question a key; then the values; then filler.
import { type Batch, Rng } from "@nsa/core";
import { gatherRows, Tape } from "@nsa/kernels";
import { type Branch, muteBranch, type Transformer } from "@nsa/model";

export interface RecallTask {
  keys: number;
  values: number;
  fillers: number;
  /** Tokens of a sequence. */
  length: number;
  /** First position that may hold a fact. */
  from: number;
}

export interface RecallBatch extends Batch {
  /** Tokens between a question and its fact; 0 where nothing is asked. */
  distances: Int32Array;
}

export const recallVocabulary = (task: RecallTask) =>
  task.keys * task.values + task.keys + task.values + task.fillers;

/** Share of the positions after the facts that ask. An answer never appears among the tokens, so none can be copied. */
const ASKING = 0.25;

/**
 * `rows` sequences; batch number `index` of a stream. Only questions have targets. A sequence has one fact for each of
 * all keys, or, unless `full`, of 2 or an eighth of them in two of three sequences: with few facts learning starts sooner.
 */
export function recallBatch(
  task: RecallTask,
  rows: number,
  seed: number,
  index: number,
  full = false,
): RecallBatch {
  const { keys, values, fillers, length } = task;
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
  const [asks, answers] = [keys * values, keys * values + keys];
  const rng = new Rng(seed, 7000);
  for (let row = 0; row < rows; row++) {
    const sample = index * rows + row;
    const draw = (n: number, position: number) => rng.int(n, sample, position);
    const base = row * length;
    const facts = full ? keys : [2, Math.ceil(keys / 8), keys][draw(3, length)]!;
    const start = task.from + draw(Math.floor(length / 8), length + 1);
    const order = rng.permutation(keys, sample);
    const value = Array.from({ length: facts }, (_, i) => draw(values, length + 2 + i));
    const end = start + 2 * facts;
    for (let t = 0; t < length; t++) {
      const at = base + t;
      const fact = (t - start) / 2;
      if (t >= start && t < end && Number.isInteger(fact)) {
        batch.tokens[at] = order[fact]! * values + value[fact]!;
      } else if (t >= end && rng.uniform(sample, t, 1) < ASKING) {
        const i = draw(facts, t);
        batch.tokens[at] = asks + order[i]!;
        batch.targets[at] = answers + value[i]!;
        batch.lossWeight[at] = 1;
        batch.distances[at] = t - (start + 2 * i);
      } else {
        batch.tokens[at] = answers + values + draw(fillers, t);
      }
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
