// Synthetic recall: facts in the first half of a document, asked for in the second, among filler.
//
// A fact is one token, key and value together, so that one attention layer can answer and nothing hinges on a head that
// copies the token before. Ids: fact of key k and value v: k·values + v; then one question a key; then the values (targets
// only); then filler. Documents of several lengths are packed together: what answers forms in short ones first.
import { type Batch, Rng } from "@nsa/core";
import { gatherRows, Tape } from "@nsa/kernels";
import { type Branch, muteBranch, type Transformer } from "@nsa/model";

export interface RecallTask {
  keys: number;
  values: number;
  fillers: number;
  /** Tokens of the longest document. */
  length: number;
  /** First position that may hold a fact in the longest document. */
  from: number;
  /** Tokens of the stretch that holds a document's facts, for each of them; the stretch lies anywhere before the middle. */
  spread: number;
  /** Share of the positions after the facts that ask. */
  asking: number;
}

export interface RecallBatch extends Batch {
  /** Tokens between a question and its fact; 0 where nothing is asked. */
  distances: Int32Array;
}

export const recallVocabulary = (task: RecallTask) =>
  task.keys * task.values + task.keys + task.values + task.fillers;

/** Most facts of a document: every key once, or as many as find room. */
export function mostFacts(task: RecallTask, length: number): number {
  const places = Math.floor(length / 2) - firstFact(task, length);
  return Math.max(1, Math.min(task.keys, Math.floor(places / task.spread)));
}

const firstFact = (task: RecallTask, length: number) => Math.floor((task.from * length) / task.length);

/** Documents of a batch: each of the lengths fills the same share of the tokens. */
export function recallLengths(lengths: readonly number[], tokens: number): number[] {
  return lengths.flatMap((length) =>
    Array.from({ length: Math.max(1, Math.floor(tokens / lengths.length / length)) }, () => length),
  );
}

/** How many facts a document has: few more often than many (their logarithm is uniform), evenly drawn, or the most. */
type Amount = "few" | "even" | "all";

/** One document a length, each with 1 to `mostFacts` facts; batch number `index` of a stream. Only questions have targets. */
export function recallBatch(
  task: RecallTask,
  lengths: readonly number[],
  seed: number,
  index: number,
  amount: Amount,
): RecallBatch {
  const { keys, values, fillers } = task;
  const T = lengths.reduce((a, b) => a + b, 0);
  const batch: RecallBatch = {
    tokens: new Int32Array(T),
    targets: new Int32Array(T).fill(-1),
    lossWeight: new Float32Array(T),
    positions: new Int32Array(T),
    cuSeqlens: new Int32Array(lengths.length + 1),
    sampleIds: Float64Array.from(lengths, (_, i) => index * lengths.length + i),
    distances: new Int32Array(T),
  };
  const asks = keys * values;
  const [answers, filler] = [asks + keys, asks + keys + values];
  const rng = new Rng(seed, 7000);
  let base = 0;
  for (const [row, length] of lengths.entries()) {
    const sample = index * lengths.length + row;
    const draw = (n: number, position: number) => rng.int(n, sample, position);
    const most = mostFacts(task, length);
    const u = rng.uniform(sample, length);
    const facts = amount === "all" ? most : Math.ceil(amount === "few" ? most ** u : most * u);
    const end = Math.floor(length / 2);
    const stretch = facts * task.spread;
    const start = firstFact(task, length) + draw(end - firstFact(task, length) - stretch + 1, length + 1);
    const key = rng.permutation(keys, sample).subarray(0, facts);
    const place = rng.permutation(stretch, sample + 2 ** 31).subarray(0, facts);
    const value = Array.from({ length: facts }, (_, i) => draw(values, length + 2 + i));
    for (let t = 0; t < length; t++) {
      const at = base + t;
      batch.positions[at] = t;
      const u = rng.uniform(sample, t, 1);
      if (t >= end && u < task.asking) {
        const i = Math.floor((u / task.asking) * facts);
        batch.tokens[at] = asks + key[i]!;
        batch.targets[at] = answers + value[i]!;
        batch.lossWeight[at] = 1;
        batch.distances[at] = t - (start + place[i]!);
      } else {
        const rest = t >= end ? (u - task.asking) / (1 - task.asking) : u;
        batch.tokens[at] = filler + Math.floor(rest * fillers);
      }
    }
    for (let i = 0; i < facts; i++) {
      batch.tokens[base + start + place[i]!] = key[i]! * values + value[i]!;
    }
    base += length;
    batch.cuSeqlens[row + 1] = base;
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
