// The steps of the loop as stages of tasks. Each can be called alone; outputs of one are inputs of the next.

import { existsSync, readdirSync, rmSync } from "node:fs";
import { basename, join, resolve } from "node:path";
import { atomicConcat } from "@nsa/core";
import { benchmarkLabels } from "../decontaminate/benchmarks.ts";
import { resolveEngine } from "../fasttext/engine.ts";
import { canonicalJson, hashFile } from "../jobs/manifest.ts";
import { type JobContext, runStage } from "../jobs/stage.ts";
import { expandInputs, shardName } from "../readers/inputs.ts";
import { checkQuarantine } from "../readers/quarantine.ts";
import type { BuildConfig } from "./config.ts";
import type { RankStats } from "./rank-task.ts";

/** Where a pool shard's files lie, relative to the run's folder. */
export interface ReadShard {
  name: string;
  documents: string;
  keys: string;
}

export interface FunnelRow {
  step: string;
  documents: number;
  tokens?: number;
  detail?: Record<string, number>;
}

/** Reads input files into JSONL shards. Throws NsaError `too_many_refused` (exit 3) over the quarantine limit. */
export async function readStep(
  ctx: JobContext,
  config: Pick<BuildConfig, "maxRecordBytes" | "maxQuarantineShare">,
  patterns: string[],
  set = "pool",
): Promise<{ shards: ReadShard[]; documents: number; refused: number; reasons: Record<string, number> }> {
  const files = expandInputs(patterns);
  const shards: ReadShard[] = files.map((path, i) => {
    const name = shardName(path, i);
    return { name, documents: `read/${set}/${name}.jsonl`, keys: `read/${set}/${name}.keys` };
  });
  const manifests = await runStage(
    ctx,
    `read ${set}`,
    files.map((path, i) => ({
      kind: "read",
      name: `${set}-${shards[i]!.name}`,
      spec: { maxRecordBytes: config.maxRecordBytes, file: path.split("/").pop()! },
      inputs: [path],
      outputs: [shards[i]!.documents, `read/${set}/${shards[i]!.name}.quarantine.jsonl`, shards[i]!.keys],
    })),
  );
  const reasons: Record<string, number> = {};
  let documents = 0;
  let refused = 0;
  for (const { stats } of manifests) {
    documents += stats.documents as number;
    refused += stats.refused as number;
    for (const [reason, n] of Object.entries(stats.reasons as Record<string, number>))
      reasons[reason] = (reasons[reason] ?? 0) + n;
  }
  const quarantine = shards.map((s) =>
    join(ctx.outDir, s.documents.replace(/\.jsonl$/, ".quarantine.jsonl")),
  );
  const quarantinePath = set === "pool" ? "quarantine.jsonl" : `quarantine-${set}.jsonl`;
  atomicConcat(join(ctx.outDir, quarantinePath), quarantine);
  checkQuarantine({ documents, refused, reasons }, config.maxQuarantineShare, {
    what: set,
    path: join(ctx.outDir, quarantinePath),
    fix: "mend the input or raise max_quarantine_share",
  });
  return { shards, documents, refused, reasons };
}

