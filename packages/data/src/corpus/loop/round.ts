// One round of the loop: train, score, rank, domain table.
import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { NsaError } from "@nsa/core";
import { resolveEngine } from "../fasttext/engine.ts";
import { type JobContext, runStage } from "../jobs/stage.ts";
import type { BuildConfig } from "./config.ts";
import type { DomainRow, PathProposal } from "./domains.ts";
import { measureRanking, type Quality } from "./measure.ts";
import type { RankStats } from "./rank-task.ts";
import { type CleanShard, domainsStep, rankStep, readStep, scoreStep } from "./steps.ts";

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

export interface Seeds {
  positives: string[];
  negatives: string[];
}

/** Seed shards. Throws NsaError `seeds_missing` (exit 2) when there is neither a model nor both kinds of seeds. */
export async function readSeeds(job: JobContext, config: BuildConfig): Promise<Seeds> {
  const given = config.positives.length > 0 && config.negatives.length > 0;
  if (!given && (!config.model || config.loop.maxRounds > 1)) {
    throw new NsaError({
      code: "seeds_missing",
      what: "there is nothing to train the classifier on",
      why: "`positives` or `negatives` is empty, and only a single round with `model` can do without",
      fix: "give both seeds, or `model` with `loop.max_rounds: 1`",
      exitCode: 2,
    });
  }
  const read = async (set: "positives" | "negatives") =>
    config[set].length === 0
      ? []
      : (await readStep(job, config, config[set], set)).shards.map((s) => s.documents);
  return { positives: await read("positives"), negatives: await read("negatives") };
}

async function trainStep(
  job: JobContext,
  config: BuildConfig,
  seeds: Seeds,
  round: number,
  pool: CleanShard[],
  columns: string[][],
  annotations: string[],
): Promise<{ model: string; stats: Record<string, unknown> }> {
  const folder = `round-${round}`;
  if (round === 1 && config.model) return { model: resolve(config.model), stats: { given: config.model } };
  const [manifest] = await runStage(job, `train ${folder}`, [
    {
      kind: "train",
      name: folder,
      spec: {
        fasttext: { ...config.fasttext, engine: resolveEngine(config.fasttext.engine) },
        positiveLabel: config.positiveLabel,
        refusedAsNegatives: config.loop.refusedAsNegatives,
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

/** What the rounds so far leave to the next: collected columns and annotation files, one of each a round. */
export interface History {
  columns: string[][];
  annotations: string[];
}

export interface Round {
  report: RoundReport;
  scores: string[];
  order: string;
  collected: string[];
  /** Hash of the round's domain table and proposals. */
  proposalsHash: string;
}

/** Trains (or takes the given model) and scores all shards. */
export async function scoreRound(
  job: JobContext,
  config: BuildConfig,
  seeds: Seeds,
  round: number,
  shards: CleanShard[],
  { columns, annotations }: History,
): Promise<{ scores: string[]; train: Record<string, unknown> }> {
  const trained = await trainStep(job, config, seeds, round, shards, columns, annotations);
  const scores = await scoreStep(job, config, shards, trained.model, `round-${round}`);
  return { scores, train: trained.stats };
}

export interface Ranked {
  scores: string[];
  train: Record<string, unknown>;
  order: string;
  collected: string[];
  stats: RankStats;
  quality?: Quality;
}

/** Scores and ranks; with labels, measures the ranking. */
export async function rankRound(
  job: JobContext,
  config: BuildConfig,
  seeds: Seeds,
  round: number,
  shards: CleanShard[],
  history: History,
  labels: Map<string, boolean> | undefined,
): Promise<Ranked> {
  const { scores, train } = await scoreRound(job, config, seeds, round, shards, history);
  const ranked = await rankStep(job, config, shards, scores, `round-${round}`, history.columns.at(-1));
  return { scores, train, ...ranked, quality: labels && measureRanking(job.outDir, shards, scores, labels) };
}

export async function runRound(
  job: JobContext,
  config: BuildConfig,
  seeds: Seeds,
  round: number,
  shards: CleanShard[],
  history: History,
  labels: Map<string, boolean> | undefined,
): Promise<Round> {
  const ranked = await rankRound(job, config, seeds, round, shards, history, labels);
  const { scores, order, collected, stats } = ranked;
  const domainsFile = await domainsStep(job, config, shards, scores, collected, `round-${round}`);
  const found = JSON.parse(readFileSync(join(job.outDir, domainsFile), "utf8")) as {
    domains: DomainRow[];
    proposed: DomainRow[];
    paths: PathProposal[];
  };
  return {
    scores,
    order,
    collected,
    proposalsHash: job.hashes.get(join(job.outDir, domainsFile))!,
    report: {
      round,
      train: ranked.train,
      rank: stats,
      newShare: stats.newly_collected / Math.max(1, stats.collected),
      domains: found.domains,
      proposedDomains: found.proposed.map((d) => d.domain),
      paths: found.paths,
      quality: ranked.quality,
    },
  };
}
