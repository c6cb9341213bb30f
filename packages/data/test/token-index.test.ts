// Counts and borders of token shards for six short documents, by hand, and what makes them again.
import { mkdtempSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { Tokenizer, TokenShards, tokenizeFiles, trainBpe } from "../src/index.ts";

const root = mkdtempSync(join(tmpdir(), "nsa-token-index-"));
afterAll(() => rmSync(root, { recursive: true }));

/** Every byte is a token; each document has one more for its end. */
const tokenizer = new Tokenizer(
  trainBpe(["a"], { vocabSize: 257, preTokenizer: "digits", specialTokens: ["<|endoftext|>"] }),
);
const file = join(root, "texts.jsonl");
const write = (texts: string[], seconds: number) => {
  writeFileSync(file, texts.map((text) => JSON.stringify({ text })).join("\n"));
  utimesSync(file, seconds, seconds);
};
const made: boolean[] = [];
const make = () =>
  tokenizeFiles([file], {
    tokenizer,
    out: join(root, "out"),
    shardTokens: 8,
    onFile: (f) => made.push(f.made),
  });

test("a_shard_ends_with_the_document_that_fills_it_and_the_index_counts_all", async () => {
  write(["abc", "defgh", "ij", "k", "lmn", "ż"], 1000);
  const index = await make();
  expect(index).toMatchObject({
    dtype: "U16",
    vocab_size: 257,
    // 4 + 6, 3 + 2 + 4 and, of two bytes, 3 tokens.
    shards: [
      { file: "00000-000.safetensors", documents: 2, tokens: 10 },
      { file: "00000-001.safetensors", documents: 3, tokens: 9 },
      { file: "00000-002.safetensors", documents: 1, tokens: 3 },
    ],
    documents: 6,
    tokens: 22,
    bytes: 16,
    refused: 0,
    // 3, 2, 3 tokens, and 4, 6, 4.
    length_histogram: [0, 3, 3],
  });
  const shards = TokenShards.open(join(root, "out"));
  const end = tokenizer.eosId;
  const ids = (text: string) => [...tokenizer.encodeIds(text), end];
  expect(shards.length).toBe(6);
  expect(Array.from({ length: 6 }, (_, i) => Array.from(shards.get(i)))).toEqual(
    ["abc", "defgh", "ij", "k", "lmn", "ż"].map(ids),
  );
  shards.close();
});

test("a_file_of_the_same_size_that_was_written_again_is_made_again", async () => {
  await make();
  expect(made.at(-1)).toBe(false);
  write(["xyz", "defgh", "ij", "k", "lmn", "ż"], 2000);
  await make();
  expect(made.at(-1)).toBe(true);
  const shards = TokenShards.open(join(root, "out"));
  expect(tokenizer.decode(Array.from(shards.get(0)).slice(0, -1))).toBe("xyz");
  shards.close();
});
