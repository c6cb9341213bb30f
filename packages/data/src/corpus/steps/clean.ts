// Step `clean`: applies the duplicate verdicts and the filters of a single page (length, language, contamination),
// and writes the shard's index columns.
import { existsSync, readFileSync, statSync } from "node:fs";
import { join, resolve } from "node:path";
import { writeWhole } from "@nsa/core";
import { z } from "zod";
import { Tokenizer } from "../../tokenizer/tokenizer.ts";
import { benchmarkLabels, readBenchmark } from "../decontaminate/benchmarks.ts";
import { comparableText } from "../decontaminate/comparable.ts";
import { GramIndex, type GramRules } from "../decontaminate/index-grams.ts";
import { identifyLanguage } from "../extract/language.ts";
import { canonicalJson, hashFile } from "../jobs/manifest.ts";
import type { JobContext } from "../jobs/stage.ts";
import type { BuildConfig } from "../loop/config.ts";
import { ShardWriter, tokenCount } from "../loop/shards.ts";
import type { Document } from "../readers/document.ts";
import { eachRow } from "../readers/each.ts";
import { expandInputs } from "../readers/inputs.ts";
import { JsonlWriter } from "../readers/write.ts";
import { KEEP } from "./exact.ts";
import type { ReadShard } from "./read.ts";
import { defineStep, runStep, type Stats, type StepIo } from "./step.ts";

/** Where a cleaned shard's files lie, relative to the run's folder. */
export interface CleanShard {
  name: string;
  documents: string;
  rows: string;
  pages: string;
  /** Documents dropped for a benchmark's words. */
  hits: string;
}

const spec = z.strictObject({
  minChars: z.number().int().min(0).describe("Shorter pages are dropped."),
  bytesPerToken: z.number().positive().describe("Bytes of UTF-8 that count as a token."),
  tokenizer: z.string().optional().describe("Hash of the last input, a tokenizer that counts instead."),
  languages: z.array(z.string()).describe("ISO 639 codes to keep; empty keeps all."),
  languageProbability: z.number().min(0).max(1).describe("Least certainty of the language."),
  fields: z.array(z.string()).describe("Fields that hold benchmark text."),
  rules: z.strictObject({ ngram: z.number().int(), minWords: z.number().int(), distinctive: z.boolean() }),
  benchmarksHash: z.string().describe("Identifies the benchmarks' texts and rules."),
});

type CleanSpec = z.infer<typeof spec>;

interface Plan {
  set: string;
  shards: ReadShard[];
  verdicts: string[];
  benchmarks: string[];
  /** A tokenizer's file, or none. */
  tokenizer: string[];
  out: CleanShard[];
  spec: CleanSpec;
}

export const cleanStep = defineStep({
  kind: "clean",
  spec,
  plan: ({ set, shards, verdicts, benchmarks, tokenizer, out, spec }: Plan) =>
    shards.map((s, i) => ({
      name: `${set}-${s.name}`,
      spec,
      inputs: [s.documents, verdicts[i]!, ...benchmarks, ...tokenizer],
      outputs: [out[i]!.documents, out[i]!.rows, out[i]!.pages, out[i]!.hits],
    })),
  run: cleanShard,
});

let cached: { key: string; index: GramIndex } | undefined;

async function gramIndex(
  paths: string[],
  fields: string[],
  rules: GramRules,
  hash: string,
): Promise<GramIndex> {
  if (cached?.key !== hash) {
    const texts = [];
    const labels = benchmarkLabels(paths);
    for (const [i, path] of paths.entries()) texts.push(...(await readBenchmark(path, fields, labels[i])));
    cached = { key: hash, index: new GramIndex(texts, rules) };
  }
  return cached.index;
}

let loaded: { hash: string; tokenizer: Tokenizer } | undefined;

