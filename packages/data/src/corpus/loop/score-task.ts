// Task `score`: the classifier's probability of the wanted class for each document of a shard.
import { closeSync, openSync, writeSync } from "node:fs";
import { type Engine, type LineScorer, openScorer } from "../fasttext/engine.ts";
import type { TaskIo } from "../jobs/task.ts";
import type { Document } from "../readers/document.ts";
import { forEachJson } from "../readers/each.ts";
import { TextLines } from "../text/lines.ts";
import { scoresBytes } from "./shards.ts";

const BATCH_BYTES = 1 << 22;

let cached: { key: string; scorer: LineScorer } | undefined;

/** spec: {positiveLabel, engine, modelHash}. Inputs: [documents, model.bin]. Outputs: [scores f32]. */
export async function scoreTask(io: TaskIo): Promise<Record<string, unknown>> {
  const label = io.spec.positiveLabel as string;
  const engine = io.spec.engine as Engine;
  const key = `${io.inputs[1]} ${io.spec.modelHash} ${label} ${engine}`;
  if (cached?.key !== key) cached = { key, scorer: openScorer(io.inputs[1]!, label, engine) };
  const { scorer } = cached;
  const out = openSync(io.outputs[0]!, "w");
  const lines = new TextLines();
  let documents = 0;
  const flush = () => {
    writeSync(out, scoresBytes(scorer.score(lines.bytes())));
    documents += lines.count;
    lines.clear();
  };
  forEachJson<Document>(io.inputs[0]!, (d) => {
    lines.addClassifierLine(d.title, d.text);
    if (lines.length > BATCH_BYTES) flush();
  });
  if (lines.count > 0) flush();
  closeSync(out);
  return { documents };
}
