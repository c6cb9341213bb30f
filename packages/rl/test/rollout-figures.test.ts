// Figures of an exploration and of a held-out evaluation, by hand on lopsided outputs.
import { Device } from "@nsa/kernels";
import { Engine, type GeneratedSample } from "@nsa/model";
import { afterAll, afterEach, expect, test, vi } from "vitest";
import { bigramModel } from "../../model/test/bigram-model.ts";
import { grpoSchema } from "../src/stages/grpo/config.ts";
import { evaluatePolicy } from "../src/stages/grpo/evaluate.ts";
import { rolloutMetrics, timeMetrics } from "../src/stages/grpo/metrics.ts";
import type { Output } from "../src/stages/grpo/rollout.ts";
import { evaluationMetrics } from "../src/stages/grpo/watch.ts";
import type { AskedProblem } from "../src/task/problems.ts";

const cpu = Device.open("cpu", { threads: 1 });
afterEach(() => void vi.restoreAllMocks());
afterAll(() => cpu.close());
const near = (x: number) => expect.closeTo(x, 12);

const output = (tokens: number, finish: "stop" | "length", accuracy: number, format: number): Output => ({
  asked: { id: "x", question: "q", answer: "a", text: "q", prompt: [1] },
  prompt: [1],
  text: "1",
  answer: "",
  sample: { ids: [], logp: [], keptLogmass: [], finish },
  row: {
    ...{ id: "x", question: "q", answer: "a", completion: "no", finish, tokens, echo: false },
    reward: { total: accuracy + 0.5 * format, parts: { accuracy, format }, outcome: accuracy },
  },
  rewards: { group: 0, length: tokens, steps: [] },
  discarded: false,
});

test("one_of_four_outputs_is_truncated_and_three_are_right", () => {
  const outputs = [
    output(3, "stop", 1, 1),
    output(4, "stop", 1, 0),
    output(8, "stop", 0, 1),
    output(33, "length", 1, 0),
  ];
  const rollout = { outputs, cursor: 4, flatGroups: 1, groups: 4, sampling: 1, scoring: 1 };
  expect(rolloutMetrics(rollout)).toMatchObject({
    // 1.5, 1, 0.5 and 1: variance (0.25 + 0.25)/4.
    "reward/mean": 1,
    "reward/std": near(Math.sqrt(1 / 8)),
    "reward/accuracy": 0.75,
    "reward/accuracy_std": near(Math.sqrt(3) / 4),
    "reward/format": 0.5,
    "reward/quarantined": 0,
    "rollout/pass_rate": 0.75,
    "rollout/zero_variance_share": 0.25,
    "rollout/questions": 4,
    "completion/length_mean": 12,
    "completion/length_max": 33,
    "completion/truncated_share": 0.25,
    "completion/terminated_length_mean": 5,
    "completion/truncated_length_mean": 33,
    "completion/reflective_words": 0,
  });
});

test("kept_masses_notes_of_some_outputs_and_calls_of_tools_are_means_over_those_that_have_them", () => {
  const made = (calls: number, failedCalls: number, keptLogmass: number[], notes: Record<string, number>) => {
    const { row, ...rest } = output(3, "stop", 1, 0);
    const reward = { ...row.reward, parts: { ...notes, ...row.reward.parts } };
    return {
      ...rest,
      sample: { ...rest.sample, keptLogmass },
      row: { ...row, reward, calls, failedCalls },
    };
  };
  const outputs = [
    made(0, 0, [Math.log(0.5)], {}),
    made(4, 1, [Math.log(0.25), 0], { custom_sure: 0.5 }),
    made(1, 1, [Math.log(0.75)], { custom_sure: 0.25 }),
    made(0, 0, [0], {}),
  ];
  const rollout = { outputs, cursor: 4, flatGroups: 1, groups: 4, sampling: 1, scoring: 1 };
  expect(rolloutMetrics(rollout)).toMatchObject({
    // Of five tokens: 0.5, 0.25, 1, 0.75, 1.
    "policy/kept_mass_mean": near(0.7),
    "reward/custom_sure": near(0.375),
    "reward/custom_sure_std": near(0.125),
    "tools/calls_mean": 5 / 4,
    "tools/failed_share": 2 / 5,
    "tools/used_share": 1 / 2,
  });
});

