// Diagnoses on hand-made series: each fault is named with its cause, its neighbours and healthy runs are silent.
import { expect, test } from "vitest";
import { grpoSchema } from "../src/stages/grpo/config.ts";
import { DiagnosisMonitor, diagnoses } from "../src/stages/grpo/diagnosis/monitor.ts";
import type { Evidence, RunFacts } from "../src/stages/grpo/diagnosis/rule.ts";

type Row = Record<string, number>;

/** A step of a run that learns: no rule finds anything in it. */
const healthy: Row = {
  "reward/mean": 0.6,
  "reward/std": 0.4,
  "reward/accuracy": 0.4,
  "reward/accuracy_std": 0.49,
  "reward/echo_share": 0,
  "reward/quarantined": 0,
  "rollout/zero_variance_share": 0.1,
  "rollout/distinct_share": 0.6,
  "rollout/top_answer_share": 0.1,
  "rollout/gold_answers": 11,
  "rollout/pass_rate": 0.4,
  "completion/truncated_share": 0.1,
  "completion/length_mean": 20,
  "completion/terminated_length_mean": 18,
  "policy/entropy": 0.5,
  "policy/update_change_mean": 0.01,
  "policy/sampler_difference_mean": 1e-7,
  "policy/clip_fraction_low": 0.01,
  "policy/clip_fraction_high": 0.02,
  "train/grad_norm": 0.3,
  "train/lr": 1e-4,
  "train/skipped": 0,
  "verdict/pass_rate": 0.4,
  "verdict/auc": 0.97,
  "verdict/auc_std": 0.05,
  "verdict/mixed_questions": 10,
  "verdict/rejected_gold_share": 0.12,
  "verdict/plurality_questions": 11,
  "verdict/plurality_right_share": 0.9,
  "verdict/confident_questions": 4,
  "verdict/confident_right_share": 1,
};

/** All outputs earn 0, and none has an answer that agrees with another. */
const nothingRight: Row = {
  ...{ "reward/mean": 0, "reward/std": 0, "reward/accuracy": 0, "reward/accuracy_std": 0 },
  ...{ "rollout/zero_variance_share": 1, "rollout/pass_rate": 0, "verdict/pass_rate": 0 },
  ...{ "verdict/plurality_questions": 0, "verdict/confident_questions": 0, "verdict/rejected_gold_share": 0 },
  ...{ "train/grad_norm": 0, "policy/update_change_mean": 0 },
};

const facts: RunFacts = { ends: ['"<|end|>"'], ordinaryEnds: [], dtype: "fp32" };

interface Run {
  /** What each step has in place of the healthy figures; the last one is repeated. */
  steps: Row[];
  count?: number;
  /** Figures without which the healthy rows are taken. */
  without?: string[];
  config?: object;
  facts?: Partial<RunFacts>;
  evidence?: Evidence;
  /** Held-out figures after the last step. */
  held?: Row;
}

/** What a run of these steps warns of. */
function warnings({ steps, count = 20, without = [], config = {}, ...run }: Run): string[] {
  const texts: string[] = [];
  const recipe = grpoSchema.parse({ init: { checkpoint: "" }, ...config });
  const monitor = new DiagnosisMonitor(recipe, { ...facts, ...run.facts }, (text) => void texts.push(text));
  for (let step = 1; step <= count; step++) {
    const row = { ...healthy, ...(steps[step - 1] ?? steps.at(-1)) };
    for (const name of without) delete row[name];
    monitor.observe(row, step, run.evidence);
    if (step === count && run.held) monitor.evaluated(run.held, step);
  }
  return texts;
}

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

