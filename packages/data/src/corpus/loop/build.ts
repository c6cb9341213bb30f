// `nsa data build`: rounds of train → score → rank → domains → annotate, until little new is collected.
import { join } from "node:path";
import { clearTemporaries } from "@nsa/core";
import { writeAtomic } from "../jobs/manifest.ts";
import type { JobContext } from "../jobs/stage.ts";
import { emitRanked } from "../steps/emit.ts";
import type { History } from "../steps/train.ts";
import { offerAnnotations } from "./annotations.ts";
import type { BuildConfig } from "./config.ts";
import { type ContaminationReport, contaminationReport } from "./contamination.ts";
import { type BuildContext, jobContext } from "./context.ts";
import { checkLimits, idleLimits, warnOfPool } from "./limits.ts";
import { readLabels } from "./measure.ts";
import { checkedPages, type FunnelRow, preparePool } from "./prepare.ts";
import { type Round, type RoundReport, readSeeds, runRound } from "./round.ts";
import { type NearSample, nearThreshold } from "./samples.ts";

export interface BuildReport {
  status: "finished" | "annotation_needed";
  /** Set when a person should edit it before the next run. */
  annotationFile?: string;
  stoppedBecause?: "little_new" | "maxRounds";
  funnel: FunnelRow[];
  rounds: RoundReport[];
  contamination: ContaminationReport;
  samples: NearSample[];
  /** What is likelier a mistake than meant: limits that bind nothing, annotated paths without a page. */
  warnings: string[];
  /** Relative to outDir. */
  outputs: string[];
}

/**
 * Runs the loop in `config.outDir`, redoing only what is missing. Without `auto_annotate` it stops after each
 * round's proposals with status `annotation_needed`; the next call goes on with the edited file.
 */
export async function buildCorpus(config: BuildConfig, ctx: BuildContext = {}): Promise<BuildReport> {
  checkLimits(config);
  const job = jobContext(config, ctx);
  try {
    return await build(job, config, ctx.onWarning);
  } finally {
    job.executor.close?.();
  }
}

async function build(
  job: JobContext,
  config: BuildConfig,
  onWarning?: (text: string) => void,
): Promise<BuildReport> {
  clearTemporaries(job.outDir);
  const labels = config.labels ? await readLabels(config.labels, config.positiveLabel) : undefined;
  const seeds = await readSeeds(job, config);
  const { shards, funnel } = await preparePool(job, config);
  const contamination = contaminationReport(job.outDir, shards, checkedPages(funnel));
  const early = warnOfPool(config, funnel.at(-1)!.tokens!);
  if (early !== undefined) onWarning?.(early);

  const rounds: RoundReport[] = [];
  const history: History = { columns: [], annotations: [] };
  let last: Round | undefined;
  let stoppedBecause: BuildReport["stoppedBecause"] = "maxRounds";
  let annotationFile: string | undefined;
  for (let round = 1; round <= config.loop.maxRounds; round++) {
    last = await runRound({ job, config, seeds, round, shards, history, labels });
    rounds.push(last.report);
    history.columns.push(last.collected);
    if (round > 1 && last.report.newShare <= config.loop.stopNewShare) {
      stoppedBecause = "little_new";
      break;
    }
    if (round === config.loop.maxRounds) break;
    const path = join(job.outDir, `annotations/round-${round}.yaml`);
    const { existed } = offerAnnotations(path, round, last.proposalsHash, last.report.paths);
    if (!existed && !config.loop.autoAnnotate) {
      annotationFile = path;
      break;
    }
    history.annotations.push(path);
  }
  const { rank } = last!.report;
  const outputs = await emitRanked(job, shards, last!.order, rank);
  funnel.push({ step: "ranked", documents: rank.collected, tokens: rank.collected_tokens });
  const report: BuildReport = {
    status: annotationFile ? "annotation_needed" : "finished",
    annotationFile,
    stoppedBecause: annotationFile ? undefined : stoppedBecause,
    funnel,
    rounds,
    contamination,
    samples: nearThreshold(job.outDir, shards, rank),
    warnings: warningsOf(config, rounds),
    outputs,
  };
  writeAtomic(join(job.outDir, "report.json"), `${JSON.stringify(report, null, 1)}\n`);
  return report;
}

function warningsOf(config: BuildConfig, rounds: readonly RoundReport[]): string[] {
  const out = idleLimits(config, rounds);
  const unmatched = new Set(rounds.flatMap((r) => (r.train.unmatched_paths as string[] | undefined) ?? []));
  if (unmatched.size > 0) out.push(`annotated paths match no page: ${[...unmatched].join(", ")}`);
  return out;
}
