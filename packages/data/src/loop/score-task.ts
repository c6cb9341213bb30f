// Task `score`: the classifier's probability of the wanted class for each document of a shard.
import { writeFileSync } from "node:fs";
import { CollapsedScorer, collapseFile } from "../fasttext/collapse.ts";
import type { TaskIo } from "../jobs/task.ts";
import type { Document } from "../readers/document.ts";
import { forEachJson } from "../readers/each.ts";
import { classifierLine } from "./normalise.ts";
import { scoresBytes } from "./shards.ts";

let cached: { key: string; scorer: CollapsedScorer } | undefined;

/** spec: {positive_label, model_hash}. Inputs: [documents, model.bin]. Outputs: [scores f32]. */
export async function scoreTask(io: TaskIo): Promise<Record<string, unknown>> {
  const label = io.spec.positive_label as string;
  const key = `${io.inputs[1]} ${io.spec.model_hash} ${label}`;
  if (cached?.key !== key) cached = { key, scorer: new CollapsedScorer(collapseFile(io.inputs[1]!), label) };
  const { scorer } = cached;
  const scores: number[] = [];
  forEachJson<Document>(io.inputs[0]!, (d) => {
    scores.push(scorer.score(classifierLine(d.title, d.text)));
  });
  writeFileSync(io.outputs[0]!, scoresBytes(scores));
  return { documents: scores.length };
}
