// Task `clean`: applies the duplicate verdicts and the filters of a single page (length, language, contamination),
// and writes the shard's index columns.
import { readFileSync } from "node:fs";
import { writeWhole } from "@nsa/core";
import { benchmarkLabels, comparableText, readBenchmark } from "../decontaminate/benchmarks.ts";
import { GramIndex, type GramRules } from "../decontaminate/index-grams.ts";
import { identifyLanguage } from "../extract/language.ts";
import type { TaskIo } from "../jobs/task.ts";
import type { Document } from "../readers/document.ts";
import { eachRow } from "../readers/each.ts";
import { JsonlWriter } from "../readers/write.ts";
import { wordsOf } from "../text/lines.ts";
import { KEEP } from "./exact-task.ts";
import { ShardWriter } from "./shards.ts";

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

/**
 * spec: {minChars, bytesPerToken, languages, languageProbability, rules, fields, benchmarksHash}. Inputs:
 * [documents, verdicts, benchmark files …]. Outputs: [documents, rows, pages, hits.jsonl].
 */
export async function cleanTask(io: TaskIo): Promise<Record<string, unknown>> {
  const verdicts = readFileSync(io.inputs[1]!);
  const [documents, rows, pages, hits] = io.outputs as [string, string, string, string];
  const writer = new ShardWriter(documents, rows, pages, io.spec.bytesPerToken as number);
  const report = new JsonlWriter(hits);
  const languages = io.spec.languages as string[];
  const minProbability = io.spec.languageProbability as number;
  const minChars = io.spec.minChars as number;
  const index = await gramIndex(
    io.inputs.slice(2),
    io.spec.fields as string[],
    io.spec.rules as GramRules,
    io.spec.benchmarksHash as string,
  );
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
      if (!languages.includes(language) || probability < minProbability) {
        dropped.language++;
        continue;
      }
    }
    kept.filtered++;
    const hit = index.size > 0 ? index.find(wordsOf(comparableText(document.text))) : undefined;
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
