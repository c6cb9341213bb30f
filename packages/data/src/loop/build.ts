// `nsa data build`: rounds of train → score → rank → domains → annotate, until little new is collected.
import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { NsaError } from "@nsa/core";
import { resolveEngine } from "../fasttext/engine.ts";
import { localExecutor } from "../jobs/local.ts";
import { clearTemporaries, writeAtomic } from "../jobs/manifest.ts";
import { slurmExecutor } from "../jobs/slurm.ts";
import {
  type Executor,
  inlineExecutor,
  type JobContext,
  runStage,
  type StageProgress,
} from "../jobs/stage.ts";
import { offerAnnotations } from "./annotations.ts";
import type { BuildConfig } from "./config.ts";
import { type ContaminationReport, contaminationReport } from "./contamination.ts";
import type { DomainRow, PathProposal } from "./domains.ts";
import { measureRanking, type Quality, readLabels } from "./measure.ts";
import type { RankStats } from "./rank-task.ts";
import { type NearSample, nearThreshold } from "./samples.ts";
import {
  type CleanShard,
  cleanStep,
  dedupStep,
  domainsStep,
  emitStep,
  type FunnelRow,
  rankStep,
  readStep,
  scoreStep,
} from "./steps.ts";
import { TASKS } from "./tasks.ts";

export interface BuildContext {
  executor?: Executor;
  onProgress?: (p: StageProgress) => void;
  signal?: AbortSignal;
}

export interface RoundReport {
  round: number;
  train: Record<string, unknown>;
  rank: RankStats;
  /** Share of the collected pages that the round before had not collected. */
  newShare: number;
  domains: DomainRow[];
  proposedDomains: string[];
  paths: PathProposal[];
  quality?: Quality;
}

export interface BuildReport {
  status: "finished" | "annotation_needed";
  /** Set when a person should edit it before the next run. */
  annotationFile?: string;
  stoppedBecause?: "little_new" | "max_rounds" | "nothing_accepted";
  funnel: FunnelRow[];
  rounds: RoundReport[];
  contamination: ContaminationReport;
  samples: NearSample[];
  /** Relative to out_dir. */
  outputs: string[];
}

type ExecutorConfig = Pick<BuildConfig, "executor" | "workers" | "slurm">;

function executorOf(config: ExecutorConfig, signal?: AbortSignal): Executor {
  switch (config.executor) {
    case "inline":
      return inlineExecutor(TASKS);
    case "local":
      return localExecutor({ workers: config.workers, signal });
    case "slurm":
      return slurmExecutor({ flags: config.slurm.flags, atOnce: config.slurm.at_once });
  }
}

/** Context for calling single steps: `jobContext(config)`, then `readStep(job, config, …)` and so on. */
export function jobContext(config: ExecutorConfig & { out_dir: string }, ctx: BuildContext = {}): JobContext {
  return {
    outDir: resolve(config.out_dir),
    executor: ctx.executor ?? executorOf(config, ctx.signal),
    hashes: new Map(),
    onProgress: ctx.onProgress,
    signal: ctx.signal,
  };
}

async function trainStep(
  job: JobContext,
  config: BuildConfig,
  seeds: { positives: string[]; negatives: string[] },
  round: number,
  pool: CleanShard[],
  columns: string[][],
  annotations: string[],
): Promise<{ model: string; stats: Record<string, unknown> }> {
  const folder = `round-${round}`;
  const [manifest] = await runStage(job, `train ${folder}`, [
    {
      kind: "train",
      name: folder,
      spec: {
        fasttext: { ...config.fasttext, engine: resolveEngine(config.fasttext.engine) },
        positive_label: config.positive_label,
        refused_as_negatives: config.loop.refused_as_negatives,
        positives: seeds.positives.length,
        negatives: seeds.negatives.length,
        pool: annotations.length > 0 ? pool.length : 0,
        rounds: annotations.length,
      },
      inputs: [
        ...seeds.positives,
        ...seeds.negatives,
        ...(annotations.length > 0 ? pool.map((s) => s.documents) : []),
        ...columns.flat(),
        ...annotations,
      ],
      outputs: [`${folder}/model.bin`, `${folder}/training.json`],
    },
  ]);
  return { model: `${folder}/model.bin`, stats: manifest!.stats };
}

/**
 * Runs the loop in `config.out_dir`, redoing only what is missing. Without `auto_annotate` it stops after each
 * round's proposals with status `annotation_needed`; the next call goes on with the edited file.
 */
