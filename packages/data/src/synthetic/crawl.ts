// A synthetic crawl: math and other pages on several domains (one of them mixed), exact and near duplicates, and a
// page that leaks a benchmark question. For the quickstart and for tests that must not need real data.
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { atomicWriteFile } from "@nsa/core";
import { mathParagraph, proseParagraph } from "./passages.ts";
import { type Choices, choices } from "./random.ts";

export interface CrawlOptions {
  pages: number;
  seed: number;
  /** Share of math pages, 0 to 1. */
  mathShare: number;
  /** Writes a paragraph of a math page; word problems, equations and series where it is not given. */
  mathParagraph?: (c: Choices) => string;
}

export interface CrawlPage {
  id: string;
  url: string;
  domain: string;
  title: string;
  text: string;
  html: string;
  label: "math" | "other";
  /** Id of the page this one copies, wholly or but for a few words. */
  duplicateOf?: string;
  /** Set on pages that contain a benchmark question. */
  leaks?: string;
}

const MATH_DOMAINS = ["mathnotes.example", "algebra-club.example", "proofs.example"];
const OTHER_DOMAINS = ["travelblog.example", "cityguide.example", "filmfans.example", "dailynews.example"];
/** Serves mathematics under /math/ and everything else under other folders. */
const MIXED_DOMAIN = "campus.example";

/** Questions of the benchmark that the crawl leaks, in words no other page uses; the same for every seed. */
export function syntheticBenchmark(count = 20): { id: string; question: string; answer: number }[] {
  const c = choices(0x5eed);
  return Array.from({ length: count }, (_, i) => {
    const [riders, leave, join, stop] = [c.int(40, 90), c.int(3, 30), c.int(3, 30), c.int(2, 60)];
    const bus = 100 + i;
    const question = `Bus ${bus} carries ${riders} riders. At stop ${stop} of line ${bus} exactly ${leave} leave and ${join} join. How many ride bus ${bus} after stop ${stop}?`;
    return { id: `bench-${i}`, question, answer: riders - leave + join };
  });
}

const ESCAPES: Record<string, string> = { "&": "&amp;", "<": "&lt;", ">": "&gt;" };

function htmlOf(title: string, paragraphs: string[]): string {
  const escaped = (s: string) => s.replace(/[&<>]/g, (ch) => ESCAPES[ch]!);
  const body = paragraphs.map((p) => `<p>${escaped(p).replace(/\$([^$]+)\$/g, "\\($1\\)")}</p>`).join("\n");
  return `<!DOCTYPE html><html lang="en"><head><title>${escaped(title)}</title></head><body><nav><a href="/">Home</a> <a href="/about">About us</a></nav><main><article><h1>${escaped(title)}</h1>\n${body}\n</article></main><footer>All rights reserved.</footer></body></html>`;
}

function address(c: Choices, math: boolean, i: number): { domain: string; url: string } {
  if (c.next() < 0.2) {
    const folder = math ? "math" : c.pick(["news", "sports"]);
    return { domain: MIXED_DOMAIN, url: `https://${MIXED_DOMAIN}/${folder}/page-${i}.html` };
  }
  const domain = c.pick(math ? MATH_DOMAINS : OTHER_DOMAINS);
  return { domain, url: `https://www.${domain}/articles/page-${i}.html` };
}

/** Deterministic pages. About 4 % are exact or near duplicates of earlier ones; the 8th math page leaks. */
export function* syntheticCrawl(options: CrawlOptions): Generator<CrawlPage> {
  const { pages, seed, mathShare } = options;
  const writeMath = options.mathParagraph ?? mathParagraph;
  const c = choices(seed);
  const benchmark = syntheticBenchmark();
  const earlier: { page: CrawlPage; paragraphs: string[] }[] = [];
  let mathPages = 0;
  for (let i = 0; i < pages; i++) {
    const id = `page-${String(i).padStart(6, "0")}`;
    const copy = i > 20 && c.next() < 0.04 ? c.pick(earlier) : undefined;
    if (copy) {
      const paragraphs = [...copy.paragraphs];
      if (c.next() < 0.5) paragraphs[0] = paragraphs[0]!.replace(/^\S+/, "Today");
      const { domain, label, title } = copy.page;
      const page = {
        id,
        url: `https://${domain}/mirror/${i}`,
        domain,
        title,
        label,
        duplicateOf: copy.page.id,
      };
      yield { ...page, text: paragraphs.join("\n\n"), html: htmlOf(title, paragraphs) };
      continue;
    }
    const math = c.next() < mathShare;
    const paragraphs = Array.from({ length: c.int(6, 14) }, () => (math ? writeMath(c) : proseParagraph(c)));
    const title = math
      ? c.pick(["Worked problems", "Notes on algebra", "Exercises with solutions", "Sums and series"])
      : c.pick(["A weekend away", "What we saw", "News from town", "A short guide"]);
    let leaks: string | undefined;
    if (math && ++mathPages === 8) {
      const leaked = c.pick(benchmark);
      paragraphs.push(leaked.question);
      leaks = leaked.id;
    }
    const full = `${title} ${i}`;
    const page: CrawlPage = {
      id,
      ...address(c, math, i),
      title: full,
      text: paragraphs.join("\n\n"),
      html: htmlOf(full, paragraphs),
      label: math ? "math" : "other",
      ...(leaks ? { leaks } : {}),
    };
    if (!leaks) earlier.push({ page, paragraphs });
    yield page;
  }
}

export interface CrawlFiles {
  positives: string;
  negatives: string;
  /** Pool of pages to collect from, without labels. */
  pool: string;
  labels: string;
  benchmark: string;
}

/**
 * Writes seeds (a quarter as many pages as the pool for each class), pool, labels and benchmark into a folder.
 * `format: "html"` writes raw pages in the `html` field instead of text.
 */
export function writeCrawl(dir: string, options: CrawlOptions & { format?: "text" | "html" }): CrawlFiles {
  mkdirSync(dir, { recursive: true });
  const files: CrawlFiles = {
    positives: join(dir, "positives.jsonl"),
    negatives: join(dir, "negatives.jsonl"),
    pool: join(dir, "pool.jsonl.gz"),
    labels: join(dir, "labels.jsonl"),
    benchmark: join(dir, "benchmark.jsonl"),
  };
  const jsonl = (rows: unknown[]) => rows.map((r) => `${JSON.stringify(r)}\n`).join("");
  const record = ({ id, url, domain, title, text, html }: CrawlPage) =>
    options.format === "html" ? { id, url, domain, title, html } : { id, url, domain, title, text };
  const quarter = Math.max(20, Math.floor(options.pages / 4));
  const seeds = (mathShare: number, seed: number) =>
    [...syntheticCrawl({ ...options, pages: quarter, seed, mathShare })]
      .filter((p) => !p.duplicateOf && !p.leaks)
      .map((p) => record({ ...p, id: `seed-${seed}-${p.id}` }));
  atomicWriteFile(files.positives, jsonl(seeds(1, options.seed + 1001)));
  atomicWriteFile(files.negatives, jsonl(seeds(0, options.seed + 2001)));
  const pool = [...syntheticCrawl(options)];
  atomicWriteFile(files.pool, gzipSync(jsonl(pool.map(record))));
  atomicWriteFile(files.labels, jsonl(pool.map(({ id, label }) => ({ id, label }))));
  atomicWriteFile(files.benchmark, jsonl(syntheticBenchmark()));
  return files;
}
