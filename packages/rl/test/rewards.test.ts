// Format, language, repetition and length rewards on texts that others' parsers credit wrongly.
import { expect, test } from "vitest";
import { formatReward } from "../src/reward/format.ts";
import {
  languageConsistency,
  overlongPenalty,
  reflectiveWords,
  repetitionPenalty,
} from "../src/reward/text.ts";

test("only_one_thought_and_one_answer_in_order_are_well_formed", () => {
  expect(formatReward("<think> 2+2 </think> <answer> 4 </answer>")).toBe(1);
  expect(formatReward("<think>a</think>\n<answer>4</answer>\n")).toBe(1);
  for (const bad of [
    "",
    "<answer>4</answer>",
    "<think></think> <answer>4</answer>",
    "<think> </think> <answer>4</answer>",
    "<think>a</think> <answer> </answer>",
    "<think>a</think> <answer>4</answer> and more",
    "so <think>a</think> <answer>4</answer>",
    "<think>a</think> <answer>4</answer> <answer>5</answer>",
    "<think>a <think>b</think> <answer>4</answer>",
    "<answer>4</answer> <think>a</think>",
    "<think>a</think> text <answer>4</answer>",
  ]) {
    expect(formatReward(bad), bad).toBe(0);
  }
});

test("language_consistency_is_the_share_of_target_words", () => {
  expect(languageConsistency("two plus two is four", "en")).toBe(1);
  expect(languageConsistency("two 加 two", "en")).toBeCloseTo(2 / 3);
  expect(languageConsistency("two 加 two", "zh")).toBeCloseTo(1 / 3);
  expect(languageConsistency("1 + 2 = 3", "en")).toBe(1);
});

test("repetition_and_length_penalties_start_at_zero", () => {
  expect(repetitionPenalty("a b c d e f g")).toBe(0);
  expect(repetitionPenalty("a b c d a b c d a b c d")).toBeCloseTo(-5 / 9);
  expect(overlongPenalty(80, 100, 20)).toBe(0);
  expect(overlongPenalty(90, 100, 20)).toBe(-0.5);
  expect(overlongPenalty(140, 100, 20)).toBe(-1);
});

test("reflective_words_are_counted_as_words", () => {
  expect(reflectiveWords("Wait, let me recheck. The waiter waits.")).toBe(2);
});
