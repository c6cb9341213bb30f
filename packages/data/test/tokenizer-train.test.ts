// Merges of byte-pair encoding on a few words, by hand: order, ties, overlaps and where it ends.
import { expect, test } from "vitest";
import { trainBpe } from "../src/index.ts";

function merges(words: Record<string, number>, vocabSize = 300): string[] {
  const texts = Object.entries(words).flatMap(([word, times]) => new Array<string>(times).fill(word));
  const json = trainBpe(texts, { vocabSize, preTokenizer: "gpt2", specialTokens: ["<end>"] });
  const { model } = json as { model: { merges: string[][]; vocab: Record<string, number> } };
  const learned = model.merges.map(([a, b]) => `${a}+${b}`);
  // Each merge has the next id after the special token and the bytes.
  model.merges.forEach(([a, b], i) => {
    expect(model.vocab[`${a}${b}`]).toBe(257 + i);
  });
  return learned;
}

test("the_most_frequent_pair_is_merged_first_and_its_neighbours_are_counted_again", () => {
  // bc 6, ab 3, cd 3; then a·bc 3 and bc·d 3, of which a·bc has the lower first id.
  expect(merges({ bcd: 3, abc: 3 })).toEqual(["b+c", "a+bc", "bc+d"]);
  // ab 5, bc 4, cd 4; with ab gone only 2 of bc are left, while cd has its 4. Then b·cd 2 and ab·c 2, b the lower id.
  expect(merges({ abc: 2, ab: 3, bcd: 2, cd: 2 })).toEqual(["a+b", "c+d", "b+cd", "ab+c"]);
});

test("ties_go_to_the_lower_ids_whichever_was_seen_first", () => {
  expect(merges({ pq: 2, mn: 2, mo: 2 })).toEqual(["m+n", "m+o", "p+q"]);
});

test("pairs_seen_once_are_not_merged", () => {
  expect(merges({ zz: 1, xy: 2, uvw: 1 })).toEqual(["x+y"]);
});

test("repeated_letters_are_merged_from_the_left", () => {
  // aaaa holds aa three times; then aa·aa once a word.
  expect(merges({ aaaa: 2 })).toEqual(["a+a", "aa+aa"]);
  expect(merges({ aaa: 2 })).toEqual(["a+a", "aa+a"]);
});

test("the_vocabulary_s_size_ends_it", () => {
  expect(merges({ bcd: 3, abc: 3 }, 259)).toEqual(["b+c", "a+bc"]);
  expect(merges({ bcd: 3, abc: 3 }, 257)).toEqual([]);
});
