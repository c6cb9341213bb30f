// Task `score`: the classifier's probability of the wanted class for each document of a shard.
import { closeSync, openSync, writeSync } from "node:fs";
import { type Engine, type LineScorer, openScorer } from "../fasttext/engine.ts";
import type { TaskIo } from "../jobs/task.ts";
import type { Document } from "../readers/document.ts";
import { forEachJson } from "../readers/each.ts";
import { classifierLine } from "./normalise.ts";
import { scoresBytes } from "./shards.ts";

const BATCH_CHARS = 1 << 22;

let cached: { key: string; scorer: LineScorer } | undefined;

/** spec: {positiveLabel, engine, modelHash}. Inputs: [documents, model.bin]. Outputs: [scores f32]. */
export async function scoreTask(io: TaskIo): Promise<Record<string, unknown>> {
  const label = io.spec.positiveLabel as string;
  const engine = io.spec.engine as Engine;
  const key = `${io.inputs[1]} ${io.spec.modelHash} ${label} ${engine}`;
  if (cached?.key !== key) cached = { key, scorer: openScorer(io.inputs[1]!, label, engine) };
  const { scorer } = cached;
  const out = openSync(io.outputs[0]!, "w");
  let lines: string[] = [];
  let chars = 0;
  let documents = 0;
  const flush = () => {
    writeSync(out, scoresBytes(scorer.score(lines)));
    documents += lines.length;
    lines = [];
    chars = 0;
  };
  forEachJson<Document>(io.inputs[0]!, (d) => {
    const line = classifierLine(d.title, d.text);
    lines.push(line);
    chars += line.length;
    if (chars > BATCH_CHARS) flush();
  });
  if (lines.length > 0) flush();
  closeSync(out);
  return { documents };
}
