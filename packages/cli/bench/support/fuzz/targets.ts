// The readers that are fuzzed: each takes bytes and must end in a result, a refusal or a clear error, in time.
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { loadConfig, SafetensorsReader } from "@nsa/core";
import {
  decodePage,
  extractHtml,
  extractPage,
  readDocuments,
  readModel,
  readParquetRows,
  Tokenizer,
} from "@nsa/data";
import { grade, jinjaTemplate } from "@nsa/tasks";
import { pretrainStage } from "@nsa/train";
import { answer } from "./grammars/answer.ts";
import { fastText, safetensors } from "./grammars/binary.ts";
import { jinja } from "./grammars/jinja.ts";
import { html, mathml } from "./grammars/pages.ts";
import { recipe } from "./grammars/recipe.ts";
import { jsonl, warc } from "./grammars/records.ts";
import { tokenizerJson } from "./grammars/tokenizer.ts";
import type { Draw } from "./inputs.ts";

export interface FuzzTarget {
  build(draw: Draw): Buffer;
  /** Reads the bytes, by way of a file where readers take one. Throws what the reader throws. */
  read(input: Buffer, folder: string): unknown;
  /** Milliseconds for one input, of the processor where that can be told. */
  limitMs: number;
}

const LIMIT_MS = 2000;

/** A target that reads a file of this name. */
const file = (name: string, read: (path: string) => unknown) => (input: Buffer, folder: string) => {
  const path = join(folder, name);
  writeFileSync(path, input);
  return read(path);
};

/** What the engine says of a mistake in a program; a refusal with such a reason is a raw error. */
const MISTAKE =
  /Cannot (?:read|set|destructure|convert|access|mix)|is not (?:a function|iterable|defined|a constructor)|Maximum call stack|Invalid (?:array|typed array|string) length|Reduce of empty/;

const documents = async (path: string) => {
  let count = 0;
  for await (const event of readDocuments(path, { maxRecordBytes: 1 << 20 })) {
    if ("refusal" in event && event.refusal.reason !== "not_json" && MISTAKE.test(event.refusal.excerpt))
      throw new Error(`refused as ${event.refusal.reason}: ${event.refusal.excerpt}`);
    count++;
  }
  return count;
};

const rows = async (path: string) => {
  let count = 0;
  for await (const _ of readParquetRows(path)) count++;
  return count;
};

const parquet = readFileSync(join(import.meta.dirname, "rows.parquet"));

export const fuzzTargets: Readonly<Record<string, FuzzTarget>> = {
  recipe: {
    build: recipe,
    read: file("recipe.yaml", (path) => loadConfig(pretrainStage.schema, path)),
    limitMs: LIMIT_MS,
  },
  tokenizer: {
    build: tokenizerJson,
    read: file("tokenizer.json", (path) => {
      const tokenizer = Tokenizer.load(path);
      return tokenizer.decode(tokenizer.encode("a ab é 12 <s> aaaaaaaaaaaaaaaaaaaaaaaaaaaab"));
    }),
    limitMs: LIMIT_MS,
  },
  safetensors: {
    build: safetensors,
    read: file("x.safetensors", (path) => {
      using reader = SafetensorsReader.open(path);
      for (const name of reader.entries.keys()) reader.bytes(name);
    }),
    limitMs: LIMIT_MS,
  },
  fasttext: { build: fastText, read: file("x.bin", readModel), limitMs: LIMIT_MS },
  warc: { build: warc, read: file("x.warc", documents), limitMs: LIMIT_MS },
  jsonl: { build: jsonl, read: file("x.jsonl", documents), limitMs: LIMIT_MS },
  // A page that never ends is given up after its budget, which is longer.
  parquet: { build: () => parquet, read: file("x.parquet", rows), limitMs: 60_000 },
  grader: {
    build: answer,
    read: (input) => {
      const [completion = "", gold = ""] = input.toString().split("\u0001");
      return grade(completion, gold, { fallback: "any" } as never);
    },
    limitMs: 50,
  },
  jinja: {
    build: jinja,
    read: (input) =>
      jinjaTemplate(input.toString(), { place: "fuzz" }).render([{ role: "user", content: "Hi" }], true),
    limitMs: LIMIT_MS,
  },
  mathml: { build: mathml, read: (input) => extractHtml(input.toString()), limitMs: LIMIT_MS },
  // Not in the thread that readers extract pages in: what a page takes is to be seen.
  html: { build: html, read: (input) => extractPage(decodePage(input, "")), limitMs: LIMIT_MS },
};
