// `nsa data read|dedup|decontaminate|filter|rank|domains`: the loop up to one step, in the same folder, so that a later
// step or `build` takes up what is there.
import { join } from "node:path";
import { clearTemporaries } from "@nsa/core";
import { writeAtomic } from "../jobs/manifest.ts";
import type { JobContext } from "../jobs/stage.ts";
import { emitRanked } from "../steps/emit.ts";
import { histogramOf } from "../steps/rank.ts";
import type { BuildConfig } from "./config.ts";
import { type ContaminationReport, contaminationReport } from "./contamination.ts";
import { type BuildContext, jobContext } from "./context.ts";
import { dedupShards } from "./dedup.ts";
import { checkLimits } from "./limits.ts";
import { measureRanking, type Quality, readLabels } from "./measure.ts";
import { checkedPages, type FunnelRow, preparePool, readPool } from "./prepare.ts";
import { type RoundReport, rankRound, readSeeds, runRound, scoreRound } from "./round.ts";
import { type NearSample, nearThreshold } from "./samples.ts";
import { readScores } from "./shards.ts";

export const CORPUS_STEPS = ["read", "dedup", "decontaminate", "filter", "rank", "domains"] as const;
export type CorpusStep = (typeof CORPUS_STEPS)[number];

export interface StepReport {
  step: CorpusStep;
  funnel: FunnelRow[];
  /** What the step made, absolute paths. */
  outputs: string[];
  /** Figures of the step itself. */
  figures: Record<string, unknown>;
  /** Records that were refused, with their reasons. */
  quarantine: string;
  /** Scores in fiftieths of [0, 1], and the lowest collected one. */
  histogram?: number[];
  threshold?: number;
  quality?: Quality;
  contamination?: ContaminationReport;
  domains?: Pick<RoundReport, "domains" | "proposedDomains" | "paths">;
  samples?: NearSample[];
}

/**
 * Runs the first round of the loop up to `step`, redoing only what is missing, and writes `reports/STEP.json`.
 * Errors are those of `buildCorpus`.
 */
export async function runCorpusStep(
  step: CorpusStep,
  config: BuildConfig,
  ctx: BuildContext = {},
): Promise<StepReport> {
  checkLimits(config);
  const job = jobContext(config, ctx);
  clearTemporaries(job.outDir);
  try {
    const made = await run(step, config, job);
    const report: StepReport = {
      step,
      ...made,
      outputs: made.outputs.map((path) => join(job.outDir, path)),
      quarantine: join(job.outDir, "quarantine.jsonl"),
    };
    writeAtomic(join(job.outDir, `reports/${step}.json`), `${JSON.stringify(report, null, 1)}\n`);
    return report;
  } finally {
    job.executor.close?.();
  }
}

/** The step's report with `outputs` relative to the run's folder. */
async function run(
  step: CorpusStep,
  config: BuildConfig,
  job: JobContext,
): Promise<Omit<StepReport, "step" | "quarantine">> {
  if (step === "read" || step === "dedup") {
    const { shards, funnel } = await readPool(job, config);
    if (step === "read") return { funnel, outputs: shards.map((s) => s.documents), figures: {} };
    const { verdicts, stats } = await dedupShards(job, config, shards);
    const dropped = Object.values(stats).reduce((n, x) => n + x, 0);
    const documents = funnel.at(-1)!.documents - dropped;
    funnel.push({ step: "deduplicated", documents, detail: stats });
    return { funnel, outputs: verdicts, figures: stats };
  }
  const labels = config.labels ? await readLabels(config.labels, config.positiveLabel) : undefined;
  const seeds = step === "decontaminate" ? undefined : await readSeeds(job, config);
  const { shards, funnel } = await preparePool(job, config);
  const outputs = shards.map((s) => s.documents);
  if (!seeds) {
    const contamination = contaminationReport(job.outDir, shards, checkedPages(funnel));
    return { funnel, outputs, figures: {}, contamination };
  }

  const history = { columns: [], annotations: [] };
  const inputs = { job, config, seeds, round: 1, shards, history, labels };
  if (step === "filter") {
    const { scores, train } = await scoreRound(inputs);
    return {
      funnel,
      outputs: scores,
      figures: train,
      histogram: histogramOf(scores.map((path) => readScores(join(job.outDir, path)))),
      quality: labels && measureRanking(job.outDir, shards, scores, labels),
    };
  }
  if (step === "rank") {
    const { order, stats, quality } = await rankRound(inputs);
    funnel.push({ step: "ranked", documents: stats.collected, tokens: stats.collected_tokens });
    const { histogram, threshold, near_threshold: _, shard_starts: __, ...figures } = stats;
    return {
      funnel,
      outputs: await emitRanked(job, shards, order, stats),
      figures,
      histogram,
      threshold,
      quality,
      samples: nearThreshold(job.outDir, shards, stats),
    };
  }
  const { report } = await runRound(inputs);
  const { rank, quality, domains, proposedDomains, paths } = report;
  funnel.push({ step: "ranked", documents: rank.collected, tokens: rank.collected_tokens });
  return {
    funnel,
    outputs: ["round-1/domains.json"],
    figures: { domains: domains.length, proposed_domains: proposedDomains.length, paths: paths.length },
    histogram: rank.histogram,
    threshold: rank.threshold,
    quality,
    domains: { domains, proposedDomains, paths },
  };
}
