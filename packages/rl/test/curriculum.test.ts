// Curricula: what holds at each step by hand, shares that questions keep, pools by pass rate, refusals, and a run that is resumed.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readJsonl } from "@nsa/core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { checkGrpo } from "../src/stages/grpo/config.ts";
import { curriculumAt, curriculumMetrics, recipeAt } from "../src/stages/grpo/curriculum.ts";
import { makeProblems } from "../src/task/problems.ts";
import { grpoRecipe, grpoRuns, makeBase, stepMetrics } from "./grpo-fixture.ts";

const root = mkdtempSync(join(tmpdir(), "nsa-curriculum-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));
let base = "none";
beforeAll(async () => {
  base = await makeBase(root);
}, 120_000);

const part = (difficulty: number, share: number) => ({ family: "addition", difficulty, share });
const task = { template: "{question}=", mix: [part(1, 3), part(2, 1)] };
const recipe = (curriculum: object[], set: object = {}) =>
  grpoRecipe("none", { steps: 40, task, rollout: { max_tokens: 64 }, curriculum, ...set });

test("entries_hold_from_their_step_on_and_blend_towards_the_next_one", () => {
  const config = recipe([
    { from_step: 3, max_tokens: 16, blend: "linear" },
    { from_step: 7, max_tokens: 30, mix: [part(1, 1), part(2, 4)], blend: "linear" },
    { from_step: 17, mix: [part(2, 2)] },
    { from_step: 20, max_tokens: 50 },
  ]);
  const maxTokens = (step: number) => curriculumAt(config, step).maxTokens;
  // Before the first entry the recipe's own; 16 + 14·t/4, rounded.
  expect([1, 2, 3, 4, 5, 6, 7].map(maxTokens)).toEqual([64, 64, 16, 20, 23, 27, 30]);
  // The third entry keeps the tokens that the second one set.
  expect([8, 16, 17, 19, 20, 40].map(maxTokens)).toEqual([30, 30, 30, 30, 50, 50]);
  const mix = (step: number) => curriculumAt(config, step).mix!.map((x) => Number(x.toFixed(9)));
  expect([1, 3, 5, 7, 12, 17, 30].map(mix)).toEqual([
    ...[
      [0.75, 0.25],
      [0.75, 0.25],
      [0.475, 0.525],
      [0.2, 0.8],
      [0.1, 0.9],
      [0, 1],
    ],
    [0, 1],
  ]);
  expect(curriculumMetrics(config, 12)).toEqual({
    "curriculum/max_tokens": 30,
    "curriculum/share_addition_1": expect.closeTo(0.1, 9),
    "curriculum/share_addition_2": expect.closeTo(0.9, 9),
  });
  expect(recipeAt(config, 5).rollout.maxTokens).toBe(23);
  expect(curriculumAt(recipe([]), 5)).toEqual({});
  expect(recipeAt(recipe([]), 5).rollout.maxTokens).toBe(64);
});

const asking = { encode: () => [1, 2, 3], maxSeqLen: 64, log: () => {} };
const sourceOf = (config: ReturnType<typeof recipe>) =>
  makeProblems(config, asking, { steps: config.steps, at: (step) => curriculumAt(config, step) });

test("questions_keep_the_shares_of_their_step_whatever_was_asked_before", () => {
  const config = recipe([
    { from_step: 1, mix: [part(1, 1), part(2, 0)] },
    { from_step: 10, mix: [part(2, 3), part(1, 1)] },
  ]);
  const source = sourceOf(config);
  const parts = (first: number, count: number, step: number) =>
    Array.from({ length: count }, (_, i) => source.train(first + i, step).part);
  expect(new Set(parts(0, 200, 9))).toEqual(new Set(["addition_1"]));
  for (const first of [0, 37, 1000]) {
    const hard = parts(first, 40, 10).filter((name) => name === "addition_2").length;
    expect(Math.abs(hard - 30)).toBeLessThanOrEqual(1);
  }
  // The same number at the same step is the same question, in another source, too; no number is asked twice.
  expect(sourceOf(config).train(123, 10)).toEqual(source.train(123, 10));
  expect(source.train(5, 9).id).not.toBe(source.train(6, 9).id);
  // Held-out questions stay those of the task.
  const heldOut = Array.from({ length: 40 }, (_, i) => source.heldOut(i).part);
  expect(heldOut.filter((name) => name === "addition_2")).toHaveLength(10);
});

test("a_pool_is_asked_by_pass_rates_that_move_and_an_empty_range_is_refused_before_the_run", () => {
  const file = join(root, "pool.jsonl");
  const rows = Array.from({ length: 40 }, (_, i) => ({
    ...{ id: `p${i}`, question: `${i}+1`, answer: `${i + 1}`, pass_rate: i / 40 },
  }));
  writeFileSync(file, rows.map((row) => `${JSON.stringify(row)}\n`).join(""));
  const pool = { task: { file, template: "{question}=" } };
  const config = recipe(
    [
      { from_step: 1, pass_rate: { min: 0.75 }, blend: "linear" },
      { from_step: 11, pass_rate: { min: 0.25, max: 0.5 } },
    ],
    pool,
  );
  expect(curriculumAt(config, 6).passRate).toEqual({ min: 0.5, max: 0.75 });
  const source = sourceOf(config);
  const ratesAt = (step: number) => {
    const asked = Array.from(
      { length: 80 },
      (_, i) => Number(source.train(i, step).question.split("+")[0]) / 40,
    );
    return [Math.min(...asked), Math.max(...asked), new Set(asked).size] as const;
  };
  for (const [step, min, max] of [
    [1, 0.75, 1],
    [6, 0.5, 0.75],
    [40, 0.25, 0.5],
  ] as const) {
    const [lowest, highest, count] = ratesAt(step);
    expect(lowest).toBeGreaterThanOrEqual(min);
    expect(highest).toBeLessThanOrEqual(max);
    // A quarter of the pool, less what is held out.
    expect(count).toBeGreaterThanOrEqual(7);
  }
  const empty = recipe([{ from_step: 30, pass_rate: { min: 0.99 } }], pool);
  expect(() => sourceOf(empty)).toThrow(
    expect.objectContaining({
      code: "no_usable_problem",
      exitCode: 3,
      why: expect.stringMatching(/step 30/),
      fix: expect.stringMatching(/^widen pass_rate of that entry/),
    }),
  );
  writeFileSync(file, '{"id": "x", "question": "1+1", "answer": "2"}\n'.repeat(3));
  expect(() => sourceOf(config)).toThrow(
    expect.objectContaining({ code: "task_record_invalid", exitCode: 3 }),
  );
});

test.each([
  [[{ from_step: 2 }], /entry 1: sets nothing/],
  [[{ from_step: 2, max_tokens: 65 }], /entry 1: max_tokens 65/],
  [[{ from_step: 41, max_tokens: 6 }], /entry 1: from_step 41/],
  [
    [
      { from_step: 5, max_tokens: 6 },
      { from_step: 5, max_tokens: 7 },
    ],
    /entry 2: from_step 5/,
  ],
  [[{ from_step: 5, max_tokens: 6, blend: "linear" }], /entry 1: blend linear/],
  [[{ from_step: 1, mix: [part(3, 1)] }], /entry 1: mix with addition_3/],
  [[{ from_step: 1, mix: [part(1, 0)] }], /entry 1: mix$/],
  [[{ from_step: 1, mix: [part(1, 1), part(1, 2)] }], /entry 1: mix$/],
  [[{ from_step: 1, pass_rate: { min: 0.5 } }], /entry 1: pass_rate$/],
])("a_curriculum_%j_is_refused_by_the_number_of_its_entry", (curriculum, what) => {
  expect(() => checkGrpo(recipe(curriculum))).toThrow(
    expect.objectContaining({ code: "curriculum_invalid", exitCode: 2, what: expect.stringMatching(what) }),
  );
});

test("a_run_follows_its_curriculum_and_resumes_to_equal_bits", async () => {
  const { run } = grpoRuns(root, () => base);
  const set = {
    ...{ steps: 6, task, checkpoint: { every: 1, keep_last: 9 }, evaluation: { questions: 4, samples: 2 } },
    curriculum: [
      { from_step: 1, max_tokens: 8, mix: [part(1, 1)], blend: "linear" },
      { from_step: 5, max_tokens: 24, mix: [part(2, 1)] },
    ],
  };
  const whole = await run("whole", set);
  const metrics = stepMetrics(whole.events);
  expect(metrics.map((m) => m["curriculum/max_tokens"])).toEqual([8, 12, 16, 20, 24, 24]);
  for (const m of metrics)
    expect(m["completion/length_max"]).toBeLessThanOrEqual(m["curriculum/max_tokens"]!);
  const digits = (step: number) =>
    readJsonl<{ step: number; question?: string }>(join(whole.dir, "samples.jsonl"))
      .filter((row) => row.step === step && row.question)
      .map((row) => (row.question!.length > 3 ? 2 : 1));
  expect(new Set(digits(1))).toEqual(new Set([1]));
  expect(new Set(digits(6))).toEqual(new Set([2]));
  const stopped = await run("stopped", set, { stopAt: 3 });
  const resumed = await run("stopped", set, { resumeFrom: stopped.result.outputs.checkpoint! });
  for (const file of ["checkpoints/step-000006/model.safetensors", "samples.jsonl"])
    expect(readFileSync(join(resumed.dir, file)).equals(readFileSync(join(whole.dir, file))), file).toBe(
      true,
    );
}, 120_000);
