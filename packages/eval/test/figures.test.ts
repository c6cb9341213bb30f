// Estimators on a few lopsided numbers, each with its value worked out by hand.

import {
  bootstrapInterval,
  groupAnswers,
  majAtK,
  majAtKs,
  majorityCalibration,
  mcnemar,
  pairedDifference,
  passAtK,
  rmAtK,
  shareInterval,
} from "@nsa/tasks";
import { expect, test } from "vitest";
import { compareSamples, type EvalRow } from "../src/index.ts";

test("pass_at_k_is_one_minus_the_chance_of_k_wrong_ones", () => {
  // 1 − C(5−2, k)/C(5, k).
  expect([1, 2, 3, 4, 5].map((k) => passAtK(5, 2, k))).toEqual(
    [0.4, 0.7, 0.9, 1, 1].map((x) => expect.closeTo(x, 12)),
  );
  expect([passAtK(7, 0, 3), passAtK(7, 7, 1), passAtK(1, 1, 1)]).toEqual([0, 1, 1]);
  // 1 − C(60, 8)/C(64, 8) of 64 samples with 4 right.
  expect(passAtK(64, 4, 8)).toBeCloseTo(1 - (56 * 55 * 54 * 53) / (64 * 63 * 62 * 61), 12);
});

test("maj_at_k_of_three_right_of_five_with_a_pair_and_a_single", () => {
  // Answers a a a b c, a is right. One: 3/5. Two: aa 3 of 10 pairs, a with another 6, shared; bc 1.
  // Three: a wins in aaa, aab, aac (1 + 3 + 3 of 10), abc is shared by three in 3 of 10. Four and five: a.
  const chances = [3 / 5, (3 + 6 / 2) / 10, (7 + 3 / 3) / 10, 1, 1];
  expect(majAtKs([3, 1, 1], 0, [1, 2, 3, 4, 5])).toEqual(chances.map((x) => expect.closeTo(x, 12)));
  // b is right: 1/5; ab pairs 3 of 10 shared, bc 1 shared; abc 3 of 10 by three; never again.
  expect(majAtKs([3, 1, 1], 1, [1, 2, 3, 4])).toEqual([0.2, 0.2, 0.1, 0].map((x) => expect.closeTo(x, 12)));
  expect(majAtK([2, 2], 0, 4)).toBeCloseTo(0.5, 12);
});

test("rm_at_k_is_the_chance_that_the_best_scored_of_k_is_right", () => {
  // Scores 0.9 wrong, 0.7 right, 0.2 right, 0.1 wrong. Two of four: the best is right unless the first is drawn:
  // {2, 3}, {2, 4}, {3, 4} of six pairs. Three: {2, 3, 4} of four.
  const [scores, right] = [
    [0.2, 0.9, 0.1, 0.7],
    [true, false, false, true],
  ];
  expect([1, 2, 3, 4].map((k) => rmAtK(scores, right, k))).toEqual(
    [0.5, 0.5, 0.25, 0].map((x) => expect.closeTo(x, 12)),
  );
});

test("samples_of_equal_score_share_the_draw", () => {
  // Two best, one of them right, and a right one behind: of three pairs, one is shared, one right, one wrong.
  const chances = [1, 2, 3].map((k) => rmAtK([1, 1, 0.5], [true, false, true], k));
  expect(chances).toEqual([2 / 3, 1 / 2, 1 / 2].map((x) => expect.closeTo(x, 12)));
});

test("a_bootstrap_interval_has_the_quantiles_of_the_resampled_mean", () => {
  // 6 of 20: means are Binomial(20, 0.3)/20. P(≤ 1) = 0.8 %, P(≤ 2) = 3.5 %, P(≤ 9) = 95.2 %, P(≤ 10) = 98.3 %.
  const values = Array.from({ length: 20 }, (_, i) => (i < 6 ? 1 : 0));
  const { mean, low, high } = bootstrapInterval(values, { resamples: 4000 });
  expect(mean).toBeCloseTo(0.3, 12);
  expect([low, high]).toEqual([0.1, 0.5].map((x) => expect.closeTo(x, 12)));
  expect(bootstrapInterval([0.25])).toEqual({ mean: 0.25, low: 0.25, high: 0.25 });
  expect(bootstrapInterval([]).mean).toBeNaN();
});

