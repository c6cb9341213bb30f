// Decontamination: any shared 10-gram, whole short texts, and nothing else.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { GramIndex, readBenchmark, wordsOf } from "../src/index.ts";

const root = mkdtempSync(join(tmpdir(), "nsa-decontaminate-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));
const text = (item: string, words: string) => ({ benchmark: "b", item, words: wordsOf(words) });
const LONG = "one two three four five six seven eight nine ten eleven twelve";
const index = new GramIndex([text("long", LONG), text("short", "What is 2+2?"), text("tiny", "a b")], {
  ngram: 10,
  minWords: 3,
});

test("ten_words_in_a_row_are_a_hit_and_nine_are_not", () => {
  expect(index.find(wordsOf("x Two three, four five six seven eight nine ten ELEVEN y"))?.item).toBe("long");
  expect(index.find(wordsOf("two three four five six seven eight nine ten x eleven twelve"))).toBeUndefined();
});

test("short_texts_match_whole_and_tiny_ones_are_not_checked", () => {
  expect(index.find("so what is 2 2 then")).toEqual({ benchmark: "b", item: "short", gram: "what is 2 2" });
  expect(index.find("what is 2 3")).toBeUndefined();
  expect(index.find("a b a b a b")).toBeUndefined();
});

test("benchmark_files_give_all_their_string_fields_or_the_named_ones", async () => {
  const path = join(root, "b.jsonl");
  writeFileSync(
    path,
    `${JSON.stringify({ id: "q1", question: "How many?", answer: 4, choices: ["Two", "Four"] })}\n`,
  );
  expect((await readBenchmark(path, [])).map((t) => t.words)).toEqual(["how many", "two", "four"]);
  expect((await readBenchmark(path, ["question"])).map((t) => t.words)).toEqual(["how many"]);
  await expect(readBenchmark(path, ["prompt"])).rejects.toMatchObject({
    code: "benchmark_empty",
    exitCode: 3,
  });
});
