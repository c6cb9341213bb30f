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

/** What each row asks, in its words. */
async function questionsOf(path: string): Promise<string[]> {
  return (await rowsOf(path)).map((row) =>
    Object.entries(row)
      .filter(([name, value]) => QUESTION.test(name) && typeof value === "string")
      .map(([, value]) => value as string)
      .join(" "),
  );
}

async function run(): Promise<BenchResult> {
  const settings = BuildConfig.parse({ inputs: ["pages"], outDir: "none", budgetTokens: 1 }).decontaminate;
  const pages = PAGES.map((name) => ({ name, file: neededFile(`${name}.jsonl.gz`) }));
  const benchmarks = filesBelow(neededFile("math-problems"));
  const texts = (await Promise.all(benchmarks.map((file) => readBenchmark(file, [])))).flat();
  const index = new GramIndex(texts, settings);
  const find = (page: string) => index.find(wordsOf(comparableText(page)));
  const figures: BenchResult["figures"] = {
    benchmarks: benchmarks.length,
    questions: texts.length,
    grams: index.size,
  };
  let [clean, dropped] = [0, 0];
  for (const { name, file } of pages) {
    const rows = await rowsOf(file);
    const own = rows.filter((row) => find(`${String(row.text)}`)).length;
    figures[`dropped_of_${name.split("/")[0]!.replace("-", "_")}`] = own;
    clean += rows.length;
    dropped += own;
  }
  const copied = (await Promise.all(benchmarks.map(questionsOf)))
    .flat()
    .filter((question) => question !== "");
  const isFound = (question: string) => find(`A page begins. ${question} It ends here.`) !== undefined;
  const found = copied.filter(isFound);
  Object.assign(figures, {
    clean_pages: clean,
    clean_dropped: dropped,
    planted: copied.length,
    planted_found: found.length,
  });
  const sample = found.filter((_, i) => i % SAMPLE === 0);
  let worst = 1;
  let [tried, caught] = [0, 0];
  const missed: Record<string, number> = {};
  for (const [name, disguise] of Object.entries({ ...DISGUISES, ...DIGITS })) {
    const hits = sample.filter((question) => isFound(disguise(question))).length;
    worst = Math.min(worst, hits / sample.length);
    tried += sample.length;
    caught += hits;
    if (hits < sample.length) missed[name] = sample.length - hits;
  }
  Object.assign(figures, {
    disguised: tried,
    disguised_found: caught,
    disguised_missed: JSON.stringify(missed),
  });
  for (const [name, change] of Object.entries(CHANGES)) {
    const changed = sample
      .map((q) => [q, change(q)] as const)
      .filter(([q, c]) => comparableText(q) !== comparableText(c));
    figures[`stay_with_${name.replaceAll(" ", "_")}`] =
      changed.filter(([, c]) => !isFound(c)).length / changed.length;
  }
  return {
    name: "decontamination",
    machine: describeMachine(),
    figures,
    ratios: { clean_dropped: dropped / clean, planted_found: found.length / copied.length },
    bars: [
      atMost("clean pages dropped, %", (100 * dropped) / clean, 0.5),
      atLeast("planted questions found", found.length / copied.length, 0.99),
      atLeast("of those found, found in the worst disguise", worst, 0.99),
    ],
  };
}

export default {
  name: "decontamination",
  about: "clean pages dropped and disguised copies found by decontamination at its default settings",
  run,
} satisfies Bench;
