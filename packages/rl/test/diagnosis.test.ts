// Sabotaged runs on a tiny policy are named with their cause; figures of diagnoses by hand; a resumed run warns as an unbroken one.
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { modelFiles } from "@nsa/data";
import { Device } from "@nsa/kernels";
import { loadModel, saveCheckpoint } from "@nsa/model";
import { afterAll, beforeAll, expect, test } from "vitest";
import { diagnosisFigures, endsInLoop, looksRight } from "../src/stages/grpo/diagnosis/figures.ts";
import type { Output } from "../src/stages/grpo/rollout.ts";
import { grpoRuns, makeBase, stepMetrics, warningsOf } from "./grpo-fixture.ts";

const root = mkdtempSync(join(tmpdir(), "nsa-diagnosis-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));
let base = "";
beforeAll(async () => {
  base = await makeBase(root);
}, 120_000);
const runs = grpoRuns(root, () => base);
const file = (name: string, text: string) => {
  writeFileSync(join(root, name), text);
  return join(root, name);
};
const named = (texts: readonly string[]) =>
  texts.flatMap((text) => /^step (\d+): ([a-z -]+): /.exec(text)?.slice(1, 3).join(" ") ?? []);

test("a_loop_is_a_piece_that_fills_the_end_of_an_output_again_and_again", () => {
  const repeat = (piece: number[], times: number) => Array.from({ length: times }, () => piece).flat();
  expect(endsInLoop([9, 8, ...repeat([1], 16)])).toBe(true);
  expect(endsInLoop([9, 8, ...repeat([1], 15)])).toBe(false);
  // A piece of 5, begun in its middle: 23 tokens, 4 times and 3 more.
  expect(endsInLoop([3, 4, 5, ...repeat([1, 2, 3, 4, 5], 4)])).toBe(true);
  expect(endsInLoop([7, ...repeat([1, 2, 3, 4, 5], 3)])).toBe(false);
  expect(endsInLoop([...repeat([1, 2], 20), 3])).toBe(false);
});

test("an_output_looks_right_where_its_last_number_is_the_gold_s", () => {
  expect(looksRight("12 + 30 = 1,042.", "1042")).toBe(true);
  expect(looksRight("first 42, then 43", "42")).toBe(false);
  expect(looksRight("it is\nblue ", "blue")).toBe(true);
  expect(looksRight("", "")).toBe(false);
});

test("figures_of_seven_outputs_to_two_questions_by_hand", () => {
  const output = (group: number, answer: string, gold: string, more: object = {}, ids = [5]): Output =>
    ({
      asked: { id: "x", question: "q", answer: gold, text: "", prompt: [] },
      answer,
      sample: { ids, logp: [], keptLogmass: [], finish: "stop" },
      row: {
        ...{ question: "q", answer: gold, completion: `so ${answer}`, finish: "stop", echo: false },
        reward: { total: 0, parts: { accuracy: answer === gold ? 1 : 0, format: 1 } },
        ...more,
      },
      rewards: { group, length: 1, steps: [] },
    }) as unknown as Output;
  const cut = { finish: "length" };
  const outputs = [
    // 7 in four of five outputs, the gold is 8, which the last one writes and is refused for.
    output(1, "7", "8"),
    output(1, "7", "8"),
    output(1, "7", "8", cut, [1, 2, 99, 4]),
    output(1, "7", "8", cut, Array(20).fill(3)),
    output(1, "8", "8", { reward: { total: 0, parts: { accuracy: 0, format: 1 } } }),
    // No answer of two is preferred; one is an echo that is paid.
    output(2, "6", "6"),
    output(2, "2+4", "6", {
      echo: true,
      reward: { total: 2, parts: { accuracy: 1, custom: 0.5, format: 1 } },
    }),
  ];
  const judged = outputs.map((o) => ({
    output: o,
    reward: 0,
    right: o.row.reward.parts.accuracy === 1,
  }));
  const special = { isSpecial: (id: number) => id === 99, tokenOf: () => "<end>" };
  const { metrics, evidence } = diagnosisFigures(outputs, judged, special);
  const near = (x: number) => expect.closeTo(x, 12);
  expect(metrics).toEqual({
    // 2 of 5 texts and 2 of 2.
    "rollout/distinct_share": near((2 / 5 + 1) / 2),
    "rollout/top_answer_share": near(4 / 7),
    // Both ask the same.
    "rollout/distinct_question_share": near(1 / 2),
    "rollout/gold_answers": 2,
    "completion/missed_end_share": near(1 / 2),
    "completion/looping_share": near(1 / 2),
    "echo/reward_mean": near(1.5),
    // Accuracies 0, 0, 0, 0, 0 and 1.
    "echo/others_reward_mean": near(1 / 6),
    "verdict/plurality_questions": 1,
    "verdict/plurality_right_share": 0,
    "verdict/confident_questions": 1,
    "verdict/confident_right_share": 0,
    // Of five wrong ones the last.
    "verdict/rejected_gold_share": near(1 / 5),
  });
  expect(evidence).toEqual({
    missedEnd: '"<end>" (id 99)',
    echo: '"so 2+4" to "q"',
    plurality: 'to "q" it answers "7" in 80 % of outputs, the gold is "8"',
    rejected: '"so 8" for the gold "8"',
  });
});

/** A copy of the base with another token that ends an output, which is special or not. */
async function baseEndingWith(name: string, token: string, isSpecial: boolean): Promise<string> {
  const device = Device.open("cpu");
  const model = await loadModel(device, base);
  const files = modelFiles(base) as Record<string, string>;
  const json = JSON.parse(readFileSync(join(base, "tokenizer.json"), "utf8"));
  const [content, id] = Object.entries(json.model.vocab as Record<string, number>).find(
    ([text]) => text === token,
  )!;
  if (isSpecial) json.added_tokens.push({ ...json.added_tokens[0], id, content, special: true });
  const dir = join(root, name);
  await saveCheckpoint(dir, {
    ...{ model, step: 0 },
    files: {
      ...files,
      "tokenizer.json": JSON.stringify(json),
      "generation_config.json": JSON.stringify({ eos_token_id: id }),
    },
  });
  device.close();
  return dir;
}

const custom = (name: string, body: string) => ({
  rewards: [{ kind: "custom", file: file(name, `export default ({completion, answer}) => ${body};\n`) }],
});

const sabotages: [name: string, set: () => object | Promise<object>, finding: string, cause: RegExp][] = [
  [
    "constant",
    () => custom("constant.ts", "1"),
    "3 constant reward",
    /custom 1\).* does not depend on the answer/,
  ],
  [
    "inverted",
    () => ({
      rewards: [{ kind: "accuracy", weight: -1 }],
      rollout: { questions_per_step: 24, group_size: 8, max_tokens: 24 },
      train: { optimizer: { lr: 1e-5 } },
    }),
    "inverted reward",
    /weight has the wrong sign/,
  ],
  [
    "rate_times_100",
    () => ({ train: { optimizer: { lr: 0.1 } } }),
    "2 updates are too large",
    /optimizer.lr 0.1 is too high/,
  ],
  [
    "one_question",
    () => ({
      task: {
        file: file("one.jsonl", `${JSON.stringify({ question: "1+2", answer: "3" })}\n`.repeat(50)),
        template: "{question}=",
      },
      train: { optimizer: { lr: 1e-5 } },
    }),
    "3 questions repeat",
    /only 17 % of the 6 questions .*one.jsonl holds the same ones many times/,
  ],
  ["rate_0", () => ({ train: { optimizer: { lr: 0 } } }), "3 no update", /optimizer.lr is 0/],
  [
    "truncated",
    () => ({ rollout: { questions_per_step: 6, group_size: 8, max_tokens: 4 } }),
    "3 outputs are cut",
    /rollout.max_tokens 4/,
  ],
  [
    "frozen_sampling",
    () => ({ rollout: { questions_per_step: 6, group_size: 8, max_tokens: 24, top_k: 1 } }),
    "3 no variance",
    /top_k 1 leaves no choice/,
  ],
  [
    "ordinary_end",
    async () => ({ init: { checkpoint: await baseEndingWith("ordinary", "5", false) } }),
    "1 wrong end token",
    /is ordinary text/,
  ],
  [
    "other_special_end",
    async () => ({ init: { checkpoint: await baseEndingWith("special", "Q", true) } }),
    "3 outputs are cut",
    /"<\|endoftext\|>" .* does not end an output/,
  ],
];
for (const [name, set, finding, cause] of sabotages)
  test(`a_run_with_${name}_is_named_with_its_cause`, async () => {
    const options = {
      steps: 6,
      checkpoint: { every: 20 },
      evaluation: { questions: 2, samples: 2 },
    };
    const { events } = await runs.run(name, { ...options, ...(await set()) });
    const texts = warningsOf(events).filter((text) => /^step/.test(text));
    expect(named(texts).filter((text) => text.includes(finding))).toHaveLength(1);
    expect(texts.find((text) => text.includes(finding.replace(/^\d+ /, "")))).toMatch(cause);
    // The cause alone: nothing that only follows from it.
    expect(named(texts).join()).toMatch(finding);
    expect(texts).toEqual([expect.stringMatching(cause)]);
  });

test("a_policy_that_repeats_the_question_is_named_where_that_is_paid_and_only_there", async () => {
  // Texts in which the question itself stands where the answer should be; two questions, since a tiny policy hardly copies.
  const questions = ["3+4", "5+1"];
  const texts = Array.from({ length: 3000 }, (_, i) => {
    const question = questions[i % 2];
    return JSON.stringify({
      text: `${question}= <think> ${question} </think> <answer> ${question} </answer>`,
    });
  });
  const task = questions.map((question, i) => JSON.stringify({ question, answer: ["7", "6"][i] }));
  const path = file("doubles.jsonl", task.join("\n"));
  const dir = join(root, "echoes");
  const echoing = await makeBase(dir, {}, [{ files: [file("echoes.jsonl", texts.join("\n"))] }]);
  const named = async (name: string, answer_form: string) => {
    const { events } = await runs.run(name, {
      init: { checkpoint: echoing },
      task: { file: path, template: "{question}=", answer_form },
      steps: 4,
      train: { optimizer: { lr: 1e-4, weight_decay: 0 } },
      checkpoint: { every: 20 },
      evaluation: { questions: 2, samples: 2 },
    });
    const shares = stepMetrics(events).map((m) => m["reward/echo_share"]!);
    expect(Math.min(...shares)).toBeGreaterThan(0.1);
    return warningsOf(events).filter((text) => text.includes("echoes are paid"));
  };
  expect(await named("echo-paid", "any")).toEqual([expect.stringMatching(/^step 3: .*task.answer_form any/)]);
  expect(await named("echo-unpaid", "value")).toEqual([]);
}, 240_000);

test("golds_that_belong_to_other_questions_are_named", async () => {
  // The base solves few of its own sums, so that it needs a task that it has by heart: the sum of nothing and nothing.
  const rows = Array.from({ length: 60 }, (_, i) => ({
    question: `${i % 9}+1`,
    answer: String((i % 9) + 2 + 40),
  }));
  const path = file("golds.jsonl", rows.map((row) => JSON.stringify(row)).join("\n"));
  const { events } = await runs.run("golds", {
    steps: 8,
    task: { file: path, template: "{question}=" },
    rollout: { questions_per_step: 6, group_size: 16, max_tokens: 24, temperature: 0.4 },
    train: { optimizer: { lr: 1e-5 } },
    checkpoint: { every: 8 },
    evaluation: { questions: 2, samples: 2 },
  });
  const texts = warningsOf(events).filter((text) => text.includes(": wrong golds: "));
  expect(texts).toHaveLength(1);
  expect(texts[0]).toMatch(/it answers "\d+" in \d+ % of outputs, the gold is "4\d"/);
});

test("a_run_that_learns_warns_of_nothing_and_has_the_figures", async () => {
  const { events } = await runs.run("healthy", { steps: 12, checkpoint: { every: 12 } });
  expect(warningsOf(events)).toEqual([]);
  for (const m of stepMetrics(events)) {
    expect(m["policy/update_change_mean"]).toBeGreaterThan(0);
    expect(m["policy/update_change_mean"]).toBeLessThan(0.25);
    expect(m["rollout/distinct_share"]).toBeGreaterThan(1 / 8);
  }
});

test("a_resumed_run_does_not_repeat_what_was_said", async () => {
  const set = {
    ...custom("again.ts", "1"),
    steps: 8,
    checkpoint: { every: 4 },
    evaluation: { questions: 2, samples: 2 },
  };
  const { dir } = await runs.run("again", set, { stopAt: 4 });
  const checkpoint = join(dir, "checkpoints/step-000004");
  expect(existsSync(checkpoint)).toBe(true);
  const { events } = await runs.run("again", set, { resumeFrom: checkpoint });
  expect(named(warningsOf(events))).toEqual([]);
});
