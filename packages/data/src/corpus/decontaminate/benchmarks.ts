// Benchmark files to texts: the questions of every JSONL row, or the fields that are named.
import { NsaError } from "@nsa/core";
import { readDocumentsRows } from "../readers/rows.ts";
import { wordsOf } from "../text/lines.ts";
import { comparableText } from "./comparable.ts";
import type { BenchmarkText } from "./index-grams.ts";

/**
 * Names under which data sets state their questions. Answers, options and formulas are not among them: "1, 2, 3" and
 * "\\frac{1}{2}" stand on every other page about mathematics.
 */
const QUESTIONS = new Set(
  "question problem prompt query input body stem ques problem_text question_text question_stem original_question squestion text".split(
    " ",
  ),
);

/** The field name that takes every string field but ids and labels. */
const ALL = "*";
const NOT_TEXT = new Set(["id", "url", "source", "license", "subject", "level", "type", "label", "split"]);

/** Names that many benchmarks share: a label needs their folder. */
const splitName = /^(?:test|train|dev|val|validation|data|main|questions|problems)\./i;

/**
 * A label for each benchmark file: its name, with as many of its folders as set it apart from others of that name
 * (`gsm8k/test.jsonl`, `svamp/test.jsonl`).
 */
export function benchmarkLabels(paths: readonly string[]): string[] {
  const parts = paths.map((path) => path.split(/[\\/]+/).filter((part) => part !== "" && part !== "."));
  const deepest = Math.max(1, ...parts.map((p) => p.length));
  return parts.map((own, i) => {
    for (let n = splitName.test(own.at(-1)!) ? 2 : 1; n <= deepest; n++) {
      const label = own.slice(-n).join("/");
      if (parts.every((other, j) => j === i || other.slice(-n).join("/") !== label)) return label;
    }
    return paths[i]!;
  });
}

function strings(value: unknown): string[] {
  if (typeof value === "string") return [value];
  return Array.isArray(value) ? value.flatMap(strings) : [];
}

function isWanted(name: string, fields: readonly string[]): boolean {
  if (fields.length === 0) return QUESTIONS.has(name.toLowerCase());
  return fields.includes(ALL) ? !NOT_TEXT.has(name) : fields.includes(name);
}

/**
 * Texts of a benchmark file: its questions, the named fields, or with `*` all strings. Throws NsaError `benchmark_empty`
 * (exit 3) when no row has any of them.
 */
export async function readBenchmark(
  path: string,
  fields: string[],
  benchmark = benchmarkLabels([path])[0]!,
): Promise<BenchmarkText[]> {
  const texts: BenchmarkText[] = [];
  const found = new Set<string>();
  let row = 0;
  for await (const record of readDocumentsRows(path)) {
    const item = String(record.id ?? `${benchmark}:${row}`);
    row++;
    for (const [name, value] of Object.entries(record)) {
      found.add(name);
      if (!isWanted(name, fields)) continue;
      const question = QUESTIONS.has(name.toLowerCase());
      for (const text of strings(value))
        texts.push({ benchmark, item, words: wordsOf(comparableText(text)), question });
    }
  }
  if (texts.length === 0) {
    const wanted = fields.length > 0 ? fields.join(", ") : "a field that is known to hold questions";
    throw new NsaError({
      code: "benchmark_empty",
      what: `no text to check against in ${path}`,
      why:
        row > 0
          ? `none of its ${row} rows has ${wanted}; they have ${[...found].join(", ")}`
          : "it has 0 rows",
      fix: "name the fields that hold the questions in `decontaminate.fields`",
      exitCode: 3,
    });
  }
  return texts;
}
