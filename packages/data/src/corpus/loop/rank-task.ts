// Task `rank`: all scores to one order; the top of it, up to the token budget, is collected.

import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { writeWhole } from "@nsa/core";
import type { TaskIo } from "../jobs/task.ts";
import { type Rows, readRows, readScores } from "./shards.ts";

/** Bins of the score histogram. */
const BINS = 50;
/** Documents on each side of the cut that the report shows. */
const SAMPLES = 10;

/** Shard u32, row u32, score f32, pad u32. */
export const ORDER_BYTES = 16;

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
  near_threshold: { shard: number; row: number; score: number; kept: boolean }[];
  [key: string]: unknown;
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

/**
 * spec: {budgetTokens, minScore, outputShardBytes, shards, previous}. Inputs: scores of each shard, rows of each shard,
 * then, if `previous`, the collected columns of the round before. Outputs: [order, collected of each shard …].
 */
export async function rankTask(io: TaskIo): Promise<RankStats> {
  const shards = io.spec.shards as number;
  const budget = io.spec.budgetTokens as number;
  const minScore = io.spec.minScore as number;
  const perShard = io.spec.outputShardBytes as number;
  const parts = io.inputs.slice(0, shards).map(readScores);
  const rows: Rows[] = io.inputs.slice(shards, 2 * shards).map(readRows);
  const before = io.spec.previous === true ? io.inputs.slice(2 * shards) : [];
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
  const order = rankOrder(scores);
  const collected = parts.map((part) => new Uint8Array(part.length));
  const histogram = histogramOf(parts);

  let kept = 0;
  let keptTokens = 0;
  let tokens = 0;
  let full = false;
  let shardBytes = 0;
  const starts = [0];
  for (const i of order) {
    const row = rows[shardOf[i]!]!;
    const t = row.tokens(rowOf[i]!);
    tokens += t;
    if (full) continue;
    if (keptTokens + t > budget || scores[i]! < minScore) {
      full = true;
      continue;
    }
    const bytes = row.bytes(rowOf[i]!) + 1;
    if (shardBytes > 0 && shardBytes + bytes > perShard) {
      starts.push(kept);
      shardBytes = 0;
    }
    shardBytes += bytes;
    collected[shardOf[i]!]![rowOf[i]!] = 1;
    keptTokens += t;
    kept++;
  }
  starts.push(kept);

  const table = Buffer.alloc(kept * ORDER_BYTES);
  for (let k = 0; k < kept; k++) {
    const i = order[k]!;
    table.writeUInt32LE(shardOf[i]!, k * ORDER_BYTES);
    table.writeUInt32LE(rowOf[i]!, k * ORDER_BYTES + 4);
    table.writeFloatLE(scores[i]!, k * ORDER_BYTES + 8);
  }
  writeWhole(io.outputs[0]!, table);
  let newly = 0;
  collected.forEach((column, s) => {
    const old = before[s] !== undefined && existsSync(before[s]!) ? readFileSync(before[s]!) : undefined;
    for (let i = 0; i < column.length; i++) if (column[i] === 1 && old?.[i] !== 1) newly++;
    writeFileSync(io.outputs[1 + s]!, column);
  });
  const near = Array.from({ length: 2 * SAMPLES }, (_, k) => kept - SAMPLES + k)
    .filter((k) => k >= 0 && k < total)
    .map((k) => {
      const i = order[k]!;
      return { shard: shardOf[i]!, row: rowOf[i]!, score: scores[i]!, kept: k < kept };
    });
  return {
    documents: total,
    tokens,
    collected: kept,
    collected_tokens: keptTokens,
    newly_collected: newly,
    threshold: kept > 0 ? scores[order[kept - 1]!]! : 1,
    histogram,
    shard_starts: starts,
    near_threshold: near,
  };
}
