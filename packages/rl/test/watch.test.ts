// What a run says: a start with too little or too much right, parted accuracies, metrics of an exploration.
import type { StageContext } from "@nsa/core";
import { expect, test } from "vitest";
import { rolloutMetrics } from "../src/stages/grpo/metrics.ts";
import type { Output, Rollout } from "../src/stages/grpo/rollout.ts";
import { evaluationMetrics, mixedGroupShare, preflight } from "../src/stages/grpo/watch.ts";

function said(act: (ctx: StageContext) => void): string[] {
  const texts: string[] = [];
  act({ log: (text: string) => void texts.push(text) } as unknown as StageContext);
  return texts;
}
const solving = (mean: number) => ({
  passAtK: { 1: { mean, low: mean, high: mean } },
  majAtK: {},
  rates: Array<number>(8).fill(mean),
  parts: {},
  unparsed: 0,
  echoes: 0,
});

test("a_start_that_would_give_few_groups_with_right_and_wrong_outputs_is_warned_of", () => {
  // Of 4 outputs: 1 − ¾⁴ − ¼⁴ = 174/256, 1 − 1/16 − 1/16, and none; a mean, not the groups of the mean rate.
  const mixed = mixedGroupShare([0.25, 0.5, 1], 4);
  const [a, b] = [174 / 256, 7 / 8];
  const mean = (a + b) / 3;
  expect(mixed.mean).toBeCloseTo(mean, 12);
  const variance = ((a - mean) ** 2 + (b - mean) ** 2 + mean ** 2) / 3;
  expect(mixed.high).toBeCloseTo(mean + 2 * Math.sqrt(variance / 3), 12);
  expect(said((ctx) => preflight(ctx, solving(0.01), 8))[0]).toMatch(
    /solves 1.0 % .* about 7.7 % of groups of 8 .* too few right answers/,
  );
  expect(said((ctx) => preflight(ctx, solving(0.99), 8))[0]).toMatch(/solves 99.0 % .* too few wrong ones/);
  // The same pass rates teach in larger groups.
  expect(said((ctx) => preflight(ctx, solving(0.05), 16))).toEqual([]);
  expect(said((ctx) => preflight(ctx, solving(0.9), 16))).toEqual([]);
  // One question of eight gives 12.5 % of groups, with two errors 35.9 %.
  const one = [1, 0, 0, 0, 0, 0, 0, 0].map((p) => p / 2);
  expect(said((ctx) => preflight(ctx, { ...solving(0.06), rates: one }, 99))).toEqual([]);
});

test("a_start_that_echoes_its_questions_is_remarked_on", () => {
  expect(said((ctx) => preflight(ctx, { ...solving(0.4), echoes: 0.27 }, 8))[0]).toMatch(
    /27.0 % .* repeat the question's expression .* they count as wrong/,
  );
  expect(said((ctx) => preflight(ctx, { ...solving(0.4), echoes: 0.04 }, 8))).toEqual([]);
});

test("greedy_figures_and_echoes_stand_beside_the_sampled_ones", () => {
  const greedy = {
    passAt1: { mean: 0.75, low: 0.5, high: 0.9 },
    echoes: 0.125,
    parts: { addition_2: 1, addition_3: 0.25 },
  };
  expect(evaluationMetrics({ ...solving(0.4), echoes: 0.0625, greedy })).toEqual({
    "eval/unparsed": 0,
    "eval/echo_share": 0.0625,
    "eval/greedy_pass_at_1": 0.75,
    "eval/greedy_pass_at_1_low": 0.5,
    "eval/greedy_pass_at_1_high": 0.9,
    "eval/greedy_echo_share": 0.125,
    "eval/addition_2/greedy_pass_at_1": 1,
    "eval/addition_3/greedy_pass_at_1": 0.25,
    "eval/pass_at_1": 0.4,
    "eval/pass_at_1_low": 0.4,
    "eval/pass_at_1_high": 0.4,
  });
});

function rollout(
  rows: [text: string, tokens: number, finish: "stop" | "length", accuracy: number][],
): Rollout {
  const outputs = rows.map(([completion, tokens, finish, accuracy]): Output => {
    const parts: Record<string, number> = Number.isNaN(accuracy) ? {} : { accuracy };
    const reward = { total: accuracy, parts, outcome: accuracy };
    return {
      asked: { id: "x", question: "q", answer: "a", text: "q", prompt: [1] },
      prompt: [1],
      text: "1",
      answer: "",
      sample: { ids: [], logp: [], keptLogmass: [], finish },
      row: {
        id: "x",
        question: "q",
        answer: "a",
        completion,
        reward,
        echo: completion === "2+2",
        finish,
        tokens,
      },
      rewards: { group: 0, length: tokens, steps: [] },
      discarded: false,
    };
  });
  return { outputs, cursor: 2, flatGroups: 1, groups: 2, sampling: 1, scoring: 1 };
}

test("lengths_rewards_and_reflective_words_are_told_of_all_terminated_and_truncated_outputs", () => {
  const metrics = rolloutMetrics(
    rollout([
      ["Wait, wait. Hmm.", 10, "stop", 1],
      ["no", 20, "stop", 0],
      ["and so on", 40, "length", 0],
      ["odd", 30, "length", Number.NaN],
    ]),
  );
  expect(metrics).toMatchObject({
    "reward/mean": expect.closeTo(1 / 3, 12),
    "reward/std": expect.closeTo(Math.sqrt(2) / 3, 12),
    "reward/accuracy": expect.closeTo(1 / 3, 12),
    "reward/quarantined": 1,
    "rollout/pass_rate": expect.closeTo(1 / 3, 12),
    "rollout/zero_variance_share": 0.5,
    "completion/length_mean": 25,
    "completion/length_max": 40,
    "completion/terminated_length_mean": 15,
    "completion/truncated_length_mean": 35,
    "completion/truncated_share": 0.5,
    "completion/reflective_words": 0.75,
    "completion/words/wait": 0.5,
    "completion/words/hmm": 0.25,
  });
  const echoing = rolloutMetrics(
    rollout([
      ["2+2", 10, "stop", 0],
      ["4", 10, "stop", 1],
      ["5", 10, "stop", 0],
      ["6", 10, "stop", 0],
    ]),
  );
  expect([metrics["reward/echo_share"], echoing["reward/echo_share"]]).toEqual([0, 0.25]);
  const ended = rolloutMetrics(rollout([["no", 20, "stop", 0]]));
  expect("completion/truncated_length_mean" in ended).toBe(false);
});