/** Duplicate verdicts over all shards; `dedup/<set>/NAME.verdicts`, one byte a document. */
export async function dedupStep(
  ctx: JobContext,
  config: Pick<BuildConfig, "dedup">,
  shards: ReadShard[],
  set = "pool",
): Promise<{ verdicts: string[]; stats: Record<string, number> }> {
  const { url, exact, near } = config.dedup;
  const column = (kind: string) => shards.map((s) => `dedup/${set}/${s.name}.${kind}`);
  const [verdicts, kept] = [column("verdicts"), column("exact")];
  const [first] = await runStage(ctx, `dedup ${set}`, [
    {
      kind: "exact",
      name: set,
      spec: { url, exact },
      inputs: shards.map((s) => s.keys),
      outputs: near.enabled ? kept : verdicts,
    },
  ]);
  if (!near.enabled)
    return { verdicts, stats: { ...(first!.stats as Record<string, number>), dropped_near: 0 } };
  const [signatures, runs] = [column("signatures"), column("bands")];
  const { shingleWords, bands, rows, seed, threshold } = near;
  await runStage(
    ctx,
    `minhash ${set}`,
    shards.map((s, i) => ({
      kind: "minhash",
      name: `${set}-${s.name}`,
      spec: { shingleWords, bands, rows, seed },
      inputs: [s.documents],
      outputs: [signatures[i]!, runs[i]!],
    })),
  );
  const pairs = Array.from({ length: bands }, (_, band) => `dedup/${set}/band-${band}.pairs`);
  await runStage(
    ctx,
    `near ${set}`,
    pairs.map((path, band) => ({
      kind: "near",
      name: `${set}-band-${band}`,
      spec: { band, bands, rows, threshold },
      inputs: [...kept, ...signatures, ...runs],
      outputs: [path],
    })),
  );
  const [last] = await runStage(ctx, `cluster ${set}`, [
    {
      kind: "cluster",
      name: set,
      spec: { shards: shards.length },
      inputs: [...kept, ...pairs],
      outputs: verdicts,
    },
  ]);
  return { verdicts, stats: { ...first!.stats, ...last!.stats } as Record<string, number> };
}

export interface CleanShard {
  name: string;
  documents: string;
  rows: string;
  pages: string;
}

export interface CleanResult {
  shards: CleanShard[];
  documents: number;
  tokens: number;
  deduplicated: number;
  filtered: number;
  dropped: Record<string, number>;
}

/** Applies verdicts and the filters of a single page, and indexes what stays. Hits go to `clean/<set>/NAME.hits.jsonl`. */
export async function cleanStep(
  ctx: JobContext,
  config: Pick<
    BuildConfig,
    "minChars" | "bytesPerToken" | "languages" | "languageProbability" | "decontaminate"
  >,
  shards: ReadShard[],
  verdicts: string[],
  set = "pool",
): Promise<CleanResult> {
  const out: CleanShard[] = shards.map(({ name }) => ({
    name,
    documents: `clean/${set}/${name}.jsonl`,
    rows: `clean/${set}/${name}.rows`,
    pages: `clean/${set}/${name}.pages.jsonl`,
  }));
  const { minChars, bytesPerToken, languages, languageProbability, decontaminate } = config;
  const benchmarks = expandInputs(decontaminate.benchmarks);
  const hashes = await Promise.all(benchmarks.map(hashFile));
  const { ngram, minWords, distinctive, fields } = decontaminate;
  const spec = {
    minChars,
    bytesPerToken,
    languages,
    languageProbability,
    fields,
    rules: { ngram, minWords, distinctive },
    benchmarksHash: canonicalJson([
      hashes,
      benchmarkLabels(benchmarks),
      fields,
      ngram,
      minWords,
      distinctive,
    ]),
  };
  const manifests = await runStage(
    ctx,
    `clean ${set}`,
    shards.map((s, i) => ({
      kind: "clean",
      name: `${set}-${s.name}`,
      spec,
      inputs: [s.documents, verdicts[i]!, ...benchmarks],
      outputs: [out[i]!.documents, out[i]!.rows, out[i]!.pages, `clean/${set}/${s.name}.hits.jsonl`],
    })),
  );
  const result: CleanResult = {
    shards: out,
    documents: 0,
    tokens: 0,
    deduplicated: 0,
    filtered: 0,
    dropped: {},
  };
  for (const { stats } of manifests) {
    for (const key of ["documents", "tokens", "deduplicated", "filtered"] as const)
      result[key] += stats[key] as number;
    for (const [key, n] of Object.entries(stats.dropped as Record<string, number>))
      result.dropped[key] = (result.dropped[key] ?? 0) + n;
  }
  return result;
}

