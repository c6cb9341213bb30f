// When diagnoses are silent: on healthy runs, on what follows from a cause, and between two warnings.
import { expect, test } from "vitest";
import { grpoSchema } from "../src/stages/grpo/config.ts";
import { DiagnosisMonitor, diagnoses } from "../src/stages/grpo/diagnosis/monitor.ts";
import { facts, healthy, nothingRight, type Row, type Run, warnings } from "./diagnosis-series.ts";

/** A run that learns its task to the end: rewards become equal, outputs certain. */
const solving = Array.from({ length: 20 }, (_, i): Row => {
  const rate = Math.min(1, 0.3 + i * 0.05);
  const flat = {
    "reward/std": 0,
    "rollout/zero_variance_share": 1,
    "rollout/distinct_share": 1 / 16,
    "train/grad_norm": 0,
  };
  const pass = { "rollout/pass_rate": rate, "verdict/pass_rate": rate };
  return { ...pass, ...(rate === 1 ? flat : {}), "policy/update_change_mean": rate === 1 ? 0 : 0.02 };
});

const silent: [string, Run][] = [
  ["a_kl_below_the_rewards", { steps: [{ "kl/mean": 0.6 }], config: { algorithm: { klCoef: 0.04 } } }],
  ["a_question_asked_twice", { steps: [{ "rollout/distinct_question_share": 0.6 }] }],
  [
    "a_step_of_two_questions",
    { steps: [{ "rollout/distinct_question_share": 0.4 }], config: { rollout: { questionsPerStep: 2 } } },
  ],
  ["a_run_that_learns", { steps: [{}] }],
  [
    "a_run_without_verdicts",
    { steps: [{}], without: Object.keys(healthy).filter((n) => /^verdict/.test(n)) },
  ],
  ["a_run_that_solves_its_task", { steps: solving }],
  ["a_third_of_outputs_cut", { steps: [{ "completion/truncated_share": 0.35 }] }],
  [
    "echoes_that_earn_nothing",
    {
      steps: [{ "reward/echo_share": 0.3, "echo/reward_mean": 0, "echo/others_reward_mean": 0.1 }],
    },
  ],
  [
    "a_warm_up_that_begins_at_almost_nothing",
    {
      steps: [{ "policy/update_change_mean": 2e-6, "train/lr": 1e-8 }, { "policy/update_change_mean": 1e-5 }],
    },
  ],
  ["one_large_step", { steps: [{ "policy/update_change_mean": 0.6 }, {}, {}] }],
  [
    "a_value_model_that_warms_up",
    {
      steps: [{ "policy/update_change_mean": 0, "train/lr": 0 }],
      count: 5,
      config: { algorithm: { advantage: "gae" }, value: { warmupSteps: 5 } },
    },
  ],
  [
    "the_same_answer_to_a_question_asked_often",
    {
      steps: [{ "rollout/top_answer_share": 0.9, "rollout/gold_answers": 1 }],
    },
  ],
  [
    "weak_answers_that_are_often_wrong",
    {
      steps: [{ "verdict/plurality_right_share": 0.4, "verdict/pass_rate": 0.2 }],
    },
  ],
  [
    "a_noisy_gap_to_held_out_questions",
    {
      steps: [0.9, 0.2, 0.8, 0.3, 0.9].map((rate) => ({ "verdict/pass_rate": rate })),
      count: 5,
      held: { "eval/pass_at_1": 0.4, "eval/pass_at_1_high": 0.55 },
    },
  ],
];
for (const [name, run] of silent) test(`${name}_is_silent`, () => expect(warnings(run)).toEqual([]));

test("a_fault_that_lasts_is_named_again_after_25_steps_and_then_after_50", () => {
  const texts = warnings({ steps: [{ "verdict/auc": 0.1 }], count: 90 });
  expect(texts.map((text) => Number(/^step (\d+)/.exec(text)![1]))).toEqual([2, 27, 77]);
});

test("every_diagnosis_that_is_explained_exists", () => {
  const names = diagnoses.map(({ name }) => name);
  expect(new Set(names).size).toBe(names.length);
  for (const { explains } of diagnoses) for (const name of explains ?? []) expect(names).toContain(name);
});

const without = (row: Row, names: readonly string[]): Row =>
  Object.fromEntries(Object.entries(row).filter(([name]) => !names.includes(name)));

test("old_rows_do_not_use_up_the_warning_of_a_fault_that_comes_later", () => {
  const texts: string[] = [];
  const recipe = grpoSchema.parse({ init: { checkpoint: "" } });
  const monitor = new DiagnosisMonitor(recipe, facts, (text) => void texts.push(text));
  const names = ["rollout/distinct_share", "rollout/top_answer_share", "policy/update_change_mean"];
  for (let step = 1; step <= 6; step++) monitor.observe(without(healthy, names), step);
  const copies = { ...healthy, "rollout/distinct_share": 1 / 16 };
  for (let step = 7; step <= 10; step++) monitor.observe(copies, step);
  expect(texts).toEqual([expect.stringMatching(/^step 9: no variance: /)]);
});

test("what_follows_from_a_cause_is_silent_for_25_steps_after_it_and_not_for_ever", () => {
  const large = { "policy/update_change_mean": 4 };
  const lost = { ...nothingRight, "policy/update_change_mean": 0.01, "train/grad_norm": 0.1 };
  const run = [large, large, ...Array.from({ length: 38 }, () => lost)];
  const texts = warnings({ steps: run, count: 40 });
  expect(texts.map((text) => /^step (\d+): ([a-z ]+)/.exec(text)!.slice(1))).toEqual([
    ["2", "updates are too large"],
    // The mean of three steps is large until step 4.
    ["29", "constant reward"],
  ]);
});

test("a_run_that_solved_its_task_long_ago_is_silent", () => {
  const steps = [...solving, ...Array.from({ length: 140 }, () => solving.at(-1)!)];
  expect(warnings({ steps, count: steps.length })).toEqual([]);
});