export async function buildCorpus(config: BuildConfig, ctx: BuildContext = {}): Promise<BuildReport> {
  const job = jobContext(config, ctx);
  try {
    return await build(job, config);
  } finally {
    job.executor.close?.();
  }
}

async function build(job: JobContext, config: BuildConfig): Promise<BuildReport> {
  clearTemporaries(job.outDir);
  const labels = config.labels ? await readLabels(config.labels, config.positive_label) : undefined;
  const positives = (await readStep(job, config, config.positives, "positives")).shards.map(
    (s) => s.documents,
  );
  const negatives = (await readStep(job, config, config.negatives, "negatives")).shards.map(
    (s) => s.documents,
  );
  const read = await readStep(job, config, config.inputs);
  const { verdicts, stats: dropped } = await dedupStep(job, config, read.shards);
  const clean = await cleanStep(job, config, read.shards, verdicts);
  const funnel: FunnelRow[] = [
    { step: "records", documents: read.documents + read.refused },
    { step: "read", documents: read.documents, detail: read.reasons },
    { step: "deduplicated", documents: clean.deduplicated, detail: dropped },
    {
      step: "filtered",
      documents: clean.filtered,
      detail: { short: clean.dropped.short ?? 0, language: clean.dropped.language ?? 0 },
    },
    {
      step: "decontaminated",
      documents: clean.documents,
      tokens: clean.tokens,
      detail: { contaminated: clean.dropped.contaminated ?? 0 },
    },
  ];
  if (clean.documents === 0) {
    throw new NsaError({
      code: "nothing_to_rank",
      what: "no document of the pool is left to rank",
      why: `of ${read.documents} read, ${clean.deduplicated} were no duplicates and ${clean.filtered} passed the filters`,
      fix: "check `inputs`, `min_chars`, `languages` and the quarantine file",
      exitCode: 3,
    });
  }
  const contamination = contaminationReport(job.outDir, clean.shards);

  const rounds: RoundReport[] = [];
  const annotations: string[] = [];
  const columns: string[][] = [];
  let last: { order: string; stats: RankStats } | undefined;
  let stoppedBecause: BuildReport["stoppedBecause"] = "max_rounds";
  let annotationFile: string | undefined;
  for (let round = 1; round <= config.loop.max_rounds; round++) {
    const folder = `round-${round}`;
    const trained = await trainStep(
      job,
      config,
      { positives, negatives },
      round,
      clean.shards,
      columns,
      annotations,
    );
    const scores = await scoreStep(job, config, clean.shards, trained.model, folder);
    const ranked = await rankStep(job, config, clean.shards, scores, folder, columns.at(-1));
    const domainsFile = await domainsStep(job, config, clean.shards, scores, ranked.collected, folder);
    const found = JSON.parse(readFileSync(join(job.outDir, domainsFile), "utf8")) as {
      domains: DomainRow[];
      proposed: DomainRow[];
      paths: PathProposal[];
    };
    const newShare = ranked.stats.newly_collected / Math.max(1, ranked.stats.collected);
    rounds.push({
      round,
      train: trained.stats,
      rank: ranked.stats,
      newShare,
      domains: found.domains,
      proposedDomains: found.proposed.map((d) => d.domain),
      paths: found.paths,
      quality: labels && measureRanking(job.outDir, clean.shards, scores, labels),
    });
    last = ranked;
    columns.push(ranked.collected);
    if (round > 1 && newShare <= config.loop.stop_new_share) {
      stoppedBecause = "little_new";
      break;
    }
    if (round === config.loop.max_rounds) break;
    const path = join(job.outDir, `annotations/round-${round}.yaml`);
    const { existed } = offerAnnotations(
      path,
      round,
      job.hashes.get(join(job.outDir, domainsFile))!,
      found.paths,
    );
    if (!existed && !config.loop.auto_annotate) {
      annotationFile = path;
      break;
    }
    annotations.push(path);
  }
  const outputs = await emitStep(job, clean.shards, last!.order, last!.stats);
  funnel.push({
    step: "ranked",
    documents: last!.stats.collected,
    tokens: last!.stats.collected_tokens,
  });
  const report: BuildReport = {
    status: annotationFile ? "annotation_needed" : "finished",
    annotationFile,
    stoppedBecause: annotationFile ? undefined : stoppedBecause,
    funnel,
    rounds,
    contamination,
    samples: nearThreshold(job.outDir, clean.shards, last!.stats),
    outputs,
  };
  writeAtomic(join(job.outDir, "report.json"), `${JSON.stringify(report, null, 1)}\n`);
  return report;
}