test("shares_of_right_answers_have_wilsons_interval_which_is_no_point_at_the_ends", () => {
  const of = (right: number, n: number) =>
    shareInterval(Array.from({ length: n }, (_, i) => (i < right ? 1 : 0)));
  const near = (mean: number, low: number, high: number) =>
    Object.fromEntries(Object.entries({ mean, low, high }).map(([k, x]) => [k, expect.closeTo(x, 8)]));
  // z² = 3.84145882: of n = 64, z²/(n + z²) = 0.05662406; for 7 of 11, (7 + z²/2)/(11 + z²) ± z·√(7·4/11 + z²/4)/(11 + z²).
  expect(of(0, 64)).toEqual(near(0, 0, 0.05662406));
  expect(of(64, 64)).toEqual(near(1, 0.94337594, 1));
  expect(of(7, 11)).toEqual(near(7 / 11, 0.35380117, 0.84833529));
  expect(of(0, 64).low).toBe(0);
  expect(of(64, 64).high).toBe(1);
  expect(shareInterval([]).mean).toBeNaN();
  // Shares of several answers are resampled.
  const shares = [0.25, 0.5, 0.75, 1];
  expect(shareInterval(shares)).toEqual(bootstrapInterval(shares));
});

test("calibration_weighs_bins_by_their_problems", () => {
  const votes = [
    // (0.5, 0.6]: mean share 0.575, half right. (0.8, 0.9]: share 0.9, right 2.5 of 3. (0.9, 1]: 1, wrong.
    { share: 0.55, right: 0 },
    { share: 0.6, right: 1 },
    { share: 0.9, right: 1 },
    { share: 0.9, right: 0.5 },
    { share: 0.9, right: 1 },
    { share: 1, right: 0 },
  ];
  const { bins, error } = majorityCalibration(votes);
  const near = (x: number) => expect.closeTo(x, 12);
  expect(bins).toEqual([
    { low: 0.5, high: 0.6, problems: 2, share: near(0.575), accuracy: near(0.5) },
    { low: 0.8, high: 0.9, problems: 3, share: near(0.9), accuracy: near(2.5 / 3) },
    { low: 0.9, high: 1, problems: 1, share: 1, accuracy: 0 },
  ]);
  // A mean over the three bins would be 0.38.
  expect(error).toBeCloseTo((2 * 0.075 + 3 * (0.9 - 2.5 / 3) + 1) / 6, 12);
  expect(majorityCalibration([]).error).toBe(0);
});

test("mcnemar_s_p_is_twice_the_tail_of_the_rarer_side", () => {
  // 8 problems differ, 2 of them one way: 2·(1 + 8 + 28)/256.
  expect(mcnemar(2, 6)).toBeCloseTo(74 / 256, 12);
  expect(mcnemar(6, 2)).toBeCloseTo(74 / 256, 12);
  expect(mcnemar(0, 5)).toBeCloseTo(2 / 32, 12);
  expect(mcnemar(3, 4)).toBeCloseTo(1, 12);
});

test("a_paired_difference_is_second_minus_first_with_the_p_of_flipped_signs", () => {
  const { difference, low, high, p } = pairedDifference([0, 0.25, 0.5], [0.5, 0.5, 1.5], { resamples: 8000 });
  // Differences 0.5, 0.25 and 1: their mean is 0.58333, and 2 of 8 choices of signs are as extreme.
  expect(difference).toBeCloseTo(1.75 / 3, 12);
  expect(Math.abs(p - 0.25)).toBeLessThan(0.02);
  // Means of three draws: 1/27 are 0.25, 1/27 are 1, both above 2.5 %.
  expect([low, high]).toEqual([0.25, 1]);
  expect(pairedDifference([1, 1], [0, 0.5]).difference).toBe(-0.75);
  expect(pairedDifference([0.5, 1], [0.5, 1]).p).toBe(1);
});

