// Task `train`: seeds, and pages under accepted URL paths, to a fastText model.
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { FastTextConfig } from "../fasttext/args.ts";
import { LABEL_PREFIX } from "../fasttext/dictionary.ts";
import { type Engine, trainToFile } from "../fasttext/engine.ts";
import type { TaskIo } from "../jobs/task.ts";
import type { Document } from "../readers/document.ts";
import { forEachJson } from "../readers/each.ts";
import { classifierLine } from "../text/lines.ts";
import { annotationMatcher, readAnnotations } from "./annotations.ts";
import { ShuffledLines } from "./shuffle.ts";

/**
 * spec: {fasttext, positiveLabel, refusedAsNegatives, positives, negatives, pool, rounds}; the last four count the
 * inputs: positive seed shards, negative seed shards, pool shards, then for each earlier round the collected column
 * of every pool shard, then the rounds' annotation files. A page joins the positives for good when some round's
 * annotation accepts its path and that round had not collected it. Outputs: [model.bin, training.json].
 */
export async function trainTask(io: TaskIo): Promise<Record<string, unknown>> {
  const { positives, negatives, pool } = io.spec as Record<string, number>;
  const fasttext = FastTextConfig.parse(io.spec.fasttext);
  const label = io.spec.positiveLabel as string;
  const inputs = [...io.inputs];
  const positiveFiles = inputs.splice(0, positives);
  const negativeFiles = inputs.splice(0, negatives);
  const { rounds } = io.spec as Record<string, number>;
  const poolFiles = inputs.splice(0, pool);
  const columns = Array.from({ length: rounds! }, () => inputs.splice(0, pool));
  const lines = new ShuffledLines(`${io.outputs[0]}.unshuffled`);
  const take = (d: Document, name: string) =>
    lines.add(`${LABEL_PREFIX}${name} ${classifierLine(d.title, d.text)}`);
  for (const path of positiveFiles) forEachJson<Document>(path, (d) => take(d, label));
  const seedPositives = lines.count;
  for (const path of negativeFiles) forEachJson<Document>(path, (d) => take(d, "other"));
  const seedNegatives = lines.count - seedPositives;
  let added = 0;
  let refused = 0;
  if (rounds! > 0) {
    const matchers = inputs.map((path) => annotationMatcher(readAnnotations(path)));
    poolFiles.forEach((path, s) => {
      const collected = columns.map((round) => readFileSync(round[s]!));
      forEachJson<Document>(path, (d, i) => {
        const verdicts = matchers.map((verdict) => verdict(d.url, d.domain));
        if (verdicts.some((v, r) => v === true && collected[r]![i] !== 1)) {
          take(d, label);
          added++;
        } else if (verdicts.at(-1) === false && io.spec.refusedAsNegatives === true) {
          take(d, "other");
          refused++;
        }
      });
    });
  }
  const text = `${io.outputs[0]}.txt`;
  lines.writeShuffled(text, fasttext.seed);
  const trained = trainToFile(text, io.outputs[0]!, fasttext, fasttext.engine as Engine);
  rmSync(text);
  const stats = {
    seed_positives: seedPositives,
    seed_negatives: seedNegatives,
    added_positives: added,
    added_negatives: refused,
    words: trained.words,
    training_tokens: trained.tokens,
    loss: trained.loss,
  };
  writeFileSync(io.outputs[1]!, `${JSON.stringify(stats)}\n`);
  return stats;
}
