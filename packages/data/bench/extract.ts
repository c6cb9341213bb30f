// Formulas and code of pages made by real renderers, through our extraction and, where they are installed, two others; and
// its time against the parser's on real pages. The pages are made by tools/renderers.
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { atLeast, atMost, type Bench, type BenchResult, describeMachine, NsaError } from "@nsa/core";
import { parseDom } from "../src/corpus/extract/dom.ts";
import { extractHtml } from "../src/index.ts";
import { dataFile } from "./support/corpus.ts";

interface Page {
  markup: string;
  /** Whether the source stands somewhere on the page; absent for pages of code. */
  source?: boolean;
  code?: string[];
  html: string;
}
interface Tools {
  mathmlOf(tex: string): string | undefined;
  defuddle(html: string): Promise<string>;
  readabilityTurndown(html: string): Promise<string>;
}
type Extractor = (html: string) => Promise<string> | string;

const benchArgs = (): string[] => JSON.parse(process.env.NSA_BENCH_ARGS ?? "[]") as string[];

const tools = join(import.meta.dirname, "../../../tools/renderers");
const here = (name: string) => join(import.meta.dirname, "pages", name);

function readPages(name: string): Page[] {
  const lines = gunzipSync(readFileSync(here(name)))
    .toString("utf8")
    .trim()
    .split("\n");
  return lines.map((line) => JSON.parse(line) as Page);
}

async function loadTools(): Promise<Tools> {
  if (existsSync(join(tools, "node_modules/katex")))
    return (await import(join(tools, "others.mjs"))) as Tools;
  throw new NsaError({
    code: "renderers_missing",
    what: "KaTeX, which judges the formulas, is not installed",
    why: "the renderers and the other extractors are no dependencies of the project",
    fix: "run `npm ci --prefix tools/renderers`",
    exitCode: 3,
  });
}

const originals = async (): Promise<string[]> =>
  ((await import(join(tools, "formulas.mjs"))) as { formulas: string[] }).formulas;

/** The formula between the marks of the i-th paragraph. */
function formulaOf(text: string, i: number): string | undefined {
  const between = new RegExp(`K${i}Q([\\s\\S]*?)Q${i}K`).exec(text)?.[1] ?? "";
  return /\$\$([\s\S]+?)\$\$|\$([\s\S]+?)\$|\\\(([\s\S]+?)\\\)|\\\[([\s\S]+?)\\\]/
    .exec(between)
    ?.slice(1)
    .find((x) => x !== undefined)
    ?.trim();
}

interface Score {
  source: [number, number];
  drawn: [number, number];
  code: [number, number];
  missed: Record<string, number>;
}

async function score(
  extract: Extractor,
  pages: Page[],
  formulas: string[],
  judge: Tools["mathmlOf"],
): Promise<Score> {
  const right = formulas.map(judge);
  const out: Score = { source: [0, 0], drawn: [0, 0], code: [0, 0], missed: {} };
  for (const { markup, source, code, html } of pages) {
    let text = "";
    try {
      text = await extract(html);
    } catch {
      // A page on which an extractor breaks has no text.
    }
    const miss = (n: number) => {
      if (n > 0) out.missed[markup] = n;
    };
    if (code) {
      const found = code.filter((block) => text.includes(block)).length;
      out.code[0] += found;
      out.code[1] += code.length;
      miss(code.length - found);
      continue;
    }
    const count = source ? out.source : out.drawn;
    let found = 0;
    // Markdown escapes what stands outside its own formulas: a reader sees the text without.
    const readings = [text, text.replace(/\\([\\*_[\]`])/g, "$1")];
    for (const [i, wanted] of right.entries()) {
      const tex = formulaOf(text, i);
      const isRight = (t: string | undefined) =>
        t !== undefined && wanted !== undefined && judge(t) === wanted;
      if (readings.some((reading) => isRight(formulaOf(reading, i)))) found++;
      else if (benchArgs().includes("--misses")) console.error(`${markup} | ${formulas[i]} | ${tex}`);
    }
    count[0] += found;
    count[1] += right.length;
    miss(right.length - found);
  }
  return out;
}

const share = ([a, b]: [number, number]): number => (b === 0 ? 0 : a / b);

/** Seconds of parsing and of extraction of real pages, the best of three runs each. */
function times(): { parse: number; extract: number; pages: number } | undefined {
  const file = dataFile("html-pages/pages.jsonl.gz");
  if (!file) return undefined;
  const lines = gunzipSync(readFileSync(file)).toString("utf8").trim().split("\n");
  const html = lines.map((line) => (JSON.parse(line) as { html: string }).html);
  const best = (run: (page: string) => unknown): number => {
    let seconds = Infinity;
    for (let i = 0; i < 3; i++) {
      const start = process.cpuUsage();
      for (const page of html) run(page);
      seconds = Math.min(seconds, process.cpuUsage(start).user / 1e6);
    }
    return seconds;
  };
  return { parse: best(parseDom), extract: best(extractHtml), pages: html.length };
}

async function run(): Promise<BenchResult> {
  const { mathmlOf, defuddle, readabilityTurndown } = await loadTools();
  const pages = [...readPages("formulas.jsonl.gz"), ...readPages("code.jsonl.gz")];
  const formulas = await originals();
  const extractors: [string, Extractor][] = [
    ["ours", (html) => extractHtml(html).text],
    ["defuddle", defuddle],
    ["readability_turndown", readabilityTurndown],
  ];
  const wanted = benchArgs().includes("--ours") ? extractors.slice(0, 1) : extractors;
  const scores = new Map<string, Score>();
  for (const [name, extract] of wanted) scores.set(name, await score(extract, pages, formulas, mathmlOf));
  const ours = scores.get("ours")!;
  const figures: BenchResult["figures"] = { markups: pages.length, formulas: formulas.length };
  for (const [name, s] of scores)
    for (const kind of ["source", "drawn", "code"] as const)
      figures[`${name}_${kind}`] = Number(share(s[kind]).toFixed(4));
  figures.ours_missed = JSON.stringify(ours.missed);
  const timed = times();
  const ratio = timed ? timed.extract / timed.parse : undefined;
  if (timed)
    Object.assign(figures, { parse_s: timed.parse, extract_s: timed.extract, timed_pages: timed.pages });
  const others = [...scores].slice(1).map(([, s]) => s);
  const best = (kind: "source" | "drawn" | "code") => Math.max(0, ...others.map((s) => share(s[kind])));
  return {
    name: "extract",
    machine: describeMachine(),
    figures,
    ratios: ratio === undefined ? {} : { extract_over_parse: ratio },
    bars: [
      atLeast("formulas whose source is on the page", share(ours.source), Math.max(0.98, best("source"))),
      atLeast("formulas without a source", share(ours.drawn), Math.max(0.85, best("drawn"))),
      atLeast("code blocks as they stand", share(ours.code), Math.max(0.95, best("code"))),
      ...(ratio === undefined ? [] : [atMost("extraction over parsing, times", ratio, 3)]),
    ],
  };
}

export default {
  name: "extract",
  about: "formulas and code of pages made by real renderers, beside two other extractors",
  run,
} satisfies Bench;
