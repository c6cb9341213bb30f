// One round of the loop: train, score, rank, domain table.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { NsaError } from "@nsa/core";
import type { JobContext } from "../jobs/stage.ts";
import type { CleanShard } from "../steps/clean.ts";
import { proposeInRound } from "../steps/domains.ts";
import { type RankStats, rankShards } from "../steps/rank.ts";
import { readShards } from "../steps/read.ts";
import { scoreShards } from "../steps/score.ts";
import { type History, type Seeds, trainRound } from "../steps/train.ts";
import type { BuildConfig } from "./config.ts";
import type { DomainRow, PathProposal } from "./domains.ts";
import { type Cut, type Labels, measureRanking, precisionCut, type Quality } from "./measure.ts";

export interface RoundReport {
  round: number;
  /** Where `min_precision` set the lowest score. */
  cut?: Cut;
  train: Record<string, unknown>;
  rank: RankStats;
  /** Share of the collected pages that the round before had not collected. */
  newShare: number;
  domains: DomainRow[];
  proposedDomains: string[];
  paths: PathProposal[];
  quality?: Quality;
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
      : (await readShards(job, config, config[set], set)).shards.map((s) => s.documents);
  return { positives: await read("positives"), negatives: await read("negatives") };
}

export interface Round {
  report: RoundReport;
  scores: string[];
  order: string;
  collected: string[];
  /** Hash of the round's domain table and proposals. */
  proposalsHash: string;
}

/** What a round works on. */
export interface RoundInputs {
  job: JobContext;
  config: BuildConfig;
  seeds: Seeds;
  /** From 1. */
  round: number;
  shards: CleanShard[];
  /** What the rounds before collected and annotated. */
  history: History;
  /** True labels by document id: with them, the ranking is measured. */
  labels?: Labels;
}

/** Trains (or takes the given model) and scores all shards. */
export async function scoreRound(
  inputs: RoundInputs,
): Promise<{ scores: string[]; train: Record<string, unknown> }> {
  const { job, config, seeds, round, shards, history } = inputs;
  const trained = await trainRound(job, config, seeds, round, shards, history);
  const scores = await scoreShards(job, config, shards, trained.model, `round-${round}`);
  return { scores, train: trained.stats };
}

export interface Ranked {
  scores: string[];
  train: Record<string, unknown>;
  order: string;
  collected: string[];
  stats: RankStats;
  cut?: Cut;
  quality?: Quality;
}

/** Scores and ranks; with labels, measures the ranking. */
export async function rankRound(inputs: RoundInputs): Promise<Ranked> {
  const { job, config, round, shards, history, labels } = inputs;
  const { scores, train } = await scoreRound(inputs);
  const target = config.minPrecision;
  const cut = labels && target > 0 ? precisionCut(job.outDir, shards, scores, { labels, target }) : undefined;
  const minScore = Math.max(config.minScore, cut?.score ?? 0);
  const settings = { ...config, minScore };
  const ranked = await rankShards(job, settings, shards, scores, `round-${round}`, history.columns.at(-1));
  const quality = labels && measureRanking(job.outDir, shards, scores, labels);
  return { scores, train, ...ranked, ...(cut ? { cut } : {}), quality };
}

/** Trains, scores and ranks, and proposes domains and paths to annotate. */
export async function runRound(inputs: RoundInputs): Promise<Round> {
  const { job, config, round, shards } = inputs;
  const ranked = await rankRound(inputs);
  const { scores, order, collected, stats } = ranked;
  const domainsFile = await proposeInRound(job, config, shards, scores, collected, `round-${round}`);
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
      ...(ranked.cut ? { cut: ranked.cut } : {}),
      quality: ranked.quality,
    },
  };
}
