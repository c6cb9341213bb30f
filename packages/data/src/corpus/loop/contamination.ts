// What decontamination removed: by benchmark the pages with what they share, the commonest grams, and a warning where it
// was so much that the setting is likelier at fault than the pages.
import { join } from "node:path";
import type { GramHit } from "../decontaminate/index-grams.ts";
import { eachJson } from "../readers/each.ts";
import type { CleanShard } from "../steps/clean.ts";

const EXAMPLES = 20;
/** Share of dropped pages from which on the report warns that they should be checked. */
const SUSPICIOUS = 0.01;
const SUSPICIOUS_PAGES = 3;

type Dropped = GramHit & { id: string; url: string };

export interface ContaminationReport {
  pages: number;
  /** Files with every dropped page and the words that it shares, one a line. */
  files: string[];
  benchmarks: {
    benchmark: string;
    pages: number;
    items: number;
    /** The first pages dropped for it. */
    dropped: Pick<Dropped, "id" | "url" | "item" | "gram">[];
  }[];
  commonGrams: { gram: string; pages: number }[];
  examples: Dropped[];
  /** Set where more than 1 % of the pages were dropped. */
  warning?: string;
}

function warningOf(
  pages: number,
  checked: number,
  common: ContaminationReport["commonGrams"],
): string | undefined {
  if (pages < SUSPICIOUS_PAGES || pages <= SUSPICIOUS * checked) return undefined;
  const share = ((100 * pages) / checked).toFixed(1);
  const top = common.map(({ gram, pages: n }) => `"${gram}" (${n})`).slice(0, 3);
  return `decontamination dropped ${pages} of ${checked} pages (${share} %), most for ${top.join(", ")}: if those pages copied nothing, narrow decontaminate.fields or leave decontaminate.distinctive on`;
}

/** `checked` is the number of pages that were compared with the benchmarks. */
export function contaminationReport(
  outDir: string,
  shards: CleanShard[],
  checked: number,
): ContaminationReport {
  const byBenchmark = new Map<string, { pages: number; items: Set<string>; dropped: Dropped[] }>();
  const grams = new Map<string, number>();
  const examples: Dropped[] = [];
  const files = shards.map((shard) => shard.documents.replace(/\.jsonl$/, ".hits.jsonl"));
  let pages = 0;
  for (const file of files) {
    for (const hit of eachJson<Dropped>(join(outDir, file))) {
      pages++;
      const row = byBenchmark.get(hit.benchmark) ?? { pages: 0, items: new Set(), dropped: [] };
      row.pages++;
      row.items.add(hit.item);
      if (row.dropped.length < EXAMPLES) row.dropped.push(hit);
      byBenchmark.set(hit.benchmark, row);
      grams.set(hit.gram, (grams.get(hit.gram) ?? 0) + 1);
      if (examples.length < EXAMPLES) examples.push(hit);
    }
  }
  const commonGrams = [...grams]
    .sort(([x, a], [y, b]) => b - a || (x < y ? -1 : 1))
    .slice(0, EXAMPLES)
    .map(([gram, n]) => ({ gram, pages: n }));
  const warning = warningOf(pages, checked, commonGrams);
  return {
    pages,
    files,
    benchmarks: [...byBenchmark].map(([benchmark, { pages: n, items, dropped }]) => ({
      benchmark,
      pages: n,
      items: items.size,
      dropped: dropped.map(({ id, url, item, gram }) => ({ id, url, item, gram })),
    })),
    commonGrams,
    examples,
    ...(warning ? { warning } : {}),
  };
}
