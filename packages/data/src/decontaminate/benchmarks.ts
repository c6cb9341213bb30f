// Benchmark files to texts: every string field of every JSONL row, or the fields that are named.
import { basename } from "node:path";
import { NsaError } from "@nsa/core";
import { readDocumentsRows } from "../readers/rows.ts";
import { wordsOf } from "../text/lines.ts";
import type { BenchmarkText } from "./index-grams.ts";

const NOT_TEXT = new Set(["id", "url", "source", "license", "subject", "level", "type", "label", "split"]);

function strings(value: unknown): string[] {
  if (typeof value === "string") return [value];
  return Array.isArray(value) ? value.flatMap(strings) : [];
}

/** Texts of a benchmark file. Throws NsaError `benchmark_empty` (exit 3) when no row has any of the fields. */
export async function readBenchmark(path: string, fields: string[]): Promise<BenchmarkText[]> {
  const texts: BenchmarkText[] = [];
  let row = 0;
  const benchmark = basename(path);
  for await (const record of readDocumentsRows(path)) {
    const item = String(record.id ?? `${benchmark}:${row}`);
    row++;
    for (const [name, value] of Object.entries(record)) {
      if (fields.length > 0 ? !fields.includes(name) : NOT_TEXT.has(name)) continue;
      for (const text of strings(value)) texts.push({ benchmark, item, words: wordsOf(text) });
    }
  }
  if (texts.length === 0) {
    throw new NsaError({
      code: "benchmark_empty",
      what: `no text to check against in ${path}`,
      why: fields.length > 0 ? `none of its ${row} rows has ${fields.join(", ")}` : `it has ${row} rows`,
      fix: "name the fields that hold the questions in `decontaminate.fields`",
      exitCode: 3,
    });
  }
  return texts;
}
