// Step `score`: the classifier's probability of the wanted class for each document of a shard.
import { closeSync, openSync } from "node:fs";
import { resolve } from "node:path";
import { ExitCode, NsaError, writeFully } from "@nsa/core";
import { z } from "zod";
import { type LineScorer, openScorer, resolveEngine } from "../fasttext/engine.ts";
import { hashFile } from "../jobs/manifest.ts";
import type { JobContext } from "../jobs/stage.ts";
import type { BuildConfig } from "../loop/config.ts";
import { scoresBytes } from "../loop/shards.ts";
import type { Document } from "../readers/document.ts";
import { forEachJson } from "../readers/each.ts";
import { TextLines } from "../text/lines.ts";
import type { CleanShard } from "./clean.ts";
import { defineStep, runStep, type Stats, type StepIo } from "./step.ts";

const spec = z.strictObject({
  positiveLabel: z.string().describe("Name of the wanted class."),
  engine: z.enum(["native", "typescript"]).describe("Who scores."),
  modelHash: z.string().describe("Identifies the classifier to a process that has one open."),
});

type ScoreSpec = z.infer<typeof spec>;

interface Plan {
  folder: string;
  shards: CleanShard[];
  model: string;
  scores: string[];
  spec: ScoreSpec;
}

export const scoreStep = defineStep({
  kind: "score",
  spec,
  plan: ({ folder, shards, model, scores, spec }: Plan) =>
    shards.map((s, i) => ({
      name: `${folder}-${s.name}`,
      spec,
      inputs: [s.documents, model],
      outputs: [scores[i]!],
    })),
  run: scoreShard,
});

const BATCH_BYTES = 1 << 22;

let cached: { key: string; scorer: LineScorer } | undefined;

/** Inputs: [documents, model.bin]. Outputs: [scores f32]. */
async function scoreShard(io: StepIo<ScoreSpec>): Promise<Stats> {
  const { positiveLabel: label, engine, modelHash } = io.spec;
  const key = `${io.inputs[1]} ${modelHash} ${label} ${engine}`;
  if (cached?.key !== key) cached = { key, scorer: openScorer(io.inputs[1]!, label, engine) };
  const { scorer } = cached;
  const out = openSync(io.outputs[0]!, "w");
  const lines = new TextLines();
  let documents = 0;
  const flush = () => {
    writeFully(out, scoresBytes(scorer.score(lines.bytes())));
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

const changedModel = (path: string) =>
  new NsaError({
    code: "model_changed",
    what: `${path} cannot be used`,
    why: "it is not what was written when it was trained (its SHA-256 differs)",
    fix: "remove it and run the same command again: it is trained again",
    exitCode: ExitCode.data,
  });

/** Probability of the wanted class for each document; `<folder>/score/NAME.f32`. */
export async function scoreShards(
  ctx: JobContext,
  config: Pick<BuildConfig, "positiveLabel" | "fasttext">,
  shards: CleanShard[],
  model: string,
  folder: string,
): Promise<string[]> {
  const scores = shards.map((s) => `${folder}/score/${s.name}.f32`);
  const modelHash = await hashFile(resolve(ctx.outDir, model));
  const made = ctx.hashes.get(resolve(ctx.outDir, model));
  if (made !== undefined && made !== modelHash) throw changedModel(resolve(ctx.outDir, model));
  const engine = resolveEngine(config.fasttext.engine);
  const spec = { positiveLabel: config.positiveLabel, engine, modelHash };
  await runStep(ctx, `score ${folder}`, scoreStep, { folder, shards, model, scores, spec });
  return scores;
}
