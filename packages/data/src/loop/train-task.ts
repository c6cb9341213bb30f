// Task `train`: seeds, and pages under accepted URL paths, to a fastText model.
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { FastTextConfig } from "../fasttext/args.ts";
import { LABEL_PREFIX } from "../fasttext/dictionary.ts";
import { writeModel } from "../fasttext/model.ts";
import { trainFastText } from "../fasttext/train.ts";
import type { TaskIo } from "../jobs/task.ts";
import type { Document } from "../readers/document.ts";
import { forEachJson } from "../readers/each.ts";
import { annotationMatcher, readAnnotations } from "./annotations.ts";
import { classifierLine } from "./normalise.ts";

/** Deterministic shuffle of [0, n) (Fisher–Yates over a 32-bit LCG). */
export function shuffledIndices(n: number, seed: number): Uint32Array {
  const order = Uint32Array.from({ length: n }, (_, i) => i);
  let s = (seed ^ 0x9e3779b9) >>> 0;
  for (let i = n - 1; i > 0; i--) {
    s = (Math.imul(s, 1664525) + 1013904223) >>> 0;
    const j = Math.floor((s / 4294967296) * (i + 1));
    const t = order[i]!;
    order[i] = order[j]!;
    order[j] = t;
  }
  return order;
}

/**
 * spec: {fasttext, positive_label, positives, negatives, pool, first_annotation}: counts of input files in that
 * order: positive and negative seed shards, then for each pool shard documents and the collected column of the
 * round before, then annotation files of all earlier rounds. Outputs: [model.bin, seeds.json].
 */
export async function trainTask(io: TaskIo): Promise<Record<string, unknown>> {
  const { positives, negatives, pool } = io.spec as Record<string, number>;
  const fasttext = FastTextConfig.parse(io.spec.fasttext);
  const label = io.spec.positive_label as string;
  const inputs = [...io.inputs];
  const positiveFiles = inputs.splice(0, positives);
  const negativeFiles = inputs.splice(0, negatives);
  const poolFiles = inputs.splice(0, 2 * (pool ?? 0));
  const lines: string[] = [];
  const take = (d: Document, name: string) =>
    lines.push(`${LABEL_PREFIX}${name} ${classifierLine(d.title, d.text)}`);
  for (const path of positiveFiles) forEachJson<Document>(path, (d) => take(d, label));
  const seedPositives = lines.length;
  for (const path of negativeFiles) forEachJson<Document>(path, (d) => take(d, "other"));
  const seedNegatives = lines.length - seedPositives;
  let added = 0;
  if (inputs.length > 0) {
    const matchers = inputs.map((path) => annotationMatcher(readAnnotations(path)));
    for (let s = 0; s < poolFiles.length; s += 2) {
      const collected = readFileSync(poolFiles[s + 1]!);
      forEachJson<Document>(poolFiles[s]!, (d, i) => {
        if (collected[i] === 1 || !matchers.some((accepts) => accepts(d.url, d.domain))) return;
        take(d, label);
        added++;
      });
    }
  }
  const text = `${io.outputs[0]}.txt`;
  const order = shuffledIndices(lines.length, fasttext.seed);
  writeFileSync(text, "");
  for (let at = 0; at < order.length; at += 4096) {
    const part = Array.from(order.subarray(at, at + 4096), (i) => `${lines[i]}\n`);
    writeFileSync(text, part.join(""), { flag: "a" });
  }
  const model = trainFastText(text, fasttext);
  writeModel(io.outputs[0]!, model);
  rmSync(text);
  const stats = {
    seed_positives: seedPositives,
    seed_negatives: seedNegatives,
    added_positives: added,
    words: model.dictionary.nwords,
    training_tokens: model.dictionary.ntokens,
  };
  writeFileSync(io.outputs[1]!, `${JSON.stringify(stats)}\n`);
  return stats;
}
