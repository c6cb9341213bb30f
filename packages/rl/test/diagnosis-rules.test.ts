// Diagnoses on hand-made series: each fault is named with its cause, and nothing else.
import { expect, test } from "vitest";
import { healthy, nothingRight, type Run, warnings } from "./diagnosis-series.ts";

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
  [
    "reward follows the length",
    { steps: [{ "verdict/length_correlation": 0.99, "verdict/length_questions": 5 }] },
    3,
    /the longer earn more, right or wrong \(rank correlation 0.99\): the reward pays for length/,
  ],
  [
    "reward follows the length",
    { steps: [{ "verdict/length_correlation": -1, "verdict/length_questions": 4 }] },
    3,
    /the shorter earn more/,
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
    /90 % of outputs are cut at rollout.max_tokens 6 before they end: raise rollout.max_tokens, or/,
  ],
  [
    "outputs are cut",
    {
      steps: [
        {
          ...nothingRight,
          "completion/truncated_share": 0.7,
          "completion/missed_end_share": 0,
          "completion/looping_share": 0,
          "curriculum/max_tokens": 24,
        },
      ],
      config: { rollout: { maxTokens: 40 } },
    },
    3,
    /70 % of outputs are cut at the curriculum's max_tokens 24 before they end: raise max_tokens of its entry, or/,
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
    "the KL outweighs the rewards",
    { steps: [{ "kl/mean": 0.6 }], config: { algorithm: { klCoef: 1 } } },
    3,
    /kl_coef 1 times a KL of 0.60 nats per token is 0.60, .* lower algorithm.kl_coef/,
  ],
  [
    "the KL outweighs the rewards",
    { steps: [{ "kl/mean": 0.005 }], config: { algorithm: { klCoef: 50 } } },
    3,
    /kl_coef 50 holds the policy at its reference: .* moved by 0.020 nats/,
  ],
  [
    "outputs are random",
    {
      steps: [{ "policy/entropy": 4.6, "completion/truncated_share": 0.8 }],
      config: { rollout: { temperature: 3 } },
    },
    3,
    /4.6 nats a token\): rollout.temperature 3 is too high/,
  ],
  [
    "questions repeat",
    {
      steps: [{ "rollout/distinct_question_share": 0.25 }],
      config: { rollout: { questionsPerStep: 12 }, task: { file: "golds.jsonl" } },
    },
    3,
    /only 25 % of the 12 questions of a step are different ones: golds.jsonl holds the same ones/,
  ],
  [
    "questions repeat",
    { steps: [{ "rollout/distinct_question_share": 0.3 }], config: { task: { limit: 5 } } },
    3,
    /only 30 % of the 16 questions .* task.limit 5 leaves no more/,
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
