// Advantages against hand-computed groups, and the faults of others as tests.
import { expect, test } from "vitest";
import type { SampleRewards } from "../src/algorithm/advantages/kind.ts";
import { advantageKinds, advantages, flatGroups } from "../src/algorithm/advantages/registry.ts";
import { aggregationWeights } from "../src/algorithm/aggregation.ts";
import { checkGrpo, grpoSchema } from "../src/stages/grpo/config.ts";

const outcome = (group: number, reward: number, length = 2): SampleRewards => ({
  group,
  length,
  steps: [{ token: length - 1, reward }],
});
const first = (a: Float32Array[]) => a.map((x) => x[0]);

test("grpo_normalises_by_the_population_deviation_of_the_group", () => {
  const got = advantages([outcome(0, 1), outcome(0, 0), outcome(0, 0), outcome(0, 0)], "grpo");
  // mean 1/4, variance 3/16
  expect(got[0]![0]).toBeCloseTo(0.75 / Math.sqrt(3 / 16), 6);
  expect(got[1]![1]).toBeCloseTo(-0.25 / Math.sqrt(3 / 16), 6);
});

test("groups_do_not_see_each_other", () => {
  const got = advantages([outcome(0, 1), outcome(1, 5), outcome(0, 0), outcome(1, 3)], "grpo");
  expect(first(got)).toEqual([1, 1, -1, -1]);
});

test("equal_rewards_give_zero_and_never_blow_up_however_large_they_are", () => {
  for (const r of [0, 1, 0.1 + 0.2, 1e8 + 0.1, 1_700_000_000.3, -1e15 / 3])
    for (const n of [2, 3, 16]) {
      const group = Array.from({ length: n }, () => outcome(0, r));
      for (const kind of ["grpo", "dr_grpo", "rloo", "process"] as const) {
        expect(first(advantages(group, kind)), `${kind} ${r}`).toEqual(Array(n).fill(0));
        expect([...flatGroups(group, kind)]).toEqual([0]);
      }
    }
});

test("a_deviation_within_the_rounding_of_the_rewards_is_none_and_a_real_one_counts", () => {
  const near = 1_700_000_000;
  // The next number above 1.7e9 is 2.4e-7 away.
  expect(first(advantages([outcome(0, near), outcome(0, near + 2.4e-7)], "grpo"))).toEqual([0, 0]);
  const got = first(advantages([outcome(0, near), outcome(0, near + 1), outcome(0, near + 5)], "grpo"));
  // Mean 2 above the first, variance (4 + 1 + 9) / 3.
  for (const [i, r] of [-2, -1, 3].entries()) expect(got[i]).toBeCloseTo(r / Math.sqrt(14 / 3), 6);
});

test("groups_that_teach_nothing_are_those_without_a_difference_or_without_a_score", () => {
  const flat = (samples: SampleRewards[], kind: "grpo" | "reinforce" | "process" = "grpo") => [
    ...flatGroups(samples, kind),
  ];
  const nan = Number.NaN;
  expect(flat([outcome(0, 1), outcome(0, 1), outcome(1, 0), outcome(1, 1), outcome(2, nan)])).toEqual([0, 2]);
  // A KL in the reward makes no group worth learning from.
  expect(flat([outcome(0, 1), { ...outcome(0, 1), perToken: [0, -0.5] }])).toEqual([0]);
  // Without a baseline an equal reward still teaches; 0 does not.
  expect(flat([outcome(0, 1), outcome(0, 1), outcome(1, 0)], "reinforce")).toEqual([1]);
  const steps = (...rewards: number[]) => ({
    group: 0,
    length: 2,
    steps: rewards.map((reward, token) => ({ token, reward })),
  });
  expect(flat([steps(1, 0), steps(0, 1)])).toEqual([0]);
  expect(flat([steps(1, 0), steps(1, 0)], "process")).toEqual([]);
});

test("a_single_output_gives_zero_not_nan", () => {
  expect(first(advantages([outcome(0, 3)], "grpo"))).toEqual([0]);
  expect(first(advantages([outcome(0, 3)], "rloo"))).toEqual([0]);
});

test("a_nan_reward_does_not_poison_its_group", () => {
  const got = advantages([outcome(0, 1), outcome(0, Number.NaN), outcome(0, 0)], "grpo");
  expect(first(got)).toEqual([1, 0, -1]);
});

