// The `data` stage of a pipeline: the corpus loop of `nsa data build`, with its figures as metrics.
import { join, resolve } from "node:path";
import { defineStage, type Metrics, outputsNamed, type StageRunner } from "@nsa/core";
import { type BuildReport, buildCorpus } from "./build.ts";
import { BuildConfig } from "./config.ts";

/** `corpus/<step>_documents` and `_tokens` of the funnel, and what the rounds measured against labels. */
function figures({ funnel, rounds }: BuildReport): Metrics {
  const metrics: Metrics = {};
  for (const { step, documents, tokens } of funnel) {
    metrics[`corpus/${step}_documents`] = documents;
    if (tokens !== undefined) metrics[`corpus/${step}_tokens`] = tokens;
  }
  metrics["corpus/rounds"] = rounds.length;
  const quality = rounds.at(-1)?.quality;
  if (quality) metrics["corpus/average_precision"] = quality.averagePrecision;
  return metrics;
}

/**
 * Outputs `ranked` (pattern of the collected pages' files), `report` (JSON) and `dir`. A killed run redoes only what
 * is missing. Without `auto_annotate` it stops for the person who edits the proposals, as an interruption does.
 */
export const runCorpus: StageRunner<BuildConfig> = async (config, context) => {
  context.emit({ type: "start", totalSteps: 1, step: 0 });
  let report: BuildReport;
  try {
    report = await buildCorpus(config, {
      signal: context.signal,
      onWarning: (text) => context.log(text, "warn"),
      onProgress: ({ stage, done, total, skipped }) => {
        if (done === total) context.log(`${stage}: ${total - skipped} done, ${skipped} from before`);
      },
    });
  } catch (error) {
    if (!context.interrupted()) throw error;
    return { status: "interrupted", step: 0, metrics: {}, outputs: {} };
  }
  if (report.status === "annotation_needed") {
    context.log(`edit ${report.annotationFile}, then go on with --resume`, "warn");
    return { status: "interrupted", step: 0, metrics: {}, outputs: {} };
  }
  const metrics = figures(report);
  context.emit({ type: "step", step: 1, totalSteps: 1, metrics });
  context.emit({ type: "done", step: 1, metrics });
  const dir = resolve(config.outDir);
  const outputs = { dir, ranked: join(dir, "ranked", "*.jsonl"), report: join(dir, "report.json") };
  return { status: "completed", step: 1, metrics, outputs };
};

export const corpusStage = defineStage({
  name: "data",
  about: "collect a corpus from crawl files by the classifier loop",
  schema: BuildConfig,
  run: runCorpus,
  estimate: () => ({}),
  plannedOutputs: outputsNamed("dir", "ranked", "report"),
  overview: {
    result: "{corpus/ranked_documents:count} pages kept, {corpus/ranked_tokens:count} tokens",
  },
});
