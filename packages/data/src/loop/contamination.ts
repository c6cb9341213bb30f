// What decontamination removed: per benchmark how many pages and items, the commonest grams, and examples.
import { join } from "node:path";
import type { GramHit } from "../decontaminate/index-grams.ts";
import { eachJson } from "../readers/each.ts";
import type { CleanShard } from "./steps.ts";

const EXAMPLES = 20;

export interface ContaminationReport {
  pages: number;
  benchmarks: { benchmark: string; pages: number; items: number }[];
  commonGrams: { gram: string; pages: number }[];
  examples: (GramHit & { id: string; url: string })[];
}

export function contaminationReport(outDir: string, shards: CleanShard[]): ContaminationReport {
  const byBenchmark = new Map<string, { pages: number; items: Set<string> }>();
  const grams = new Map<string, number>();
  const examples: ContaminationReport["examples"] = [];
  let pages = 0;
  for (const shard of shards) {
    const path = join(outDir, shard.documents.replace(/\.jsonl$/, ".hits.jsonl"));
    for (const hit of eachJson<GramHit & { id: string; url: string }>(path)) {
      pages++;
      const row = byBenchmark.get(hit.benchmark) ?? { pages: 0, items: new Set() };
      row.pages++;
      row.items.add(hit.item);
      byBenchmark.set(hit.benchmark, row);
      grams.set(hit.gram, (grams.get(hit.gram) ?? 0) + 1);
      if (examples.length < EXAMPLES) examples.push(hit);
    }
  }
  return {
    pages,
    benchmarks: [...byBenchmark].map(([benchmark, { pages: n, items }]) => ({
      benchmark,
      pages: n,
      items: items.size,
    })),
    commonGrams: [...grams]
      .sort(([x, a], [y, b]) => b - a || (x < y ? -1 : 1))
      .slice(0, EXAMPLES)
      .map(([gram, n]) => ({ gram, pages: n })),
    examples,
  };
}
