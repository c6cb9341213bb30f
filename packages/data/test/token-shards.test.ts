// Token shards: what is read is what was written, reruns make only what is missing, damage is reported.
import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { PackedSource, Tokenizer, TokenShards, tokenizeFiles, trainBpe } from "../src/index.ts";
import { folderHashes } from "./folder.ts";

const root = mkdtempSync(join(tmpdir(), "nsa-shards-"));
afterAll(() => rmSync(root, { recursive: true }));

const texts = Array.from(
  { length: 40 },
  (_, i) => `Document ${i}: ${"sum and product ".repeat(1 + (i % 7))}`,
);
const tokenizer = new Tokenizer(
  trainBpe(texts, { vocabSize: 300, preTokenizer: "digits", specialTokens: ["<|endoftext|>"] }),
);
const files = [0, 1, 2].map((f) => {
  const path = join(root, `part-${f}.jsonl`);
  const rows = texts
    .filter((_, i) => i % 3 === f)
    .map((text, i) => JSON.stringify({ id: `${f}-${i}`, text }));
  writeFileSync(path, `${rows.join("\n")}\n${f === 1 ? "{broken\n" : ""}`);
  return path;
});
const expected = [0, 1, 2].flatMap((f) => texts.filter((_, i) => i % 3 === f));
const make = async (name: string) => {
  const made: boolean[] = [];
  const index = await tokenizeFiles(files, {
    tokenizer,
    out: join(root, name),
    shardTokens: 100,
    onFile: (done) => made.push(done.made),
  });
  return { index, made };
};

test("documents_come_back_in_order_with_their_end_of_text", async () => {
  const { index } = await make("whole");
  expect(index.shards.length).toBeGreaterThan(3);
  expect(index.refused).toBe(1);
  expect(index.reasons).toEqual({ not_json: 1 });
  expect(index.length_histogram.reduce((a, b) => a + b, 0)).toBe(texts.length);
  const quarantine = readFileSync(join(root, "whole", "quarantine.jsonl"), "utf8");
  expect(JSON.parse(quarantine)).toMatchObject({ file: "part-1.jsonl", reason: "not_json" });
  expect(index.documents).toBe(texts.length);
  const shards = TokenShards.open(join(root, "whole"));
  const read = Array.from({ length: shards.length }, (_, i) => shards.get(i));
  expect(read.map((ids) => tokenizer.decode(ids))).toEqual(expected);
  expect(read.every((ids) => ids.at(-1) === tokenizer.eosId)).toBe(true);
  expect(read.reduce((n, ids) => n + ids.length, 0)).toBe(index.tokens);
  const options = { microBatchTokens: 64, microBatches: 2, maxLength: 32, seed: 3 };
  const [lazy, eager] = [new PackedSource(shards, options), new PackedSource(read, options)];
  for (let i = 0; i < 20; i++) expect(lazy.next()).toEqual(eager.next());
  const resumed = new PackedSource(shards, options);
  resumed.load(JSON.parse(JSON.stringify(lazy.save())));
  expect(resumed.next()).toEqual(eager.next());
  shards.close();
});

test("a_rerun_makes_only_what_is_missing_and_ends_with_the_same_bytes", async () => {
  const first = await make("rerun");
  expect(first.made).toEqual([true, true, true]);
  const before = folderHashes(join(root, "rerun"));
  expect((await make("rerun")).made).toEqual([false, false, false]);
  // A kill between two files leaves the second without its part file.
  rmSync(join(root, "rerun", "00001.part.json"));
  rmSync(join(root, "rerun", "index.json"));
  expect((await make("rerun")).made).toEqual([false, true, false]);
  expect(folderHashes(join(root, "rerun"))).toEqual(before);
});

test("damage_another_tokenizer_and_empty_inputs_are_reported", async () => {
  const { index } = await make("bad");
  const shard = join(root, "bad", index.shards[0]!.file);
  const bytes = readFileSync(shard);
  truncateSync(shard, 40);
  expect(() => TokenShards.open(join(root, "bad"))).toThrow(/cannot be read/);
  writeFileSync(shard, bytes);
  truncateSync(shard, bytes.length - 2);
  expect(() => TokenShards.open(join(root, "bad"))).toThrow(/cannot be read/);
  writeFileSync(shard, bytes);
  const shards = TokenShards.open(join(root, "bad"));
  truncateSync(shard, bytes.length - 2);
  expect(() => shards.get(index.shards[0]!.documents - 1)).toThrow(/cannot be read/);
  shards.close();
  writeFileSync(shard, bytes);
  writeFileSync(join(root, "bad", "index.json"), JSON.stringify({ ...index, tokenizer_hash: "other" }));
  expect(() => TokenShards.open(join(root, "bad"))).toThrow(/cannot be read/);
  expect(() => TokenShards.open(join(root, "none"))).toThrow(/no token shards/);
  const empty = join(root, "empty.jsonl");
  writeFileSync(empty, "");
  const broken = join(root, "broken.jsonl");
  writeFileSync(broken, `{"text":"one"}\n${"{\n".repeat(3)}`);
  await expect(tokenizeFiles([broken], { tokenizer, out: join(root, "broken") })).rejects.toMatchObject({
    code: "too_many_refused",
    exitCode: 3,
  });
  await expect(tokenizeFiles([empty], { tokenizer, out: join(root, "empty") })).rejects.toThrow(/nothing/);
});