/** Name, run, the step by which it is named, and words of the cause. */
const faults: [name: string, run: Run, step: number, cause: RegExp][] = [
  [
    "constant reward",
    {
      steps: [
        {
          "reward/std": 0,
          "rollout/zero_variance_share": 1,
          "train/grad_norm": 0,
          "policy/update_change_mean": 0,
        },
      ],
    },
    3,
    /accuracy 0.4.* 40 % of them are right .* does not depend on the answer/,
  ],
  [
    "constant reward",
    { steps: [nothingRight] },
    3,
    /no output is right: the questions are beyond the policy/,
  ],
  [
    "no signal inside groups",
    {
      steps: [{ "rollout/zero_variance_share": 1, "train/grad_norm": 0 }],
    },
    3,
    /100 % of groups .* depends on the question alone/,
  ],
  ["inverted reward", { steps: [{ "verdict/auc": 0.1 }] }, 2, /90 % of pairs.* wrong sign/],
  [
    "grader rejects right outputs",
    {
      steps: [{ ...nothingRight, "verdict/rejected_gold_share": 0.5 }],
      evidence: { rejected: '"12" for the gold "12"' },
    },
    3,
    /0 % of outputs pass, but 50 % .* such as "12" for the gold "12"/,
  ],
  [
    "wrong golds",
    {
      steps: [
        { "verdict/plurality_right_share": 0.05, "verdict/pass_rate": 0.03, "rollout/pass_rate": 0.03 },
      ],
      evidence: { plurality: "X" },
    },
    3,
    /of 33 questions .* only 5.0 % of them the gold; for example, X/,
  ],
  [
    "wrong golds",
    {
      steps: [{ "verdict/confident_right_share": 0.4, "verdict/confident_questions": 12 }],
    },
    3,
    /to 36 questions nearly all outputs give one answer, only 40 %/,
  ],
  [
    "echoes are paid",
    {
      steps: [{ "reward/echo_share": 0.2, "echo/reward_mean": 1, "echo/others_reward_mean": 0.25 }],
      config: { task: { answerForm: "any" } },
      evidence: { echo: '"3+4"' },
    },
    3,
    /20 % of outputs .*such as "3\+4" and earn 1.000 .* other outputs 0.250: task.answer_form any/,
  ],
  [
    "one answer for all questions",
    { steps: [{ "rollout/top_answer_share": 0.95, "rollout/zero_variance_share": 0.9 }] },
    3,
    /95 % .* 11 different golds/,
  ],
  [
    "no variance",
    { steps: [{ "rollout/distinct_share": 1 / 16 }], config: { rollout: { temperature: 0.05 } } },
    3,
    /rollout.temperature 0.05 leaves no choice/,
  ],
  [
    "no variance",
    { steps: [{ ...nothingRight, "rollout/distinct_share": 1 / 16 }], config: { rollout: { topK: 1 } } },
    3,
    /rollout.top_k 1 leaves no choice/,
  ],
  [
    "no variance",
    { steps: [{ "rollout/distinct_share": 1 / 16, "policy/entropy": 0.001 }] },
    3,
    /certain of every token \(entropy 0.0010 nats\)/,
  ],
  [
    "outputs are cut",
    {
      steps: [
        {
          ...nothingRight,
          "completion/truncated_share": 0.9,
          "completion/missed_end_share": 0,
          "completion/looping_share": 0,
        },
      ],
      config: { rollout: { maxTokens: 6 } },
    },
    3,
    /90 % of outputs are cut at rollout.max_tokens 6 before they end: raise/,
  ],
  [
    "outputs are cut",
    {
      steps: [
        {
          "completion/truncated_share": 1,
          "completion/missed_end_share": 0.9,
          "completion/looping_share": 0,
        },
      ],
      evidence: { missedEnd: '"<|im_end|>" (id 7)' },
    },
    3,
    /"<\|im_end\|>" \(id 7\), which does not end an output \(ends: "<\|end\|>"\): the end token is wrong/,
  ],
  [
    "outputs are cut",
    {
      steps: [
        {
          "completion/truncated_share": 1,
          "completion/missed_end_share": 0,
          "completion/looping_share": 0.8,
        },
      ],
    },
    3,
    /80 % of those end in a loop/,
  ],
  [
    "wrong end token",
    { steps: [{}], facts: { ordinaryEnds: ['"7"'] } },
    1,
    /"7" is ordinary text, .* have 18.0 tokens/,
  ],
  [
    "empty outputs",
    { steps: [{ ...nothingRight, "completion/length_mean": 1.1 }] },
    3,
    /1.1 tokens on average/,
  ],
  [
    "sampler and trainer differ",
    { steps: [{ "policy/sampler_difference_mean": 0.01 }] },
    3,
    /differ by 0.010 nats .* other weights/,
  ],
  [
    "no update",
    {
      steps: [{ "policy/update_change_mean": 0, "train/lr": 0 }],
      config: { train: { optimizer: { lr: 0 } } },
    },
    3,
    /train.optimizer.lr is 0/,
  ],
  [
    "no update",
    {
      steps: [{ "policy/update_change_mean": 0, "train/lr": 0 }],
      config: { train: { schedule: { kind: "wsd" } } },
    },
    3,
    /train.schedule wsd gives a learning rate of 0/,
  ],
  [
    "no update",
    { steps: [{ "policy/update_change_mean": 1e-9, "train/lr": 1e-12 }] },
    3,
    /learning rate 1.0e-12 is too small/,
  ],
  [
    "updates are too large",
    { steps: [{ "policy/update_change_mean": 4 }], config: { train: { optimizer: { lr: 0.01 } } } },
    2,
    /by 4.0 nats .* train.optimizer.lr 0.01 is too high/,
  ],
  ["updates are too large", { steps: [{ "policy/update_change_mean": 0.3 }] }, 3, /by 0.30 nats/],
  [
    "most tokens are clipped",
    {
      steps: [{ "policy/clip_fraction_low": 0.3, "policy/clip_fraction_high": 0.3 }],
      config: { algorithm: { innerEpochs: 8 } },
    },
    3,
    /of 60 % of tokens .* 8 updates a step/,
  ],
  [
    "far from the reference",
    { steps: [{ "kl/mean": 3 }], config: { algorithm: { klCoef: 0.001 } } },
    3,
    /3.0 nats per token: algorithm.kl_coef 0.001/,
  ],
  [
    "training and held-out accuracy differ",
    { steps: [{ "verdict/pass_rate": 0.9 }], held: { "eval/pass_at_1": 0.4, "eval/pass_at_1_high": 0.55 } },
    20,
    /90 % .* of held-out questions 40 %: the policy learns its questions by heart/,
  ],
];
for (const [name, run, step, cause] of faults)
  test(`${name.replaceAll(" ", "_")}_is_named_at_step_${step}_as_${cause.source.slice(0, 24)}`, () => {
    const found = warnings(run);
    // Nothing but the cause is named: what follows from it is silent.
    expect(found).toHaveLength(1);
    expect(found[0]).toMatch(new RegExp(`^step ${step}: ${name}: `));
    expect(found[0]).toMatch(cause);
  });

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

test("figures_that_a_run_did_not_record_are_no_fault", () => {
  // Rows of before these figures existed, and rows without any: no rule finds something in nothing.
  for (const name of Object.keys(healthy))
    expect(warnings({ steps: [{}], without: [name] }), name).toEqual([]);
  expect(warnings({ steps: [{}], without: Object.keys(healthy) })).toEqual([]);
  // The same for faults: what cannot be known is not said, and no text has a NaN in it.
  for (const [, run] of faults)
    for (const name of Object.keys(healthy))
      for (const text of warnings({ ...run, without: [name] }))
        expect(text, name).not.toMatch(/NaN|undefined/);
});

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
