// Rewards that see a batch: what they are given, what becomes of verdicts that are none, files, plugins, and a run with one.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseConfig, readJsonl } from "@nsa/core";
import { afterAll, expect, test } from "vitest";
import {
  grpoSchema,
  makeScorer,
  perOutput,
  type RewardContext,
  type RewardKind,
  rewardKinds,
  type Scored,
} from "../src/index.ts";
import { rewardSchema } from "../src/rewards/config.ts";
import { grpoRuns, makeBase, stepMetrics } from "./grpo-fixture.ts";

const root = mkdtempSync(join(tmpdir(), "nsa-batch-rewards-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));

const output = (completion: string, more: Partial<Scored> = {}): Scored => ({
  prompt: "p",
  promptIds: [],
  ids: [],
  question: "q",
  completion,
  answer: "4",
  tokens: 3,
  maxTokens: 9,
  ...more,
});
const open = async (...rewards: object[]) =>
  (
    await makeScorer(
      rewards.map((r) => rewardSchema.parse(r)),
      {} as never,
    )
  ).score;

let files = 0;
function custom(source: string, more: object = {}): object {
  const file = join(root, `reward-${files++}.ts`);
  writeFileSync(file, source);
  return { kind: "custom", file, ...more };
}

test("a_batch_reward_gets_the_outputs_with_their_groups_questions_and_metadata_and_the_step", async () => {
  const rank = custom(`export default {
    scoreBatch(outputs, { step, group }) {
      return outputs.map((o, i) => {
        const peers = outputs.filter((_, j) => group[j] === group[i]);
        return peers.filter((p) => p.tokens > o.tokens).length + 100 * step + (o.part === "hard" ? 0.5 : 0);
      });
    },
  };`);
  const score = await open({ kind: "accuracy" }, { ...rank, weight: 2 });
  const rewards = await score(
    [
      output("<answer>4</answer>", { tokens: 5 }),
      output("<answer>5</answer>", { tokens: 2, part: "hard" }),
      output("", { tokens: 4, answer: "7" }),
      output("<answer>7</answer>", { tokens: 9, answer: "7" }),
      output("", { tokens: 1, answer: "7" }),
    ],
    { step: 3, group: [8, 8, 9, 9, 9] },
  );
  // Outputs of the own group that are longer: 0, 1 | 1, 0, 2.
  expect(rewards.map((r) => r.parts)).toEqual([
    { accuracy: 1, custom: 300 },
    { accuracy: 0, custom: 301.5 },
    { accuracy: 0, custom: 301 },
    { accuracy: 1, custom: 300 },
    { accuracy: 0, custom: 302 },
  ]);
  expect(rewards.map((r) => r.total)).toEqual([601, 603, 602, 601, 604]);
});

test("a_verdict_that_is_none_quarantines_its_output_alone_and_later_rewards_do_not_see_it", async () => {
  const odd = custom(`export default { scoreBatch: (outputs) => outputs.map((o) => {
    if (o.completion === "nan") return Number.NaN;
    if (o.completion === "text") return "much";
    if (o.completion === "fault") return { fault: "did not answer" };
    if (o.completion === "steps") return { steps: [{ end: 2, reward: 3 }, { end: 5, reward: -1 }] };
    if (o.completion === "far") return { steps: [{ end: 99, reward: 1 }] };
    return o.completion.length;
  }) };`);
  const seen = custom(`export default { scoreBatch: (outputs, { group }) =>
    outputs.map((_, i) => 10 * outputs.length + group[i]) };`);
  const score = await open(odd, seen);
  const texts = ["nan", "fine", "text", "fault", "steps", "far"];
  const rewards = await score(
    texts.map((t) => output(t)),
    { step: 1, group: [1, 2, 3, 4, 5, 6] },
  );
  expect(rewards.map((r) => r.fault)).toEqual([
    "custom returned NaN",
    undefined,
    'custom returned "much"',
    "custom did not answer",
    undefined,
    "custom returned a step that ends at 99 of 3 characters",
  ]);
  expect(rewards.map((r) => Number.isFinite(r.total))).toEqual([false, true, false, false, true, false]);
  expect(rewards[1]).toEqual({ total: 26, outcome: 26, parts: { custom: 4, custom_2: 22 } });
  expect(rewards[4]).toMatchObject({ total: 27, outcome: 25, parts: { custom: 2, custom_2: 25 } });
  expect(rewards[0]!.parts).toEqual({});
});

test("notes_become_parts_of_their_outputs_and_one_that_is_no_number_quarantines", async () => {
  const noted = custom(`export default { scoreBatch: (outputs) => outputs.map((o) => {
    if (o.completion === "plain") return { reward: 3 };
    if (o.completion === "odd") return { reward: 3, notes: { sure: 0.5, words: "many" } };
    if (o.completion === "nan") return { steps: [], notes: { sure: Number.NaN } };
    return { steps: [{ end: 2, reward: 4 }], notes: { sure: 0.25 } };
  }) };`);
  const score = await open({ ...noted, weight: 2 });
  const texts = ["plain", "odd", "nan", "steps"];
  const rewards = await score(
    texts.map((t) => output(t)),
    { step: 1, group: [1, 1, 1, 1] },
  );
  expect(rewards.map(({ fault }) => fault)).toEqual([
    undefined,
    "custom returned a note `words` of many",
    "custom returned a note `sure` of NaN",
    undefined,
  ]);
  expect([rewards[0]!.total, rewards[0]!.parts]).toEqual([6, { custom: 3 }]);
  expect([rewards[3]!.total, rewards[3]!.parts]).toEqual([8, { custom: 4, custom_sure: 0.25 }]);
});

test("an_error_or_a_wrong_number_of_verdicts_quarantines_the_batch_with_its_reason", async () => {
  const faultsOf = async (body: string) => {
    const score = await open(custom(`export default { scoreBatch: ${body} };`));
    return (await score([output("a"), output("b")], { step: 1, group: [0, 0] })).map((r) => r.fault);
  };
  const both = (fault: string) => [fault, fault];
  expect(await faultsOf("() => [1]")).toEqual(both("custom returned 1 verdicts for 2 outputs"));
  expect(await faultsOf("() => undefined")).toEqual(both("custom returned undefined for 2 outputs"));
  expect(await faultsOf("async () => { throw new Error('no server'); }")).toEqual(
    both("custom threw: no server"),
  );
});

test("a_file_that_is_neither_a_function_nor_has_scoreBatch_is_refused", async () => {
  for (const source of ["export default 3;", "export default { score: () => 1 };", "export default null;"]) {
    await expect(open(custom(source))).rejects.toMatchObject({ code: "reward_file_invalid", exitCode: 2 });
  }
});

test("a_member_of_the_registry_has_options_of_its_own_and_built_in_options_stay_strict", async () => {
  const calls: RewardContext[] = [];
  const codeStyle: RewardKind = {
    name: "code_style",
    open: ({ options }) => ({
      scoreBatch: (outputs, context) => {
        calls.push(context);
        return outputs.map(() => Number(options?.value));
      },
    }),
  };
  expect(() => rewardSchema.parse({ kind: "code_style" })).toThrow(/there are accuracy, format/);
  rewardKinds.register(codeStyle, { name: "test_half", open: () => perOutput((s) => s.tokens / 2) });
  const score = await open(
    { kind: "code_style", options: { value: 3 } },
    { kind: "test_half", weight: 4 },
    { kind: "code_style", options: { value: -1 } },
  );
  const [reward] = await score([output("x")], { step: 7, group: [2] });
  expect(reward).toEqual({
    total: 8,
    outcome: 8,
    parts: { code_style: 3, test_half: 1.5, code_style_2: -1 },
  });
  expect(calls).toEqual([
    { step: 7, group: [2] },
    { step: 7, group: [2] },
  ]);
  // A kind whose name begins with another's is not counted as one of it.
  const both = await open(
    { kind: "code_style", options: { value: 1 } },
    { kind: "length" },
    { kind: "length" },
  );
  expect(Object.keys((await both([output("x")], { step: 1, group: [0] }))[0]!.parts)).toEqual([
    "code_style",
    "length",
    "length_2",
  ]);
  const parse = (reward: object) =>
    parseConfig(grpoSchema, { init: { checkpoint: "x" }, rewards: [reward] } as never, "recipe.yaml");
  expect(() => parse({ kind: "overlong", bufer: 4 })).toThrow(expect.objectContaining({ exitCode: 2 }));
  expect(() => parse({ kind: "accurracy" })).toThrow(expect.objectContaining({ exitCode: 2 }));
  const { rewards } = parseConfig(grpoSchema, { init: { checkpoint: "x" } } as never, "recipe.yaml");
  expect(rewards.map((r) => [r.kind, r.weight, r.buffer, r.timeoutMs])).toEqual([
    ["accuracy", 1, 16, 5000],
    ["format", 1, 16, 5000],
  ]);
});

test("a_run_gives_each_batch_its_step_its_groups_and_its_problems", async () => {
  const base = await makeBase(root);
  const { run } = grpoRuns(root, () => base);
  const rewards = [
    custom(`export default { scoreBatch: (outputs, { step, group }) => outputs.map((o, i) => {
      const peers = outputs.filter((p, j) => group[j] === group[i]);
      const same = peers.every((p) => p.question === o.question && p.id === o.id && p.answer === o.answer);
      return 1000 * step + 10 * peers.length + group[i] / 100 + (same ? 0 : 5);
    }) };`),
  ];
  const { dir, events } = await run("batch", { steps: 2, rewards });
  const rows = readJsonl<{ step: number; id: string; parts: { custom: number } }>(join(dir, "samples.jsonl"));
  // Six questions of eight outputs a step, numbered on over the steps.
  const wanted = [1, 2].flatMap((step) =>
    Array.from({ length: 48 }, (_, i) => 1000 * step + 80 + (6 * (step - 1) + Math.floor(i / 8)) / 100),
  );
  expect(rows.map((r) => r.parts.custom)).toEqual(wanted);
  expect(new Set(rows.map((r) => r.id)).size).toBe(12);
  // (0 + 1 + 2 + 3 + 4 + 5)/6/100 above 1080, and the next six above 2080.
  const means = stepMetrics(events).map((m) => m["reward/custom"]!);
  expect(means[0]).toBeCloseTo(1080.025, 9);
  expect(means[1]).toBeCloseTo(2080.085, 9);
}, 180_000);
