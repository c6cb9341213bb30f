// How many clean pages decontamination drops and which copies it finds, at its default settings: `pnpm bench decontamination
// [--data folder]`. Clean pages are those of the seeds and the pool, which copied nothing on purpose; copies are questions of
// all benchmarks, disguised in the ways of test/disguises.ts.
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { atLeast, atMost, type Bench, type BenchResult, describeMachine } from "@nsa/core";
import { readDocumentsRows } from "../src/corpus/readers/rows.ts";
import { BuildConfig, comparableText, GramIndex, readBenchmark, wordsOf } from "../src/index.ts";
import { CHANGES, DIGITS, DISGUISES } from "../test/disguises.ts";
import { neededFile } from "./support/corpus.ts";

const PAGES = ["math-pages/pages", "nonmath-pages/pages", "mixed-pool/pool"];
/** Disguises are tried on one question of so many. */
const SAMPLE = 10;
const QUESTION = /^(?:question|problem|prompt|query|input|body|stem|text)$/i;

async function rowsOf(path: string): Promise<Record<string, unknown>[]> {
  const rows: Record<string, unknown>[] = [];
  for await (const row of readDocumentsRows(path)) rows.push(row);
  return rows;
}

/** All benchmark files below a folder, sorted. */
function filesBelow(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".jsonl.gz"))
    .sort()
    .map((name) => join(folder, name));
}

interface Asked {
  file: string;
  text: string;
}

/** What each row asks, in its words. */
async function questionsOf(path: string): Promise<Asked[]> {
  return (await rowsOf(path)).map((row) => ({
    file: path,
    text: Object.entries(row)
      .filter(([name, value]) => QUESTION.test(name) && typeof value === "string")
      .map(([, value]) => value as string)
      .join(" "),
  }));
}

const framed = (text: string) => comparableText(`A page begins. ${text} It ends here.`);
type Settings = BuildConfig["decontaminate"];
const wordCount = (text: string) => wordsOf(comparableText(text)).split(" ").length;

async function droppedPages(index: GramIndex, figures: BenchResult["figures"]): Promise<[number, number]> {
  let [clean, dropped] = [0, 0];
  for (const name of PAGES) {
    const rows = await rowsOf(neededFile(`${name}.jsonl.gz`));
    const own = rows.filter((row) => index.find(comparableText(String(row.text)))).length;
    figures[`dropped_of_${name.split("/")[0]!.replace("-", "_")}`] = own;
    clean += rows.length;
    dropped += own;
  }
  return [clean, dropped];
}

/** Tries every disguise on a sample and gives the share found in the worst of them. */
function disguised(index: GramIndex, sample: string[], figures: BenchResult["figures"]): number {
  let worst = 1;
  let [tried, caught] = [0, 0];
  const missed: Record<string, number> = {};
  for (const [name, disguise] of Object.entries({ ...DISGUISES, ...DIGITS })) {
    const hits = sample.filter((question) => index.find(framed(disguise(question)))).length;
    worst = Math.min(worst, hits / sample.length);
    tried += sample.length;
    caught += hits;
    if (hits < sample.length) missed[name] = sample.length - hits;
  }
  Object.assign(figures, {
    disguises: Object.keys(DISGUISES).length + Object.keys(DIGITS).length,
    disguised: tried,
    disguised_found: caught,
    disguised_missed: JSON.stringify(missed),
  });
  return worst;
}

/** Shares of questions with changes that stay, by kind of change, and of first halves of questions that are found. */
function changed(index: GramIndex, sample: string[], figures: BenchResult["figures"]): void {
  for (const [name, change] of Object.entries(CHANGES)) {
    const pairs = sample
      .map((q) => [q, change(q)] as const)
      .filter(([q, c]) => wordsOf(comparableText(q)) !== wordsOf(comparableText(c)));
    figures[`stay_with_${name.replaceAll(" ", "_")}`] =
      pairs.filter(([, c]) => !index.find(framed(c))).length / pairs.length;
  }
  const long = sample.filter((q) => wordCount(q) >= 30 && q.split(" ").length >= 30);
  const half = (q: string) =>
    q
      .split(" ")
      .slice(0, q.split(" ").length / 2)
      .join(" ");
  figures.first_halves_found = long.filter((q) => index.find(framed(half(q)))).length / long.length;
}

/** Share of the questions of one benchmark that stay when another, of which they are variants, is removed. */
async function variantsThatStay(variants: string, of: string, settings: Settings): Promise<number> {
  const original = neededFile(`math-problems/${of}.jsonl.gz`);
  const index = new GramIndex(await readBenchmark(original, []), settings);
  const same = new Set((await questionsOf(original)).map(({ text }) => wordsOf(comparableText(text))));
  const asked = await questionsOf(neededFile(`math-problems/${variants}.jsonl.gz`));
  const others = asked.filter(({ text }) => !same.has(wordsOf(comparableText(text))));
  return others.filter(({ text }) => !index.find(framed(text))).length / others.length;
}

async function run(): Promise<BenchResult> {
  const settings = BuildConfig.parse({ inputs: ["pages"], outDir: "none", budgetTokens: 1 }).decontaminate;
  const benchmarks = filesBelow(neededFile("math-problems"));
  const texts = (await Promise.all(benchmarks.map((file) => readBenchmark(file, [])))).flat();
  const index = new GramIndex(texts, settings);
  const figures: BenchResult["figures"] = {
    benchmarks: benchmarks.length,
    questions: texts.length,
    grams: index.size,
  };
  const [clean, dropped] = await droppedPages(index, figures);
  const copied = (await Promise.all(benchmarks.map(questionsOf)))
    .flat()
    .map(({ text }) => text)
    .filter((question) => question !== "");
  const checked = copied.filter((question) => wordCount(question) >= settings.minWords);
  const found = checked.filter((question) => index.find(framed(question)));
  Object.assign(figures, {
    clean_pages: clean,
    clean_dropped: dropped,
    planted: copied.length,
    too_short_to_check: copied.length - checked.length,
    planted_found: found.length,
  });
  const sample = found.filter((_, i) => i % SAMPLE === 0);
  const worst = disguised(index, sample, figures);
  changed(index, sample, figures);
  const hard = await variantsThatStay("gsm-hard/test", "gsm8k/test", settings);
  Object.assign(figures, {
    gsm_hard_stays_beside_gsm8k: hard,
    svamp_stays_beside_mawps: await variantsThatStay("svamp/questions-first500", "mawps/addsub", settings),
  });
  return {
    name: "decontamination",
    machine: describeMachine(),
    figures,
    ratios: { clean_dropped: dropped / clean, planted_found: found.length / checked.length },
    bars: [
      atMost("clean pages dropped, %", (100 * dropped) / clean, 0.5),
      atLeast("planted questions found", found.length / checked.length, 1),
      atLeast("of those found, found in the worst disguise", worst, 0.999),
      atLeast("questions with other numbers that stay", Number(figures.stay_with_other_numbers), 0.99),
      atLeast("questions of GSM-hard that stay beside GSM8K's", hard, 0.99),
    ],
  };
}

export default {
  name: "decontamination",
  about: "clean pages dropped and disguised copies found by decontamination at its default settings",
  run,
} satisfies Bench;
