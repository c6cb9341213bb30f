// Deduplication: URLs, exact keys, and MinHash-LSH with planted near duplicates spread over shards.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { KeySet } from "../src/corpus/dedup/key-set.ts";
import { bandHash } from "../src/corpus/dedup/minhash.ts";
import {
  type BandFile,
  bandRun,
  choices,
  contentKey,
  minhashSignatures,
  minhashTypescript,
  nearDuplicates,
  normaliseUrl,
  urlKey,
  wordLines,
  wordsOf,
} from "../src/index.ts";
import { jaccard, randomText, variant } from "./planted.ts";

const root = mkdtempSync(join(tmpdir(), "nsa-dedup-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));
const BANDS = 20;
const ROWS = 6;
const OPTIONS = { shingleWords: 5, hashes: BANDS * ROWS, seed: 1 };

function shardFile(name: string, texts: string[]): BandFile {
  const signatures = minhashSignatures(wordLines(texts), OPTIONS);
  const bands = Array.from({ length: BANDS }, (_, b) =>
    bandRun(texts.map((_, d) => bandHash(signatures, d * OPTIONS.hashes + b * ROWS, ROWS))),
  );
  const files = { signatures: join(root, `${name}.sig`), bands: join(root, `${name}.bands`) };
  writeFileSync(files.signatures, new Uint8Array(signatures.buffer));
  writeFileSync(files.bands, Buffer.concat(bands.map((b) => new Uint8Array(b.buffer))));
  return { ...files, documents: texts.length };
}

test("urls_that_differ_only_in_tracking_case_or_index_page_are_one", () => {
  const same = [
    "https://www.Example.org/a/b/",
    "http://example.org:80/a/b/index.html#top",
    "https://example.org/a//b?utm_source=x",
  ].map(normaliseUrl);
  expect(new Set(same)).toEqual(new Set(["example.org/a/b"]));
  expect(normaliseUrl("https://a.org/?b=2&a=1")).toBe(normaliseUrl("https://a.org/?a=1&b=2"));
  expect(normaliseUrl("https://a.org/x")).not.toBe(normaliseUrl("https://a.org/y"));
  expect(urlKey("")).toBe(0n);
});

test("content_keys_ignore_case_and_punctuation_but_not_order", () => {
  expect(contentKey(wordsOf("The cat, sat!"))).toBe(contentKey(wordsOf("the CAT sat")));
  expect(contentKey(wordsOf("the cat sat"))).not.toBe(contentKey(wordsOf("the sat cat")));
});

test("key_sets_hold_what_was_added_and_nothing_else", () => {
  const set = new KeySet();
  const keys = Array.from({ length: 20_000 }, (_, i) => BigInt.asUintN(64, BigInt(i) * 0x9e3779b97f4a7c15n));
  expect(keys.every((k) => set.add(k))).toBe(true);
  expect(keys.every((k) => set.has(k) && !set.add(k))).toBe(true);
  expect(set.has(12345n)).toBe(false);
});

test("native_and_typescript_signatures_are_bit_equal", () => {
  const c = choices(5);
  const texts = [
    "",
    "one",
    "one two three",
    "naïve 三角形",
    ...Array.from({ length: 20 }, () => randomText(c, 300).join(" ")),
  ];
  const words = wordLines(texts);
  expect(minhashSignatures(words, OPTIONS)).toEqual(minhashTypescript(words, OPTIONS));
});

test("near_duplicates_are_found_across_shards_with_recall_and_few_false_positives", () => {
  const c = choices(7);
  const shards: string[][] = [[], [], []];
  const truth: { at: [number, number]; similarity: number }[] = [];
  for (let i = 0; i < 400; i++) {
    const words = randomText(c, 200);
    const target = i % 2 === 0 ? 0.82 : 0.5;
    const copy = variant(c, words, target, 5);
    shards[0]!.push(words.join(" "));
    const shard = 1 + (i % 2);
    truth.push({
      at: [shard, shards[shard]!.length],
      similarity: jaccard(words.join(" "), copy.join(" "), 5),
    });
    shards[shard]!.push(copy.join(" "));
  }
  const files = shards.map((texts, s) => shardFile(`s${s}`, texts));
  const total = shards.flat().length;
  const options = { bands: BANDS, hashes: OPTIONS.hashes, threshold: 0.72 };
  const marks = nearDuplicates(files, options, new Uint8Array(total));
  const starts = [0, shards[0]!.length, shards[0]!.length + shards[1]!.length];
  const marked = (at: [number, number]) => marks[starts[at[0]]! + at[1]] === 1;
  const similar = truth.filter((t) => t.similarity >= 0.8);
  const different = truth.filter((t) => t.similarity < 0.6);
  expect(similar.length).toBeGreaterThan(150);
  expect(similar.filter((t) => marked(t.at)).length / similar.length).toBeGreaterThanOrEqual(0.95);
  expect(different.filter((t) => marked(t.at)).length / different.length).toBeLessThanOrEqual(0.02);
  expect(marks.subarray(0, shards[0]!.length).every((m) => m === 0)).toBe(true);
});

test("ignored_documents_neither_count_nor_shield_others", () => {
  const text = randomText(choices(9), 100).join(" ");
  const files = [shardFile("i", [text, text, text])];
  const options = { bands: BANDS, hashes: OPTIONS.hashes, threshold: 0.72 };
  expect([...nearDuplicates(files, options, Uint8Array.of(1, 0, 0))]).toEqual([0, 0, 1]);
});