test("classes_count_answers_and_name_that_of_the_right_ones", () => {
  const answers = ["7", "8", "", "8.0", "7", "", "9"];
  const right = answers.map((a) => a === "8" || a === "8.0");
  expect(groupAnswers(answers, right)).toEqual({
    counts: [2, 2, 1, 1, 1],
    of: [0, 1, 2, 1, 0, 3, 4],
    right: 1,
  });
  expect(groupAnswers(["a", "b"], [false, false]).right).toBe(-1);
});

test("a_comparison_pairs_problems_that_both_answered", () => {
  const row = (id: string, verdict: "correct" | "wrong", task = "t") =>
    ({ kind: "sample", step: 1, task, id, verdict }) as EvalRow;
  const run = (marks: string, task?: string) =>
    [...marks].map((m, i) => row(`p${i}`, m === "+" ? "correct" : "wrong", task));
  // The last problem of the second run, and another task, have no partner.
  const first = [...run("++--+-"), ...run("+", "other")];
  const [t, ...rest] = compareSamples(first, run("+-++++-"));
  expect(rest).toEqual([]);
  expect(t).toMatchObject({
    task: "t",
    problems: 6,
    first: 0.5,
    second: expect.closeTo(5 / 6, 12),
    difference: expect.closeTo(1 / 3, 12),
    onlyFirst: 1,
    onlySecond: 3,
    // 2·(1 + 4)/16.
    mcnemar: expect.closeTo(10 / 16, 12),
  });
  // Of several answers half right is not solved, and McNemar's test is not for shares.
  const shares = compareSamples([...run("+"), ...run("-")], [...run("+"), ...run("+")])[0]!;
  expect([shares.first, shares.second, shares.onlyFirst, shares.onlySecond]).toEqual([0.5, 1, 0, 1]);
  expect(shares).not.toHaveProperty("mcnemar");
  const back = compareSamples([...run("+"), ...run("+")], [...run("+"), ...run("-")])[0]!;
  expect([back.difference, back.onlyFirst, back.onlySecond]).toEqual([-0.5, 1, 0]);
});

test("choices_are_compared_by_problem_and_needles_by_cell", () => {
  const choice = (id: string, answer: string) =>
    ({ kind: "choice", step: 1, task: "mc", id, gold: "A", answer, answerPerByte: "A" }) as EvalRow;
  const needle = (length: number, depth: number, trial: number, found: boolean) =>
    ({ kind: "needle", step: 1, task: "hay", length, depth, trial, found }) as EvalRow;
  const positions = {
    kind: "positions",
    step: 1,
    task: "text",
    sequence: 0,
    nll: [1],
    tokens: [1],
  } as EvalRow;
  const first = [
    ...[choice("1", "A"), choice("2", "B"), choice("3", "A")],
    ...[needle(64, 0, 0, false), needle(64, 0, 1, true), needle(64, 0.5, 0, false), needle(128, 0, 0, false)],
    positions,
  ];
  const second = [
    ...[choice("3", "A"), choice("2", "A"), choice("1", "C"), choice("4", "A")],
    ...[needle(128, 0, 0, true), needle(64, 0, 0, true), needle(64, 0, 1, true)],
    positions,
  ];
  const compared = compareSamples(first, second);
  // Positions have no problems to pair.
  expect(compared.map((c) => [c.task, c.problems, c.first, c.second, c.onlyFirst, c.onlySecond])).toEqual([
    ["mc", 3, 2 / 3, 2 / 3, 1, 1],
    ["hay", 3, 1 / 3, 1, 0, 2],
  ]);
});