/** Probability of the wanted class for each document; `<folder>/score/NAME.f32`. */
export async function scoreStep(
  ctx: JobContext,
  config: Pick<BuildConfig, "positiveLabel" | "fasttext">,
  shards: CleanShard[],
  model: string,
  folder: string,
): Promise<string[]> {
  const scores = shards.map((s) => `${folder}/score/${s.name}.f32`);
  const modelHash =
    ctx.hashes.get(resolve(ctx.outDir, model)) ?? (await hashFile(resolve(ctx.outDir, model)));
  await runStage(
    ctx,
    `score ${folder}`,
    shards.map((s, i) => ({
      kind: "score",
      name: `${folder}-${s.name}`,
      spec: {
        positiveLabel: config.positiveLabel,
        engine: resolveEngine(config.fasttext.engine),
        modelHash: modelHash,
      },
      inputs: [s.documents, model],
      outputs: [scores[i]!],
    })),
  );
  return scores;
}

/** Ranks all shards and collects the top up to the budget. */
export async function rankStep(
  ctx: JobContext,
  config: Pick<BuildConfig, "budgetTokens" | "minScore" | "outputShardBytes">,
  shards: CleanShard[],
  scores: string[],
  folder: string,
  previous: string[] = [],
): Promise<{ order: string; collected: string[]; stats: RankStats }> {
  const order = `${folder}/order.bin`;
  const collected = shards.map((s) => `${folder}/collected/${s.name}.u8`);
  const [manifest] = await runStage(ctx, `rank ${folder}`, [
    {
      kind: "rank",
      name: folder,
      spec: {
        budgetTokens: config.budgetTokens,
        minScore: config.minScore,
        outputShardBytes: config.outputShardBytes,
        shards: shards.length,
        previous: previous.length > 0,
      },
      inputs: [...scores, ...shards.map((s) => s.rows), ...previous],
      outputs: [order, ...collected],
    },
  ]);
  return { order, collected, stats: manifest!.stats as RankStats };
}

/** Domain table and proposed paths of a round: `<folder>/domains.json`. */
export async function domainsStep(
  ctx: JobContext,
  config: Pick<BuildConfig, "loop">,
  shards: CleanShard[],
  scores: string[],
  collected: string[],
  folder: string,
): Promise<string> {
  const out = `${folder}/domains.json`;
  const { loop } = config;
  await runStage(ctx, `domains ${folder}`, [
    {
      kind: "domains",
      name: folder,
      spec: {
        rules: {
          domainShare: loop.domainShare,
          minDomainPages: loop.minDomainPages,
          pathShare: loop.pathShare,
          maxPathDepth: loop.maxPathDepth,
        },
      },
      inputs: shards.flatMap((s, i) => [s.pages, scores[i]!, collected[i]!]),
      outputs: [out],
    },
  ]);
  return out;
}

/** Writes the ranked documents: `ranked/ranked-00000.jsonl` … in rank order; files of a longer ranking before go. */
export async function emitStep(
  ctx: JobContext,
  shards: CleanShard[],
  order: string,
  stats: RankStats,
): Promise<string[]> {
  const outputs = stats.shard_starts
    .slice(0, -1)
    .map((_, i) => `ranked/ranked-${String(i).padStart(5, "0")}.jsonl`);
  await runStage(
    ctx,
    "emit",
    outputs.map((path, i) => ({
      kind: "emit",
      name: `ranked-${String(i).padStart(5, "0")}`,
      spec: { start: stats.shard_starts[i]!, end: stats.shard_starts[i + 1]!, shards: shards.length },
      inputs: [order, ...shards.map((s) => s.documents), ...shards.map((s) => s.rows)],
      outputs: [path],
    })),
  );
  const current = new Set(outputs.map((path) => basename(path, ".jsonl")));
  for (const folder of ["ranked", "manifests/emit"]) {
    const dir = join(ctx.outDir, folder);
    for (const file of existsSync(dir) ? readdirSync(dir) : [])
      if (!current.has(file.replace(/\.jsonl?$/, ""))) rmSync(join(dir, file));
  }
  return outputs;
}