test("times_of_a_step_are_tokens_a_second_and_shares", () => {
  const outputs = [output(30, "stop", 1, 1), output(90, "length", 0, 1)];
  const rollout = { outputs, cursor: 1, flatGroups: 0, groups: 1, sampling: 400, scoring: 100 };
  // 120 tokens; 400 + 100 + 1500 ms of the step, and 500 ms to record it.
  expect(timeMetrics(rollout, 1500, 500)).toEqual({
    "perf/rollout_tokens_per_sec": near(300),
    "perf/update_tokens_per_sec": near(80),
    "perf/step_seconds": 2,
    "perf/rollout_share": near(0.2),
    "perf/scoring_share": near(0.05),
    "perf/update_share": near(0.75),
    "perf/recording_share": near(0.2),
  });
});

test("pass_and_majority_of_two_held_out_problems_with_four_outputs_each", () => {
  const answers = [
    // One right of four, 9 twice; three right of four and one without an answer.
    ["7", "9", "9", "8"],
    ["7", "7", "", "7"],
    ["5", "6", "6", "6"],
  ];
  const texts = answers.flat().map((a) => (a === "" ? "none" : `<answer>${a}</answer>`));
  const generate = vi
    .spyOn(Engine.prototype, "generate")
    .mockImplementation(() =>
      answers.map((group, i) =>
        group.map(
          (_, s): GeneratedSample => ({ ids: [4 * i + s], logp: [-1], keptLogmass: [0], finish: "stop" }),
        ),
      ),
    );
  const tokenizer = { decode: ([id]: number[]) => texts[id!]!, eosId: 3, eosIds: [3] };
  const problem = (answer: string, part: string) =>
    ({ prompt: [0], answer, part }) as unknown as AskedProblem;
  const problems = [problem("7", "x"), problem("7", "x"), problem("5", "y")];
  const config = grpoSchema.parse({ init: { checkpoint: "" }, seed: 6, evaluation: { samples: 4 } });
  const result = evaluatePolicy(bigramModel(cpu), tokenizer as never, problems, config);
  const metrics = evaluationMetrics(result);
  expect(metrics).toMatchObject({
    // 1/4, 3/4 and 1/4; of pairs 1/2, all and 1/2.
    "eval/pass_at_1": near(5 / 12),
    "eval/pass_at_2": near(2 / 3),
    "eval/pass_at_4": 1,
    // Pairs: a half of three of six; three of six with two right and three shared; a half of three of six.
    "eval/maj_at_2": near((1 / 4 + 3 / 4 + 1 / 4) / 3),
    "eval/maj_at_4": near(1 / 3),
    "eval/unparsed": near(1 / 12),
    "eval/x/pass_at_1": near(1 / 2),
    "eval/x/pass_at_4": 1,
    "eval/y/pass_at_1": near(1 / 4),
    "eval/y/pass_at_4": 1,
  });
  expect(metrics).not.toHaveProperty("eval/maj_at_1");
  // Its request numbers begin where those of training end.
  expect(generate.mock.calls[0]![0].map((r) => [r.id, r.n, r.seed])).toEqual(
    [0, 4, 8].map((first) => [2 ** 24 + first, 4, 6]),
  );
  // As training samples, but for what the evaluation sets; the greedy outputs have the same longest output.
  generate.mockClear();
  const rollout = { temperature: 0.7, topK: 5, maxTokens: 9 };
  const sampling = { temperature: 1.25, maxTokens: 11 };
  const own = grpoSchema.parse({ init: { checkpoint: "" }, rollout, evaluation: { samples: 4, sampling } });
  evaluatePolicy(bigramModel(cpu), tokenizer as never, problems, own);
  const drawn = generate.mock.calls.map(([[r]]) => [r!.sampling.temperature, r!.sampling.topK, r!.maxTokens]);
  expect(drawn).toEqual([
    [1.25, 5, 11],
    [0, 5, 11],
  ]);
});