test("dr_grpo_and_rloo_match_their_definitions", () => {
  const group = [outcome(0, 3), outcome(0, 0), outcome(0, 0)];
  expect(first(advantages(group, "dr_grpo"))).toEqual([2, -1, -1]);
  expect(first(advantages(group, "rloo"))).toEqual([3, -1.5, -1.5]);
  expect(first(advantages(group, "reinforce"))).toEqual([3, 0, 0]);
});

test("an_estimator_of_ones_own_is_named_by_a_recipe_and_reads_the_values_of_tokens", () => {
  // The sum of the rewards from the token on, less the value of its state.
  advantageKinds.register({
    name: "return_minus_value",
    groupOfOne: true,
    flat: () => false,
    estimate: (group) =>
      group.map(({ length, steps, values }) =>
        Float32Array.from({ length }, (_, t) => {
          const earned = steps.reduce((sum, s) => sum + (s.token >= t ? s.reward : 0), 0);
          return earned - values![t]!;
        }),
      ),
  });
  const a: SampleRewards = {
    group: 0,
    length: 3,
    steps: [
      { token: 0, reward: 4 },
      { token: 2, reward: 1 },
    ],
    values: [2, 0.5, 0.25],
  };
  const failed = { ...outcome(0, Number.NaN), values: [1, 1] };
  const got = advantages([failed, a], "return_minus_value");
  expect(got.map((x) => [...x])).toEqual([
    [0, 0],
    [3, 0.5, 0.75],
  ]);
  const init = { checkpoint: "none" };
  const algorithm = { advantage: "return_minus_value" };
  const alone = grpoSchema.parse({ init, algorithm, rollout: { groupSize: 1 } });
  expect(() => checkGrpo(alone)).not.toThrow();
  expect(() => checkGrpo({ ...alone, algorithm: { ...alone.algorithm, advantage: "rloo" } })).toThrow(
    "group_size 1 with algorithm.advantage rloo",
  );
  expect(grpoSchema.safeParse({ init, algorithm: { advantage: "rlo" } }).error!.issues[0]!.message).toContain(
    "did you mean rloo?",
  );
});

test("process_supervision_sums_the_normalised_rewards_of_this_and_later_steps", () => {
  const a: SampleRewards = {
    group: 0,
    length: 5,
    steps: [
      { token: 1, reward: 1 },
      { token: 4, reward: 0 },
    ],
  };
  const b: SampleRewards = { group: 0, length: 2, steps: [{ token: 1, reward: 0.5 }] };
  const std = Math.sqrt(((1 - 0.5) ** 2 + (0 - 0.5) ** 2 + 0) / 3);
  const [x, y] = advantages([a, b], "process");
  const [up, down] = [0.5 / std, -0.5 / std];
  [up + down, up + down, down, down, down].forEach((v, t) => {
    expect(x![t]).toBeCloseTo(v, 5);
  });
  expect([...y!]).toEqual([0, 0]);
});

test("a_kl_in_the_reward_enters_outcomes_by_its_sum_and_process_supervision_from_its_token_on", () => {
  const withKl = (reward: number, perToken: number[]) => ({ ...outcome(0, reward), perToken });
  const group = [withKl(1, [-0.1, -0.3]), withKl(0, [0, 0])];
  const [a, b] = advantages(group, "dr_grpo");
  expect(a![0]).toBeCloseTo(0.3, 6);
  expect(b![0]).toBeCloseTo(-0.3, 6);
  const [x, y] = advantages(group, "process");
  expect([...x!]).toEqual([expect.closeTo(1 - 0.4, 6), expect.closeTo(1 - 0.3, 6)]);
  expect([...y!]).toEqual([-1, -1]);
});

test("aggregation_masks_truncated_outputs_in_numerator_and_denominator", () => {
  const keep = [true, false, true];
  expect(aggregationWeights([4, 8, 2], "sequence_mean", { maxTokens: 8, keep })).toEqual({
    weights: [0.25, 0, 0.5],
    sum: 2,
  });
  expect(aggregationWeights([4, 8, 2], "token_mean", { maxTokens: 8, keep })).toEqual({
    weights: [1, 0, 1],
    sum: 6,
  });
  expect(aggregationWeights([4, 8, 2], "fixed_length", { maxTokens: 8 }).weights).toEqual([
    1 / 8,
    1 / 8,
    1 / 8,
  ]);
});
