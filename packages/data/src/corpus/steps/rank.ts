// Step `rank`: all scores to one order; the top of it, up to the token budget, is collected.
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { writeWhole } from "@nsa/core";
import { z } from "zod";
import type { JobContext } from "../jobs/stage.ts";
import type { BuildConfig } from "../loop/config.ts";
import { type Rows, readRows, readScores } from "../loop/shards.ts";
import type { CleanShard } from "./clean.ts";
import { defineStep, runStep, type Stats, type StepIo } from "./step.ts";

/** Bins of the score histogram. */
const BINS = 50;
/** Documents on each side of the cut that the report shows. */
const SAMPLES = 10;

/** Shard u32, row u32, score f32, pad u32. */
export const ORDER_BYTES = 16;

/** A budget within the largest: its pages are the first `files` of the ranked files. */
export interface BudgetRow {
  budget: number;
  documents: number;
  tokens: number;
  /** Lowest score among them. */
  threshold: number;
  files: number;
}

export interface RankStats {
  documents: number;
  tokens: number;
  collected: number;
  collected_tokens: number;
  /** Collected now and not in the round before. */
  newly_collected: number;
  /** Lowest collected score. */
  threshold: number;
  histogram: number[];
  /** First rank of each output shard, and the end. */
  shard_starts: number[];
  /** The smaller budgets: what the first files of the ranking hold. Absent without any. */
  budgets?: BudgetRow[];
  near_threshold: { shard: number; row: number; score: number; kept: boolean }[];
}

/** How many scores lie in each fiftieth of [0, 1]. */
export function histogramOf(columns: Iterable<Float32Array>): number[] {
  const histogram = new Array<number>(BINS).fill(0);
  for (const scores of columns)
    for (const score of scores) histogram[Math.min(BINS - 1, Math.floor(score * BINS))]!++;
  return histogram;
}

/** Ranks by score, ties by shard and row; returns positions into the concatenated shards. */
export function rankOrder(scores: Float32Array): Uint32Array {
  const order = Uint32Array.from(scores, (_, i) => i);
  return order.sort((a, b) => scores[b]! - scores[a]! || a - b);
}

const spec = z.strictObject({
  budgetTokens: z.number().min(0).describe("Tokens to collect from the top of the ranking."),
  minScore: z.number().min(0).max(1).describe("Pages below this probability are not collected."),
  nested: z.array(z.number()).optional().describe("Smaller budgets, rising, at which a ranked file ends."),
  outputShardBytes: z.number().min(1).describe("Bytes after which the ranked documents begin another file."),
  shards: z.number().int().min(0).describe("Number of shards."),
  previous: z.boolean().describe("Whether the collected columns of the round before are inputs."),
});

type RankSpec = z.infer<typeof spec>;

export const rankStep = defineStep({
  kind: "rank",
  spec,
  plan: (given: { folder: string; spec: RankSpec; inputs: string[]; outputs: string[] }) => [
    { name: given.folder, spec: given.spec, inputs: given.inputs, outputs: given.outputs },
  ],
  run: rank,
});

/**
 * Inputs: scores of each shard, rows of each shard, then, if `previous`, the collected columns of the round before.
 * Outputs: [order, collected of each shard …].
 */
async function rank(io: StepIo<RankSpec>): Promise<Stats> {
  const { shards } = io.spec;
  const parts = io.inputs.slice(0, shards).map(readScores);
  const rows = io.inputs.slice(shards, 2 * shards).map(readRows);
  const before = io.spec.previous ? io.inputs.slice(2 * shards) : [];
  const ranking = rankingOf(parts);
  const collected = parts.map((part) => new Uint8Array(part.length));
  const cut = collect(ranking, rows, io.spec, collected);
  writeWhole(io.outputs[0]!, orderTable(ranking, cut.kept));
  let newly = 0;
  collected.forEach((column, s) => {
    const old = before[s] !== undefined && existsSync(before[s]!) ? readFileSync(before[s]!) : undefined;
    for (let i = 0; i < column.length; i++) if (column[i] === 1 && old?.[i] !== 1) newly++;
    writeFileSync(io.outputs[1 + s]!, column);
  });
  const { order, scores } = ranking;
  const stats: RankStats = {
    documents: order.length,
    tokens: cut.tokens,
    collected: cut.kept,
    collected_tokens: cut.keptTokens,
    newly_collected: newly,
    threshold: cut.kept > 0 ? scores[order[cut.kept - 1]!]! : 1,
    histogram: histogramOf(parts),
    shard_starts: cut.starts,
    ...(cut.budgets.length > 0 ? { budgets: cut.budgets } : {}),
    near_threshold: nearCut(ranking, cut.kept),
  };
  return { ...stats };
}

/** All documents by rank, and of each position in the concatenated shards its score, shard and row. */
interface Ranking {
  order: Uint32Array;
  scores: Float32Array;
  shardOf: Uint32Array;
  rowOf: Uint32Array;
}

