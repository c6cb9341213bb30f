// The TypeScript trainer of a supervised softmax fastText model: upstream's updates in upstream's order, one thread.
import { NsaError } from "@nsa/core";
import { argsOf, type FastTextConfig } from "./args.ts";
import { Dictionary, LineRows } from "./dictionary.ts";
import { forEachLine } from "./lines.ts";
import type { FastTextModel } from "./model.ts";

export interface TrainProgress {
  progress: number;
  lr: number;
  loss: number;
}

/** Counts the words of a training file (`__label__x word word …` a line). */
export function buildDictionary(path: string, minCount: number): Dictionary {
  const dictionary = new Dictionary();
  forEachLine(path, (bytes, start, end) => dictionary.addLine(bytes, start, end));
  dictionary.threshold(minCount);
  if (dictionary.nlabels < 2) {
    throw new NsaError({
      code: "fasttext_labels",
      what: `cannot train on ${path}`,
      why: `it has ${dictionary.nlabels} distinct labels and a classifier needs two`,
      fix: "give both positive and negative seed pages",
      exitCode: 3,
    });
  }
  return dictionary;
}

/** Uniform numbers in [0, 1) from a 32-bit state (mulberry32). */
function uniform(seed: number): () => number {
  let a = seed >>> 0;
  return () => {
    a = (a + 0x6d2b79f5) >>> 0;
    let t = Math.imul(a ^ (a >>> 15), 1 | a);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

/**
 * Trains on a file. hidden = mean of the line's rows; p = softmax(W_out · hidden); with α_i = lr (1[i=y] − p_i):
 * rows += Σ α_i W_out[i] / |rows| and W_out[i] += α_i hidden; lr falls linearly with the tokens read.
 */
export function trainFastText(
  path: string,
  config: FastTextConfig,
  onProgress?: (p: TrainProgress) => void,
): FastTextModel {
  const args = argsOf(config);
  const dictionary = buildDictionary(path, args.minCount);
  const { dim } = args;
  const labels = dictionary.nlabels;
  const input = new Float32Array((dictionary.nwords + args.bucket) * dim);
  const output = new Float32Array(labels * dim);
  const next = uniform(config.seed);
  for (let i = 0; i < input.length; i++) input[i] = (next() * 2 - 1) / dim;

  const line = new LineRows();
  const hidden = new Float32Array(dim);
  const grad = new Float32Array(dim);
  const p = new Float64Array(labels);
  const total = dictionary.ntokens * args.epoch;
  let seen = 0;
  let local = 0;
  let lr = config.lr;
  let loss = 0;
  let examples = 0;
  for (let epoch = 0; epoch < args.epoch; epoch++) {
    forEachLine(path, (bytes, start, end) => {
      dictionary.lineRows(bytes, start, end, args.wordNgrams, args.bucket, line);
      local += line.tokens;
      if (line.count > 0 && line.labels.length > 0) {
        const pick = line.labels.length === 1 ? 0 : Math.floor(next() * line.labels.length);
        loss += step(input, output, line.rows, line.count, line.labels[pick]!, lr, hidden, grad, p);
        examples++;
      }
      if (local > args.lrUpdateRate) {
        seen += local;
        local = 0;
        lr = config.lr * Math.max(0, 1 - seen / total);
      }
    });
    onProgress?.({ progress: (epoch + 1) / args.epoch, lr, loss: loss / Math.max(1, examples) });
  }
  return { args, dictionary, input, output };
}

function step(
  input: Float32Array,
  output: Float32Array,
  rows: Int32Array,
  count: number,
  target: number,
  lr: number,
  hidden: Float32Array,
  grad: Float32Array,
  p: Float64Array,
): number {
  const dim = hidden.length;
  hidden.fill(0);
  grad.fill(0);
  for (let r = 0; r < count; r++) {
    const base = rows[r]! * dim;
    for (let k = 0; k < dim; k++) hidden[k]! += input[base + k]!;
  }
  for (let k = 0; k < dim; k++) hidden[k]! /= count;
  let max = -Infinity;
  for (let i = 0; i < p.length; i++) {
    let dot = 0;
    for (let k = 0; k < dim; k++) dot += output[i * dim + k]! * hidden[k]!;
    p[i] = dot;
    if (dot > max) max = dot;
  }
  let z = 0;
  for (let i = 0; i < p.length; i++) {
    p[i] = Math.exp(p[i]! - max);
    z += p[i]!;
  }
  for (let i = 0; i < p.length; i++) {
    p[i]! /= z;
    const alpha = lr * ((i === target ? 1 : 0) - p[i]!);
    const base = i * dim;
    for (let k = 0; k < dim; k++) {
      grad[k]! += alpha * output[base + k]!;
      output[base + k]! += alpha * hidden[k]!;
    }
  }
  const scale = 1 / count;
  for (let k = 0; k < dim; k++) grad[k]! *= scale;
  for (let r = 0; r < count; r++) {
    const base = rows[r]! * dim;
    for (let k = 0; k < dim; k++) input[base + k]! += grad[k]!;
  }
  return -Math.log(p[target]! + 1e-5);
}
