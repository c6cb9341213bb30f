// Token shards vouch for themselves: no flipped byte and no edit passes, and ids that the tokenizer does not have are refused.
import { cpSync, mkdtempSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Rng, writeSafetensors } from "@nsa/core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type TokenIndex, Tokenizer, TokenShards, tokenizeFiles, trainBpe } from "../src/index.ts";

const root = mkdtempSync(join(tmpdir(), "nsa-vouched-"));
afterAll(() => rmSync(root, { recursive: true }));
const lines = Array.from(
  { length: 60 },
  (_, i) => `Sheet ${i}: ${"a sum and its parts ".repeat(1 + (i % 5))}`,
);
const tokenizer = new Tokenizer(
  trainBpe(lines, { vocabSize: 300, preTokenizer: "digits", specialTokens: ["<|endoftext|>"] }),
);
const input = join(root, "in.jsonl");
const whole = join(root, "whole");
const options = { tokenizer, shardTokens: 600 };

beforeAll(async () => {
  writeFileSync(input, lines.map((text, i) => `${JSON.stringify({ id: String(i), text })}\n`).join(""));
  await tokenizeFiles([input], { ...options, out: whole });
});

let copies = 0;
function copy(): string {
  const folder = join(root, `copy-${copies++}`);
  cpSync(whole, folder, { recursive: true });
  return folder;
}
const flip = (path: string, at: number, bit: number) => {
  const bytes = readFileSync(path);
  bytes[at]! ^= 1 << bit;
  writeFileSync(path, bytes);
};
const corrupt = expect.objectContaining({ code: "token_shard_corrupt", exitCode: 3 });
const shards = () => (JSON.parse(readFileSync(join(whole, "index.json"), "utf8")) as TokenIndex).shards;

test("flipped_bits_anywhere_in_a_shard_or_its_index_are_refused", () => {
  expect(shards().length).toBeGreaterThan(1);
  const rng = new Rng(3, 0);
  for (const file of [...shards().map((s) => s.file), "index.json"]) {
    for (let n = 0; n < 12; n++) {
      const folder = copy();
      const path = join(folder, file);
      flip(path, Math.floor(rng.uniform(n, 0) * statSync(path).size), n % 8);
      expect(() => TokenShards.open(folder), `${file} ${n}`).toThrow(corrupt);
      rmSync(folder, { recursive: true });
    }
  }
});

test.each<[string, (index: TokenIndex) => unknown]>([
  ["null", () => null],
  ["a list", () => []],
  ["a negative count", (i) => ({ ...i, shards: [{ ...i.shards[0]!, documents: -1 }] })],
  ["a path out of the folder", (i) => ({ ...i, shards: [{ ...i.shards[0]!, file: "../x" }] })],
  ["another format", (i) => ({ ...i, format: 2 })],
  ["another size of the vocabulary", (i) => ({ ...i, vocab_size: 10_000 })],
  ["shards in another order", (i) => ({ ...i, shards: i.shards.toReversed() })],
  ["no shards at all", ({ shards: _, ...i }) => i],
])("an_index_edited_to_%s_is_refused", (_, edit) => {
  const folder = copy();
  const path = join(folder, "index.json");
  writeFileSync(path, JSON.stringify(edit(JSON.parse(readFileSync(path, "utf8")))));
  expect(() => TokenShards.open(folder)).toThrow(corrupt);
});

test("a_rerun_makes_again_what_was_damaged_and_nothing_else", async () => {
  const folder = copy();
  const [first] = shards();
  const before = readFileSync(join(folder, first!.file));
  flip(join(folder, first!.file), 200, 3);
  const made: boolean[] = [];
  await tokenizeFiles([input], { ...options, out: folder, onFile: (done) => made.push(done.made) });
  expect(made).toEqual([true]);
  expect(readFileSync(join(folder, first!.file)).equals(before)).toBe(true);
  await tokenizeFiles([input], { ...options, out: folder, onFile: (done) => made.push(done.made) });
  expect(made).toEqual([true, false]);
  truncateSync(join(folder, "00000.part.json"), 20);
  await tokenizeFiles([input], { ...options, out: folder, onFile: (done) => made.push(done.made) });
  expect(made).toEqual([true, false, true]);
});

/** Shards of before hashes were kept: index and shard as they were then. */
function old(tokens: number[], offsets: bigint[]): string {
  const folder = join(root, `old-${copies++}`);
  cpSync(whole, folder, { recursive: true });
  const { seal: _, ...index } = JSON.parse(readFileSync(join(folder, "index.json"), "utf8"));
  const entry = { file: "old.safetensors", documents: offsets.length - 1, tokens: tokens.length };
  writeFileSync(join(folder, "index.json"), JSON.stringify({ ...index, shards: [entry] }));
  const data = { doc_offsets: BigUint64Array.from(offsets), tokens: Uint16Array.from(tokens) };
  writeSafetensors(
    join(folder, "old.safetensors"),
    [
      { name: "doc_offsets", dtype: "U64", shape: [offsets.length], data: () => data.doc_offsets },
      { name: "tokens", dtype: "U16", shape: [tokens.length], data: () => data.tokens },
    ],
    { tokenizer_hash: tokenizer.hash },
  );
  return folder;
}

test("shards_without_hashes_are_read_and_ids_and_borders_that_cannot_be_are_refused", () => {
  const sound = TokenShards.open(old([5, 6, 0, 7, 0], [0n, 3n, 5n]));
  expect([[...sound.get(0)], [...sound.get(1)]]).toEqual([
    [5, 6, 0],
    [7, 0],
  ]);
  sound.close();
  const beyond = TokenShards.open(old([5, 6, 0, tokenizer.vocabSize, 0], [0n, 3n, 5n]));
  expect([...beyond.get(0)]).toEqual([5, 6, 0]);
  expect(() => beyond.get(1)).toThrow(corrupt);
  expect(() => beyond.get(1)).toThrow(
    `document 1 has the id ${tokenizer.vocabSize}, and the tokenizer has ${tokenizer.vocabSize}`,
  );
  beyond.close();
  for (const borders of [
    [0n, 4n, 3n],
    [1n, 3n, 5n],
    [0n, 3n, 9n],
    [0n, 2n ** 63n, 5n],
  ])
    expect(() => TokenShards.open(old([5, 6, 0, 7, 0], borders)), String(borders)).toThrow(corrupt);
});