function rankingOf(parts: readonly Float32Array[]): Ranking {
  const total = parts.reduce((n, p) => n + p.length, 0);
  const scores = new Float32Array(total);
  const shardOf = new Uint32Array(total);
  const rowOf = new Uint32Array(total);
  let at = 0;
  parts.forEach((part, s) => {
    scores.set(part, at);
    for (let i = 0; i < part.length; i++) {
      shardOf[at + i] = s;
      rowOf[at + i] = i;
    }
    at += part.length;
  });
  return { order: rankOrder(scores), scores, shardOf, rowOf };
}

/** Marks the top of the ranking up to the budget in `collected`, and finds where each output shard begins. */
function collect(
  { order, scores, shardOf, rowOf }: Ranking,
  rows: readonly Rows[],
  { budgetTokens, minScore, outputShardBytes, nested = [] }: RankSpec,
  collected: readonly Uint8Array[],
): { kept: number; keptTokens: number; tokens: number; starts: number[]; budgets: BudgetRow[] } {
  let kept = 0;
  let keptTokens = 0;
  let tokens = 0;
  let full = false;
  let shardBytes = 0;
  const starts = [0];
  const budgets: BudgetRow[] = [];
  /** Ends the ranked file, where it holds anything, and with it the next nested budget. */
  const endBudget = () => {
    if (shardBytes > 0) starts.push(kept);
    shardBytes = 0;
    const threshold = kept > 0 ? scores[order[kept - 1]!]! : 1;
    const files = starts.length - 1;
    budgets.push({ budget: nested[budgets.length]!, documents: kept, tokens: keptTokens, threshold, files });
  };
  for (const i of order) {
    const row = rows[shardOf[i]!]!;
    const t = row.tokens(rowOf[i]!);
    tokens += t;
    if (full) continue;
    if (keptTokens + t > budgetTokens || scores[i]! < minScore) {
      full = true;
      continue;
    }
    while (budgets.length < nested.length && keptTokens + t > nested[budgets.length]!) endBudget();
    const bytes = row.bytes(rowOf[i]!) + 1;
    if (shardBytes > 0 && shardBytes + bytes > outputShardBytes) {
      starts.push(kept);
      shardBytes = 0;
    }
    shardBytes += bytes;
    collected[shardOf[i]!]![rowOf[i]!] = 1;
    keptTokens += t;
    kept++;
  }
  while (budgets.length < nested.length) endBudget();
  if (starts.at(-1) !== kept || starts.length === 1) starts.push(kept);
  return { kept, keptTokens, tokens, starts, budgets };
}

/** The collected documents in rank order, ORDER_BYTES each. */
function orderTable({ order, scores, shardOf, rowOf }: Ranking, kept: number): Buffer {
  const table = Buffer.alloc(kept * ORDER_BYTES);
  for (let k = 0; k < kept; k++) {
    const i = order[k]!;
    table.writeUInt32LE(shardOf[i]!, k * ORDER_BYTES);
    table.writeUInt32LE(rowOf[i]!, k * ORDER_BYTES + 4);
    table.writeFloatLE(scores[i]!, k * ORDER_BYTES + 8);
  }
  return table;
}

/** Documents just above and just below the cut. */
function nearCut({ order, scores, shardOf, rowOf }: Ranking, kept: number): RankStats["near_threshold"] {
  return Array.from({ length: 2 * SAMPLES }, (_, k) => kept - SAMPLES + k)
    .filter((k) => k >= 0 && k < order.length)
    .map((k) => {
      const i = order[k]!;
      return { shard: shardOf[i]!, row: rowOf[i]!, score: scores[i]!, kept: k < kept };
    });
}

/** Ranks all shards and collects the top up to the budget. */
export async function rankShards(
  ctx: JobContext,
  config: Pick<BuildConfig, "budgetTokens" | "nestedBudgets" | "minScore" | "outputShardBytes">,
  shards: CleanShard[],
  scores: string[],
  folder: string,
  previous: string[] = [],
): Promise<{ order: string; collected: string[]; stats: RankStats }> {
  const order = `${folder}/order.bin`;
  const collected = shards.map((s) => `${folder}/collected/${s.name}.u8`);
  const { budgetTokens, nestedBudgets, minScore, outputShardBytes } = config;
  const spec = {
    budgetTokens,
    ...(nestedBudgets.length > 0 ? { nested: nestedBudgets } : {}),
    minScore,
    outputShardBytes,
    shards: shards.length,
    previous: previous.length > 0,
  };
  const rows = shards.map((s) => s.rows);
  const given = { folder, spec, inputs: [...scores, ...rows, ...previous], outputs: [order, ...collected] };
  const [manifest] = await runStep(ctx, `rank ${folder}`, rankStep, given);
  return { order, collected, stats: manifest!.stats as unknown as RankStats };
}