/** Counts the tokens of a text: those of a tokenizer, at least 1, or bytes. */
function counter({ bytesPerToken, tokenizer: hash }: CleanSpec, path: string): (text: string) => number {
  if (hash === undefined) return (text) => tokenCount(text, bytesPerToken);
  if (loaded?.hash !== hash) loaded = { hash, tokenizer: Tokenizer.load(path) };
  const { tokenizer } = loaded;
  return (text) => Math.max(1, tokenizer.encodeIds(text, { plain: true, inner: true }).length);
}

/** Inputs: [documents, verdicts, benchmark files …, tokenizer if any]. Outputs: [documents, rows, pages, hits]. */
async function cleanShard(io: StepIo<CleanSpec>): Promise<Stats> {
  const { minChars, languages, languageProbability, fields, rules, benchmarksHash } = io.spec;
  const benchmarks = io.inputs.slice(2, io.spec.tokenizer ? -1 : undefined);
  const tokensOf = counter(io.spec, io.inputs.at(-1)!);
  const verdicts = readFileSync(io.inputs[1]!);
  const [documents, rows, pages, hits] = io.outputs as [string, string, string, string];
  const writer = new ShardWriter(documents, rows, pages, tokensOf);
  const report = new JsonlWriter(hits);
  const index = await gramIndex(benchmarks, fields, rules, benchmarksHash);
  const dropped = { duplicates: 0, short: 0, language: 0, contaminated: 0 };
  const kept = { deduplicated: 0, filtered: 0 };
  let i = 0;
  for (const { row: document, line } of eachRow<Document>(io.inputs[0]!)) {
    if (verdicts[i++] !== KEEP) {
      dropped.duplicates++;
      continue;
    }
    kept.deduplicated++;
    if (document.text.length < minChars) {
      dropped.short++;
      continue;
    }
    if (languages.length > 0) {
      const { language, probability } = await identifyLanguage(document.text);
      if (!languages.includes(language) || probability < languageProbability) {
        dropped.language++;
        continue;
      }
    }
    kept.filtered++;
    const hit = index.size > 0 ? index.find(comparableText(document.text)) : undefined;
    if (hit) {
      dropped.contaminated++;
      report.write({ id: document.id, url: document.url, ...hit });
      continue;
    }
    writer.write(document, line);
  }
  writer.close(writeWhole);
  report.close();
  return { documents: writer.documentsWritten, tokens: writer.tokens, ...kept, dropped };
}

/** The file of a tokenizer: itself, or the one in a folder. */
const tokenizerFile = (path: string): string =>
  resolve(existsSync(path) && statSync(path).isDirectory() ? join(path, "tokenizer.json") : path);

export interface CleanResult {
  shards: CleanShard[];
  documents: number;
  tokens: number;
  deduplicated: number;
  filtered: number;
  dropped: Record<string, number>;
}

/** Applies verdicts and the filters of a single page, and indexes what stays. Hits go to `clean/<set>/NAME.hits.jsonl`. */
export async function cleanShards(
  ctx: JobContext,
  config: Pick<
    BuildConfig,
    "minChars" | "bytesPerToken" | "tokenizer" | "languages" | "languageProbability" | "decontaminate"
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
    hits: `clean/${set}/${name}.hits.jsonl`,
  }));
  const { minChars, bytesPerToken, languages, languageProbability, decontaminate } = config;
  const benchmarks = expandInputs(decontaminate.benchmarks);
  const hashes = await Promise.all(benchmarks.map(hashFile));
  const tokenizer = config.tokenizer === undefined ? [] : [tokenizerFile(config.tokenizer)];
  const { ngram, minWords, distinctive, fields } = decontaminate;
  const spec = {
    minChars,
    bytesPerToken,
    ...(tokenizer[0] === undefined ? {} : { tokenizer: await hashFile(tokenizer[0]) }),
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
  const given = { set, shards, verdicts, benchmarks, tokenizer, out, spec };
  const manifests = await runStep(ctx, `clean ${set}`, cleanStep, given);
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
