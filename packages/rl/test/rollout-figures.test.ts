// Figures of an exploration and of a held-out evaluation, by hand on lopsided outputs.
import { Device } from "@nsa/kernels";
import { Engine, type GeneratedSample } from "@nsa/model";
import { afterAll, afterEach, expect, test, vi } from "vitest";
import { bigramModel } from "../../model/test/bigram-model.ts";
import { grpoSchema } from "../src/stages/grpo/config.ts";
import { evaluatePolicy } from "../src/stages/grpo/evaluate.ts";
import { rolloutMetrics } from "../src/stages/grpo/metrics.ts";
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
