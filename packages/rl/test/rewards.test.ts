// Rewards on texts that others' parsers credit wrongly, on steps, on programs, and on reward files that fail.
import { mkdtempSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { Tokenizer, trainBpe } from "@nsa/data";
import { bubblewrapState } from "@nsa/tasks";
import { expect, test } from "vitest";
import { needs } from "../../core/test/needs.ts";
import { rewardSchema } from "../src/rewards/config.ts";
import { formatReward } from "../src/rewards/format.ts";
import { makeScorer } from "../src/rewards/score.ts";
import { equationSteps, tokensAt } from "../src/rewards/steps.ts";
import { lengthPenalty, overlongPenalty, reflectiveWords, repetitionPenalty } from "../src/rewards/text.ts";

const sources = (folder: string) => {
  const dir = resolve(import.meta.dirname, "../..", folder);
  return readdirSync(dir).map((name) => join(dir, name));
};

test("only_one_thought_and_one_answer_in_order_are_well_formed", () => {
  expect(formatReward("<think> 2+2 </think> <answer> 4 </answer>")).toBe(1);
  expect(formatReward("<think>a</think>\n<answer>4</answer>\n")).toBe(1);
  for (const bad of [
    "",
    "<answer>4</answer>",
    "<think></think> <answer>4</answer>",
    "<think> </think> <answer>4</answer>",
    "<think>a</think> <answer> </answer>",
    "<think>a</think> <answer>4</answer> and more",
    "so <think>a</think> <answer>4</answer>",
    "<think>a</think> <answer>4</answer> <answer>5</answer>",
    "<think>a <think>b</think> <answer>4</answer>",
    "<answer>4</answer> <think>a</think>",
    "<think>a</think> text <answer>4</answer>",
  ]) {
    expect(formatReward(bad), bad).toBe(0);
  }
});

test("repetition_and_length_penalties_start_at_zero", () => {
  expect(repetitionPenalty("a b c d e f g")).toBe(0);
  expect(repetitionPenalty("a b c d a b c d a b c d")).toBeCloseTo(-5 / 9);
  expect([lengthPenalty(0, 40), lengthPenalty(10, 40), lengthPenalty(50, 40)]).toEqual([0, -0.25, -1]);
  expect(overlongPenalty(80, 100, 20)).toBe(0);
  expect(overlongPenalty(90, 100, 20)).toBe(-0.5);
  expect(overlongPenalty(140, 100, 20)).toBe(-1);
});

test("reflective_words_are_counted_as_words", () => {
  const counts = reflectiveWords("Wait, let me re-check. WAIT. The waiter waits.");
  expect(counts).toMatchObject({ wait: 2, recheck: 1, verify: 0 });
});

const scored = (completion: string, more: object = {}) => ({
  prompt: "p",
  promptIds: [],
  ids: [],
  question: "q",
  completion,
  answer: "4",
  tokens: 10,
  maxTokens: 20,
  ...more,
});
const scorerOf = async (rewards: object[]) =>
  (
    await makeScorer(
      rewards.map((r) => rewardSchema.parse(r)),
      {} as never,
    )
  ).score;
const rewardOf = async (rewards: object[], completion: string, more: object = {}) =>
  (await (await scorerOf(rewards))([scored(completion, more)], { step: 1, group: [0] }))[0]!;

test("every_kind_is_logged_by_itself_and_summed_with_its_weight", async () => {
  const rewards = [
    { kind: "accuracy" },
    { kind: "format", weight: 0.5 },
    { kind: "length", weight: 0.1 },
    { kind: "language" },
    { kind: "repetition" },
    { kind: "overlong", buffer: 15 },
  ];
  const r = await rewardOf(rewards, "<think> two and two </think> <answer> 4 </answer>");
  expect(r.parts).toEqual({
    accuracy: 1,
    format: 1,
    length: -0.5,
    language: 1,
    repetition: 0,
    overlong: -1 / 3,
  });
  expect(r.total).toBeCloseTo(1 + 0.5 - 0.05 + 1 - 1 / 3, 12);
});

test("accuracy_takes_any_expression_that_reaches_a_countdown_target", async () => {
  const countdown = { numbers: [3, 8, 5], target: 19 };
  const accuracy = async (answer: string) =>
    (await rewardOf([{ kind: "accuracy" }], `<answer> ${answer} </answer>`, { answer: "3*8-5", countdown }))
      .total;
  expect([await accuracy("8*3-5"), await accuracy("19"), await accuracy("3*8-5=20")]).toEqual([1, 0, 0]);
});

test("accuracy_pays_a_value_and_not_the_task_written_again", async () => {
  const task = { answer: "92", question: "34+58", answerForm: "number" };
  const accuracy = async (answer: string) =>
    (await rewardOf([{ kind: "accuracy" }], `<think> 34+58 </think> <answer> ${answer} </answer>`, task))
      .total;
  const answers = ["92", "34+58=92", "34+58", "92+0", "184/2", "3=92", "34+58=91"];
  expect(await Promise.all(answers.map(accuracy))).toEqual([1, 1, 0, 0, 0, 0, 0]);
});

test("model_text_is_never_run", async () => {
  const text = "<answer> (globalThis.pwned=1)+3 </answer>";
  expect((await rewardOf([{ kind: "accuracy" }], text)).total).toBe(0);
  expect("pwned" in globalThis).toBe(false);
  for (const package_ of ["tasks/src/grader", "rl/src/rewards"])
    for (const file of sources(package_))
      expect(readFileSync(file, "utf8"), file).not.toMatch(/\beval\(|\bFunction\(|node:vm/);
});

test("equations_of_the_thought_are_steps_with_a_place_and_a_truth", () => {
  const text = "<think> 4+8=12 3+5+1=8 </think> <answer> 1+1=3 </answer>";
  expect(equationSteps(text)).toEqual([
    { end: text.indexOf("=12") + 3, reward: 1 },
    { end: text.indexOf("=8 ") + 2, reward: 0 },
  ]);
  expect(equationSteps("2+2=4")).toEqual([]);
});

test("an_equation_that_computes_nothing_or_stands_there_already_is_no_step", () => {
  const rewards = (thought: string) => equationSteps(`<think>${thought}</think>`).map((s) => s.reward);
  for (const identity of [
    "92 = 92",
    "92=92 92=92",
    "(92) = 92",
    "((92))=92",
    "0092 = 92",
    "92.0 = 92",
    "(-92) = -92",
  ])
    expect(rewards(identity), identity).toEqual([]);
  expect(rewards("4+8=12, 4 + 8 = 12, 4+8=12")).toEqual([1]);
  expect(rewards("4+8=12 12=12 12*2=24 3(4)=12 (4)(3)=12 7-(-5)=12 1/2=0.5 4+8=13")).toEqual([
    1, 1, 1, 1, 1, 1, 0,
  ]);
});

test("equations_of_an_output_are_paid_up_to_a_number", async () => {
  const thought = Array.from({ length: 40 }, (_, i) => `1+${i}=${i + 1}`).join(" ");
  expect(equationSteps(`<think> ${thought} </think>`)).toHaveLength(40);
  const { total, steps } = await rewardOf(
    [{ kind: "equations", weight: 0.5 }],
    `<think> ${thought} </think>`,
  );
  expect([total, steps!.length]).toEqual([8, 16]);
});

test("step_rewards_are_found_at_the_token_that_ends_the_step", () => {
  const tokenizer = new Tokenizer(
    trainBpe(["4+8=12 and so on, 4+8=12"], {
      vocabSize: 262,
      preTokenizer: "digits",
      specialTokens: ["<|endoftext|>"],
    }),
  );
  const text = "a 4+8=12 é 3+5=8";
  const ids = [...tokenizer.encode(text), tokenizer.eosId];
  const ends = [text.indexOf("12") + 2, text.indexOf("3+5") + 1];
  for (const [i, token] of tokensAt(tokenizer, ids, ends).entries()) {
    expect(tokenizer.decode(ids.slice(0, token + 1)).length).toBeGreaterThanOrEqual(ends[i]!);
    expect(tokenizer.decode(ids.slice(0, token)).length).toBeLessThan(ends[i]!);
  }
  // The end belongs to the step that it ends: without a reward there, nothing would teach the policy to end.
  expect(tokensAt(tokenizer, ids, [text.length])).toEqual([ids.length - 1]);
  expect(tokensAt(tokenizer, ids.slice(0, -1), [text.length])).toEqual([ids.length - 2]);
});

test("a_reward_file_may_give_steps_and_bad_ones_are_named", async () => {
  const dir = mkdtempSync(join(tmpdir(), "nsa-reward-"));
  const file = join(dir, "steps.ts");
  writeFileSync(file, "export default (s: { completion: string }) => JSON.parse(s.completion);\n");
  const custom = [{ kind: "custom", file, weight: 2 }, { kind: "accuracy" }];
  const good = await rewardOf(custom, '{"steps":[{"end":3,"reward":1},{"end":9,"reward":-0.5}]}');
  expect(good).toEqual({
    total: 1,
    outcome: 0,
    parts: { custom: 0.5, accuracy: 0 },
    steps: [
      { end: 3, reward: 2, of: "custom" },
      { end: 9, reward: -1, of: "custom" },
    ],
  });
  for (const [text, fault] of [
    ['"much"', 'custom returned "much"'],
    ['{"steps":[{"end":3,"reward":null}]}', "custom returned a step of null"],
    ['{"steps":[{"end":99,"reward":1}]}', "custom returned a step that ends at 99"],
    ["no json", "custom threw"],
  ] as const) {
    const r = await rewardOf(custom, text);
    expect(r.total).toBeNaN();
    expect(r.fault).toContain(fault);
  }
});

test("whatever_a_reward_throws_or_returns_is_told_in_one_line", async () => {
  const file = join(mkdtempSync(join(tmpdir(), "nsa-odd-")), "odd.ts");
  writeFileSync(
    file,
    `const ring: { me?: unknown } = {}; ring.me = ring;
const odd: Record<string, () => unknown> = {
  a: () => { throw null; }, b: () => { throw "a text"; }, c: () => 1n, d: () => ring, e: () => 1e160,
  f: () => { throw new Error("two\\nlines"); },
};
export default (s: { completion: string }) => odd[s.completion]!();\n`,
  );
  const faults: unknown[] = [];
  for (const text of "abcdef") faults.push((await rewardOf([{ kind: "custom", file }], text)).fault);
  expect(faults).toEqual([
    "custom threw: null",
    "custom threw: a text",
    "custom returned 1",
    expect.stringMatching(/^custom returned <ref/),
    "custom returned 1e+160, which is beyond ±1e+15",
    "custom threw: two",
  ]);
  await expect(makeScorer([rewardSchema.parse({ kind: "custom" })], {} as never)).rejects.toMatchObject({
    exitCode: 2,
  });
});

const { usable, why } = bubblewrapState();
needs(usable, why)("programs_are_paid_for_passing_every_unit_test", async () => {
  const tests = ["assert double(2) == 4", "assert double('a') == 'aa'"];
  const fenced = (code: string) => `<think>hm</think>\n\`\`\`python\n${code}\n\`\`\`\n`;
  const code = [{ kind: "code", timeoutMs: 3000 }];
  const total = async (text: string) => (await rewardOf(code, text, { tests })).total;
  expect(await total(fenced("def double(x):\n    return x + x"))).toBe(1);
  expect(await total(fenced("def double(x):\n    return x * 2.0"))).toBe(0);
  expect(await total(fenced("import sys\nprint('passed')\nsys.exit(0)"))).toBe(0);
  expect(await total("def double(x): return x + x")).toBe(0);
  expect(await total("<think>```python\ndef double(x):\n    return x + x\n```")).toBe(0);
  expect((await rewardOf(code, fenced("pass"))).fault).toContain("no tests");
  const equal = "class A:\n    def __eq__(s, o): return True\ndef double(x): return A()";
  expect(await total(fenced(equal))).toBe(0);
  const repository = { files: { "a.py": "x = 3\n" }, setup: "from a import x" };
  const patched = async (by: string) => {
    const patch = `<think>hm</think>\na.py\n<<<<<<< SEARCH\nx = 3\n=======\nx = ${by}\n>>>>>>> REPLACE\n`;
    return (await rewardOf(code, patch, { tests: ["assert x == 5"], repository })).total;
  };
  expect([await patched("5"), await patched("4"), await patched("(")]).toEqual([1, 0, 0]);
  const printed = [{ input: "3\n", output: "6\n" }];
  const asked = async (text: string) => (await rewardOf(code, fenced(text), { tests: printed })).total;
  expect([await asked("print(2 * int(input()))"), await asked("print(input())")]).toEqual([1, 0]);
});
