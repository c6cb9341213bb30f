// Estimators against brute force.

import { Rng } from "@nsa/core";
import { expect, test } from "vitest";
import {
  bootstrapInterval,
  groupAnswers,
  languageShare,
  majAtK,
  majorityCalibration,
  mcnemar,
  passAtK,
  rmAtK,
  sameAnswer,
} from "../src/index.ts";

function* subsets(n: number, k: number, from = 0): Generator<number[]> {
  if (k === 0) yield [];
  else for (let i = from; i <= n - k; i++) for (const rest of subsets(n, k - 1, i + 1)) yield [i, ...rest];
}

const cases = [[3, 2, 1], [4], [0, 3, 3], [2, 2, 2, 1], [1, 1, 1, 1, 1], [5, 4]];

test("pass_at_k_and_maj_at_k_equal_the_mean_over_all_subsets", () => {
  for (const counts of cases) {
    const labels = counts.flatMap((c, i) => Array(c).fill(i) as number[]);
    const n = labels.length;
    for (let k = 1; k <= n; k++) {
      let [pass, maj, total] = [0, 0, 0];
      for (const pick of subsets(n, k)) {
        const drawn = counts.map((_, i) => pick.filter((s) => labels[s] === i).length);
        const top = Math.max(...drawn);
        total++;
        if (drawn[0]! > 0) pass++;
        if (drawn[0] === top) maj += 1 / drawn.filter((d) => d === top).length;
      }
      expect(passAtK(n, counts[0]!, k)).toBeCloseTo(pass / total, 10);
      expect(majAtK(counts, 0, k)).toBeCloseTo(maj / total, 10);
    }
  }
});

test("maj_at_k_without_the_right_answer_is_zero", () => {
  expect(majAtK([3, 2], -1, 4)).toBe(0);
  expect(() => passAtK(3, 1, 4)).toThrow(/4 samples/);
});

test("bootstrap_intervals_hold_the_mean_and_repeat", () => {
  const values = Array.from({ length: 50 }, (_, i) => (i % 3 === 0 ? 1 : 0));
  const a = bootstrapInterval(values, { seed: 3 });
  expect(a).toEqual(bootstrapInterval(values, { seed: 3 }));
  expect(a.low).toBeLessThan(a.mean);
  expect(a.high).toBeGreaterThan(a.mean);
});

test("rm_at_k_equals_the_mean_over_all_subsets_with_ties_shared", () => {
  for (const [scores, right] of [
    [
      [3, 1, 2, 2],
      [true, false, false, true],
    ],
    [
      [1, 1, 1],
      [true, false, false],
    ],
    [
      [5, 4, 3, 2, 1],
      [false, true, false, false, true],
    ],
  ] as const) {
    for (let k = 1; k <= scores.length; k++) {
      let [sum, total] = [0, 0];
      for (const pick of subsets(scores.length, k)) {
        const best = pick.filter((i) => scores[i] === Math.max(...pick.map((j) => scores[j]!)));
        sum += best.filter((i) => right[i]).length / best.length;
        total++;
      }
      expect(rmAtK(scores, right, k)).toBeCloseTo(sum / total, 12);
    }
  }
});

test("samples_without_a_score_are_taken_last_and_share_the_draw", () => {
  const nan = Number.NaN;
  // Of three pairs two hold the sample with a score; the third is of the two without one.
  expect(rmAtK([nan, 0.5, nan], [true, false, false], 2)).toBeCloseTo((0 + 0 + 0.5) / 3, 12);
  expect(rmAtK([nan, 0.5, nan], [false, true, false], 2)).toBeCloseTo(2 / 3, 12);
  expect(rmAtK([nan, nan], [true, false], 1)).toBe(0.5);
});

test("answers_of_one_value_are_one_class_and_empty_ones_stay_apart", () => {
  const answers = ["1/2", "0.5", "", "\\frac12", "", "2"];
  const { counts, of, right } = groupAnswers(
    answers,
    answers.map((a) => sameAnswer(a, "50\\%")),
  );
  expect(counts).toEqual([3, 1, 1, 1]);
  expect(of).toEqual([0, 0, 1, 0, 2, 3]);
  expect(right).toBe(0);
  // Many answers may be right: they vote together, and a wrong one of the same value stays apart.
  const construct = groupAnswers(["3*8", "20+4", "24", "24"], [true, true, false, false]);
  expect(construct).toEqual({ counts: [2, 2], of: [0, 0, 1, 1], right: 0 });
});

test("pass_at_k_and_maj_at_k_estimate_the_truth_of_generated_answers", () => {
  // Answers are right with probability p, else one of two wrong ones: Pass@4 = 1 − (1 − p)^4.
  const rng = new Rng(5, 9);
  const [p, n, problems] = [0.4, 16, 4000];
  let [pass, maj] = [0, 0];
  for (let i = 0; i < problems; i++) {
    const counts = [0, 0, 0];
    for (let j = 0; j < n; j++) {
      const u = rng.uniform(i, j);
      counts[u < p ? 0 : u < p + 0.3 ? 1 : 2]!++;
    }
    pass += passAtK(n, counts[0]!, 4) / problems;
    maj += majAtK(counts, 0, 3) / problems;
  }
  expect(pass).toBeCloseTo(1 - 0.6 ** 4, 1.7);
  // Three votes: two or three right, or one right in a three-way tie that is broken evenly.
  const truth = p ** 3 + 3 * p ** 2 * 0.6 + (6 * p * 0.3 * 0.3) / 3;
  expect(maj).toBeCloseTo(truth, 1.7);
});

test("calibration_is_zero_for_honest_votes_and_large_for_false_ones", () => {
  const honest = Array.from({ length: 10 }, (_, i) => ({ share: 0.6, right: i < 6 ? 1 : 0 }));
  expect(majorityCalibration(honest).error).toBeCloseTo(0, 12);
  const vain = honest.map((v) => ({ ...v, share: 1 }));
  expect(majorityCalibration(vain).error).toBeCloseTo(0.4, 12);
});

test("mcnemar_is_the_exact_binomial_test", () => {
  expect(mcnemar(0, 0)).toBe(1);
  expect(mcnemar(1, 9)).toBeCloseTo((2 * (1 + 10)) / 1024, 12);
  expect(mcnemar(5, 5)).toBe(1);
});

test("language_shares_count_texts_in_the_target", async () => {
  const texts = ["The quick brown fox jumps over the lazy dog.", "所以一共有十八个苹果，答案是十八。", "42"];
  expect(await languageShare(texts, "en")).toBe(0.5);
  expect(await languageShare(texts, "zh")).toBe(0.5);
});
