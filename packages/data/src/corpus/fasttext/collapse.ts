// Scoring by the collapsed table. A supervised softmax is linear in the mean of the rows, so each input row needs
// only its dot products with differences of label rows: logit_i − logit_0 = mean over rows of table_i[row].
import { closeSync, openSync } from "node:fs";
import { NsaError } from "@nsa/core";
import { type Dictionary, LineRows } from "./dictionary.ts";
import { type FastTextModel, readFloats, readHeader } from "./model.ts";

const BLOCK_ROWS = 4096;

export interface CollapsedModel {
  dictionary: Dictionary;
  wordNgrams: number;
  bucket: number;
  /** Labels without prefix, in output order. */
  labels: string[];
  /** [labels − 1][rows]: logit difference of label i + 1 against label 0 that each row contributes. */
  tables: Float32Array[];
}

export interface Prediction {
  label: string;
  probability: number;
}

function collapseRows(
  rows: Float32Array,
  output: Float32Array,
  dim: number,
  tables: Float32Array[],
  at: number,
) {
  const n = rows.length / dim;
  for (let i = 0; i < tables.length; i++) {
    const table = tables[i]!;
    const delta = new Float64Array(dim);
    for (let k = 0; k < dim; k++) delta[k] = output[(i + 1) * dim + k]! - output[k]!;
    for (let r = 0; r < n; r++) {
      let dot = 0;
      const base = r * dim;
      for (let k = 0; k < dim; k++) dot += rows[base + k]! * delta[k]!;
      table[at + r] = dot;
    }
  }
}

function labelsOf(dictionary: Dictionary): string[] {
  return Array.from({ length: dictionary.nlabels }, (_, i) => dictionary.label(i).replace(/^__label__/, ""));
}

/** Collapses a model that is in memory. */
export function collapse(model: FastTextModel): CollapsedModel {
  const { args, dictionary, input, output } = model;
  const rows = input.length / args.dim;
  const tables = Array.from({ length: dictionary.nlabels - 1 }, () => new Float32Array(rows));
  collapseRows(input, output, args.dim, tables, 0);
  return {
    dictionary,
    wordNgrams: args.wordNgrams,
    bucket: args.bucket,
    labels: labelsOf(dictionary),
    tables,
  };
}

/** Collapses a `.bin` by streaming its matrix: memory is the dictionary, the tables and one block of rows. */
export function collapseFile(path: string): CollapsedModel {
  const { args, dictionary, inputRows, inputOffset, outputRows, outputOffset } = readHeader(path);
  const output = new Float32Array(outputRows * args.dim);
  const tables = Array.from({ length: dictionary.nlabels - 1 }, () => new Float32Array(inputRows));
  const fd = openSync(path, "r");
  try {
    readFloats(fd, outputOffset, output, path);
    const block = new Float32Array(BLOCK_ROWS * args.dim);
    for (let row = 0; row < inputRows; row += BLOCK_ROWS) {
      const rows = block.subarray(0, Math.min(BLOCK_ROWS, inputRows - row) * args.dim);
      readFloats(fd, inputOffset + row * args.dim * 4, rows, path);
      collapseRows(rows, output, args.dim, tables, row);
    }
  } finally {
    closeSync(fd);
  }
  return {
    dictionary,
    wordNgrams: args.wordNgrams,
    bucket: args.bucket,
    labels: labelsOf(dictionary),
    tables,
  };
}

/** Scores lines with the collapsed tables; one instance per thread of work (it reuses its buffers). */
export class CollapsedScorer {
  private line = new LineRows();
  private encoder = new TextEncoder();
  private bytes = new Uint8Array(1 << 16);
  private positive: number;

  /** `positive` names the label whose probability `score` returns. */
  constructor(
    readonly model: CollapsedModel,
    positive: string,
  ) {
    this.positive = model.labels.indexOf(positive);
    if (this.positive < 0) {
      throw new NsaError({
        code: "fasttext_label_unknown",
        what: `the model has no label ${positive}`,
        why: `its labels are ${model.labels.join(", ")}`,
        fix: "set `positive_label` to one of them",
        exitCode: 2,
      });
    }
  }

  /** Probabilities of all labels for one line of UTF-8 (no newline inside). */
  probabilities(bytes: Uint8Array, start: number, end: number): Float64Array {
    const { dictionary, wordNgrams, bucket, tables } = this.model;
    dictionary.lineRows(bytes, start, end, wordNgrams, bucket, this.line);
    const { rows, count } = this.line;
    const p = new Float64Array(tables.length + 1);
    let max = 0;
    for (let i = 0; i < tables.length; i++) {
      const table = tables[i]!;
      let sum = 0;
      for (let r = 0; r < count; r++) sum += table[rows[r]!]!;
      p[i + 1] = count > 0 ? sum / count : 0;
      if (p[i + 1]! > max) max = p[i + 1]!;
    }
    let z = 0;
    for (let i = 0; i < p.length; i++) {
      p[i] = Math.exp(p[i]! - max);
      z += p[i]!;
    }
    for (let i = 0; i < p.length; i++) p[i]! /= z;
    return p;
  }

  /** Probability of the positive label for each newline-ended line. */
  scoreLines(lines: Uint8Array): Float32Array {
    const out: number[] = [];
    for (let from = 0; from < lines.length; ) {
      const newline = lines.indexOf(10, from);
      const end = newline < 0 ? lines.length : newline;
      out.push(this.probabilities(lines, from, end)[this.positive]!);
      from = end + 1;
    }
    return Float32Array.from(out);
  }

  /** Probability of the positive label for one line of text. */
  score(text: string): number {
    if (this.bytes.length < text.length * 3) this.bytes = new Uint8Array(text.length * 6);
    const { written } = this.encoder.encodeInto(text, this.bytes);
    return this.probabilities(this.bytes, 0, written)[this.positive]!;
  }

  predict(bytes: Uint8Array, start: number, end: number): Prediction {
    const p = this.probabilities(bytes, start, end);
    let best = 0;
    for (let i = 1; i < p.length; i++) if (p[i]! > p[best]!) best = i;
    return { label: this.model.labels[best]!, probability: p[best]! };
  }
}
