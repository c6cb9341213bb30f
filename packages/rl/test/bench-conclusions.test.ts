// What the benches of methods and of TopK conclude from their seeds, by hand.
import { expect, test } from "vitest";
import { promptFigures, promptSpread } from "../bench/prompts.ts";
import { differenceOverSeeds, verdictOn } from "../bench/support/differences.ts";
import { chooseProblems, topKVerdict } from "../bench/support/topk.ts";

test("the_interval_of_a_difference_is_students_over_seeds", () => {
  // Differences 0.1, 0.2, 0.6: mean 0.3, deviation √((0.04 + 0.01 + 0.09)/2), t of two degrees of freedom 4.303.
  const got = differenceOverSeeds([0.5, 0.25, 0.125], [0.6, 0.45, 0.725]);
  const half = (4.303 * Math.sqrt(0.07)) / Math.sqrt(3);
  expect(got.mean).toBeCloseTo(0.3, 12);
  expect([got.low, got.high]).toEqual([expect.closeTo(0.3 - half, 12), expect.closeTo(0.3 + half, 12)]);
  expect(verdictOn(got)).toBe("undecided");
});

test("a_verdict_needs_an_interval_without_0_and_one_seed_decides_nothing", () => {
  const up = differenceOverSeeds([0.1, 0.2, 0.3], [0.31, 0.4, 0.49]);
  expect(up.mean).toBeCloseTo(0.2, 12);
  expect(verdictOn(up)).toBe("agrees");
  expect(verdictOn(differenceOverSeeds([0.31, 0.4, 0.49], [0.1, 0.2, 0.3]))).toBe("disagrees");
  expect(verdictOn(differenceOverSeeds([0.1], [0.9]))).toBe("undecided");
});

test("topk_measures_medium_problems_in_their_share_and_hard_ones_and_needs_enough_of_both", () => {
  // Problems of two parts of a mix may have one name, and a question may come twice.
  const row = (question: string, pass_rate: number) => ({ id: "first", question, answer: "1", pass_rate });
  const medium = Array.from({ length: 9 }, (_, i) => row(`m${i}`, 0.03 + 0.05 * i));
  const hard = [row("h0", 0), row("h1", 0.02), row("h2", 1 / 64)];
  const pool = [row("easy", 0.6), hard[0]!, medium[0]!, ...medium, row("solved", 1), ...hard.slice(1)];
  // 0.7 of 8 are 5.6.
  expect(chooseProblems(pool, "medium", 8)!.map(({ id }) => id)).toEqual([
    ...["m0", "m1", "m2", "m3", "m4", "m5"],
    ...["h0", "h1"],
  ]);
  // 12 want 8 medium and 4 hard ones, 5 want 4 medium ones: here are 2, and hard ones may take the places of the others.
  expect(chooseProblems(pool, "medium", 12)).toBeUndefined();
  const few = [medium[0]!, medium[1]!, ...hard];
  expect(chooseProblems(few, "medium", 5)).toBeUndefined();
  expect(chooseProblems(few, "any", 5)!.map(({ id }) => id)).toEqual(["m0", "m1", "h0", "h1", "h2"]);
  expect(chooseProblems(few, "any", 6)).toBeUndefined();
});

test("prompts_are_compared_by_checkpoint_and_seed", () => {
  const names = [
    "zero-shot",
    "few-shot",
    "step by step",
    "few-shot step by step",
    "zero-shot tools",
    "few-shot tools",
  ];
  const checkpoint = (values: number[]) => ({
    accuracy: Object.fromEntries(names.map((name, i) => [name, { pass_at_1: values[i]! }])),
    ...{ sampledTokens: 0, seconds: 0 },
  });
  const seed = (up: number) => ({
    base: checkpoint([0.1, 0.2, 0.4, 0.3, 0.15, 0.9]),
    sft: checkpoint([0.5, 0.5, 0.5, 0.25, 0, 0]),
    rl: checkpoint([0.7 + up, 0.6, 0.7, 0.65, 0.1, 0.2]),
  });
  // Tools are no prompt in text.
  expect(promptSpread(seed(0), "base")).toBeCloseTo(0.3, 12);
  const figures = promptFigures(
    new Map([
      [5, seed(0)],
      [6, seed(0.1)],
    ]),
  );
  const close = (x: number) => expect.closeTo(x, 12);
  expect(figures).toMatchObject({
    ...{ seed_5_base_spread: close(0.3), seed_6_rl_zero_shot: 0.7 + 0.1, seed_6_rl_spread: close(0.2) },
    // 0.6 and 0.7: mean 0.65, deviation 0.1/√2, t of one degree of freedom 12.706.
    ...{ rl_minus_base_zero_shot: close(0.65), rl_minus_base_zero_shot_low: close(0.65 - 12.706 * 0.05) },
    ...{ rl_minus_base_zero_shot_verdict: "agrees", base_step_by_step_minus_zero_shot: close(0.3) },
    ...{ base_tools_minus_text_few_shot: close(0.7), sft_tools_minus_text_zero_shot: close(-0.5) },
    // Spreads: base 0.3 twice, RL 0.1 and 0.2.
    ...{ rl_minus_base_spread: close(-0.15), sft_minus_base_spread: close(-0.05) },
  });
});

test("the_verdict_on_topk_can_be_each_of_three", () => {
  const interval = (low: number, high: number) => ({ mean: (low + high) / 2, low, high });
  const lifted = interval(0.1, 0.3);
  expect(topKVerdict(lifted, interval(-0.04, 0.03))).toBe("agrees");
  // Lifting Pass@K by more than the margin contradicts the claim, whatever Maj@K does.
  expect(topKVerdict(lifted, interval(0.06, 0.2))).toBe("disagrees");
  expect(topKVerdict(interval(-0.2, 0), interval(-0.02, 0.02))).toBe("disagrees");
  expect(topKVerdict(lifted, interval(-0.02, 0.06))).toBe("undecided");
  expect(topKVerdict(interval(-0.1, 0.3), interval(-0.02, 0.02))).toBe("undecided");
});
