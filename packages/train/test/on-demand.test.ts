// Examples that are tokenized when a step wants them: the same steps as from all at once, exact resume, faults passed over, little memory.
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { Rng, type StepBatch } from "@nsa/core";
import { Tokenizer, trainBpe } from "@nsa/data";
import { afterAll, expect, test } from "vitest";
import { readExamples } from "../src/stages/sft/examples.ts";
import { OnDemandExamples, OnDemandSource } from "../src/stages/sft/on-demand.ts";
import { RecordIndex } from "../src/stages/sft/record-index.ts";
import { ExampleSource } from "../src/stages/sft/source.ts";

const dir = mkdtempSync(join(tmpdir(), "nsa-on-demand-"));
afterAll(() => rmSync(dir, { recursive: true }));

const tokenizer = new Tokenizer(
  trainBpe(["question answer"], { vocabSize: 257, preTokenizer: "digits", specialTokens: ["<|endoftext|>"] }),
);
const rows = Array.from({ length: 40 }, (_, i) => ({ q: `q${"x".repeat((i * 7) % 13)}ż`, a: `a${i}` }));
const lines = (all: readonly object[]) => all.map((row) => JSON.stringify(row)).join("\n");
function file(name: string, text: string | Buffer): string {
  writeFileSync(join(dir, name), text);
  return join(dir, name);
}
const source = (path: string, more: object = {}) => ({
  ...{ files: [path], prompt: "{q}=", completion: "{a}", format: "cot" },
  ...more,
});
const options = { microBatchTokens: 40, microBatches: 2, seed: 3 };
const open = (sources: ReturnType<typeof source>[], warnings: string[] = [], seqLen = 64) =>
  OnDemandExamples.open({ sources, seqLen, tokenizer, dir, warn: (text) => void warnings.push(text) });
const shown = ({ microBatches, weightSum }: StepBatch) => ({
  weightSum,
  batches: microBatches.map((b) => [[...b.tokens], [...b.targets], [...b.cuSeqlens], [...b.lossWeight]]),
});
const all = (n: number) => Uint32Array.from({ length: n }, (_, i) => i);

test("steps_are_those_of_examples_that_were_read_at_once_and_go_on_where_they_were_saved", async () => {
  const path = file("rows.jsonl", `\n${lines(rows)}\n\n`);
  const whole = new ExampleSource(
    readExamples({ sources: [source(path)], seqLen: 64 }, tokenizer, () => {}),
    options,
  );
  const examples = await open([source(path)]);
  expect(examples.count).toBe(40);
  const lazy = new OnDemandSource(examples, all(40), options);
  // Three epochs, so that orders are drawn again.
  const steps = Array.from({ length: 20 }, () => shown(lazy.next()));
  expect(steps).toEqual(Array.from({ length: 20 }, () => shown(whole.next())));
  const first = new OnDemandSource(examples, all(40), options);
  for (let i = 0; i < 7; i++) first.next();
  const resumed = new OnDemandSource(await open([source(path)]), all(40), options);
  resumed.load(JSON.parse(JSON.stringify(first.save())));
  for (let i = 7; i < 20; i++) expect(shown(resumed.next())).toEqual(steps[i]);
});

test("compressed_files_and_limits_of_sources_are_read_as_plain_ones", async () => {
  const plain = file("some.jsonl", lines(rows.slice(0, 9)));
  const packed = file("others.jsonl.gz", gzipSync(lines(rows.slice(9))));
  const examples = await open([source(plain, { maxExamples: 4 }), source(packed, { format: "pot" })]);
  const texts = Array.from({ length: examples.count }, (_, i) => examples.at(i)[0]!);
  expect(texts.map(({ prompt }) => prompt)).toEqual(
    [...rows.slice(0, 4), ...rows.slice(9)].map(({ q }) => `${q}=`),
  );
  expect(texts.map(({ format }) => format)).toEqual([...Array(4).fill("cot"), ...Array(31).fill("pot")]);
  examples.close();
  // A later start takes what was decompressed.
  const before = readdirSync(join(dir, "records"));
  (await open([source(packed)])).close();
  expect(readdirSync(join(dir, "records")).length).toBeGreaterThanOrEqual(before.length);
});

test("records_that_cannot_be_used_are_passed_over_and_each_reason_is_named_once", async () => {
  const bad = [
    JSON.stringify({ q: "no answer" }),
    "{",
    "[1]",
    JSON.stringify({ q: "long", a: "y".repeat(80) }),
    JSON.stringify({ q: "long", a: "z".repeat(90) }),
  ];
  const good = rows.slice(0, 5).map((row) => JSON.stringify(row));
  const path = file("bad.jsonl", [...good, ...bad].join("\n"));
  const warnings: string[] = [];
  const examples = await open([source(path)], warnings);
  const lazy = new OnDemandSource(examples, all(examples.count), options);
  const seen = new Set<string>();
  for (let i = 0; i < 6; i++)
    for (const { tokens, cuSeqlens } of lazy.next().microBatches)
      for (let n = 0; n + 1 < cuSeqlens.length; n++)
        seen.add(tokenizer.decode(tokens.subarray(cuSeqlens[n], cuSeqlens[n + 1])));
  expect([...seen].map((text) => text.split("=")[0]).sort()).toEqual(
    rows
      .slice(0, 5)
      .map(({ q }) => q)
      .sort(),
  );
  expect(warnings.map((text) => /out: (.*) \(first at /.exec(text)![1]).sort()).toEqual([
    "data_field_missing: the template asks for it; the record has q",
    "long",
    "the line is not a JSON object",
  ]);
  await expect(open([source(file("none.jsonl", "{\n[1]\n"))])).rejects.toMatchObject({
    code: "corpus_empty",
    exitCode: 3,
  });
});

test("an_index_finds_every_line_of_files_longer_than_its_buffer", async () => {
  // Lines of odd lengths over several buffers, multi-byte characters across their borders.
  const rng = new Rng(1, 2);
  const sizes = Array.from(rng.permutation(3000), (i) => 1000 + i);
  const long = sizes.map((size, i) => `{"i":${i},"t":"${"ż".repeat(size)}"}`);
  const path = file("long.jsonl", `${long.join("\n")}\n`);
  const index = await RecordIndex.open([{ path, source: 0 }], [Number.POSITIVE_INFINITY], dir);
  expect(index.count).toBe(3000);
  for (const i of [0, 1, 700, 1399, 1400, 2500, 2999])
    expect(index.read(i)).toMatchObject({ text: long[i], source: 0 });
  expect(index.read(2999).place).toBe(`${path}, record 3000`);
  index.close();
});

test("a_compressed_file_that_was_cut_is_named_and_leaves_nothing_to_be_taken_for_whole", async () => {
  const whole = gzipSync(lines(rows));
  const cut = file("cut.jsonl.gz", whole.subarray(0, whole.length - 12));
  const before = readdirSync(join(dir, "records")).filter((name) => !name.endsWith(".partial"));
  await expect(open([source(cut)])).rejects.toMatchObject({ code: "data_not_json", exitCode: 3, what: cut });
  expect(readdirSync(join(dir, "records")).filter((name) => !name.endsWith(".partial"))).toEqual(before);
});
