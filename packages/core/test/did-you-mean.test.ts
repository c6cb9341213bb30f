// Which mistyped names are close enough for a suggestion.
import { expect, test } from "vitest";
import { didYouMean } from "../src/index.ts";

const names = ["train", "steps", "learning_rate", "num_kv_heads"];

test.each([
  // Two neighbours in the wrong order are one slip: five letters allow no second.
  ["tarin", "train"],
  ["setps", "steps"],
  ["trian", "train"],
  // One letter too few, too many, or another.
  ["trin", "train"],
  ["traiin", "train"],
  ["stops", "steps"],
  // Case, hyphens and underscores do not count.
  ["Num-KV-Heads", "num_kv_heads"],
  ["learningRate", "learning_rate"],
  // A third of eleven letters: three slips.
  ["lerningraet", "learning_rate"],
])("%s_is_taken_for_%s", (word, name) => {
  expect(didYouMean(word, names)).toBe(name);
});

test.each(["tiarn", "stpxs", "x", "heads"])("%s_is_taken_for_none", (word) => {
  expect(didYouMean(word, names)).toBeUndefined();
});

test("the_nearest_of_several_is_suggested_and_the_first_of_equals", () => {
  expect(didYouMean("stride", ["strides", "stride", "strider"])).toBe("stride");
  expect(didYouMean("strid", ["strida", "stride"])).toBe("strida");
});
