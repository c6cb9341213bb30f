// What a cold start and preferences are collected by: bounds on outputs, few-shot prompts, label files, pairs, rewards for parts of a task,
// figures by part.
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readJsonl } from "@nsa/core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { makeScorer, readPartFigures, runSample, type Scored, sampleStage } from "../src/index.ts";
import { rewardSchema } from "../src/rewards/config.ts";
import { rolloutMetrics } from "../src/stages/grpo/metrics.ts";
import { labelsOf, pairsOf, writeCollected } from "../src/stages/sample/collected.ts";
import { checkSample } from "../src/stages/sample/config.ts";
import { partFigures } from "../src/stages/sample/held-out.ts";
import { checkKeep, keepOf, keepSchema } from "../src/stages/sample/keep.ts";
import type { SampleRow } from "../src/stages/sample/rows.ts";
import { shotsOf } from "../src/stages/sample/shots.ts";
import { addTally, outputMetrics, tallyQuestion } from "../src/stages/sample/tally.ts";
import { heldOutProblems, makeProblems } from "../src/task/problems.ts";
import { makeBase, runStage } from "./grpo-fixture.ts";
import { sampleRecipe } from "./sample-fixture.ts";

const root = mkdtempSync(join(tmpdir(), "nsa-collect-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));
let base = "";
beforeAll(async () => {
  base = await makeBase(root);
}, 120_000);

const row = (output: number, more: Partial<SampleRow> = {}): SampleRow => ({
  ...{ step: 1, output, id: "q", question: "1+2", gold: "3", prompt: "1+2=", prompt_ids: [1], ids: [2] },
  ...{ logp: [0], completion: `c${output}`, finish: "stop", reward: 1, parts: {}, verdict: "right" },
  ...more,
});
const outputsOf = (rows: readonly SampleRow[]) => rows.map(({ output }) => output);

test("outputs_are_kept_within_all_bounds_and_counted_by_the_first_that_they_miss", () => {
  const rows = [
    row(0, { parts: { language: 1, format: 1, repetition: -0.1 } }),
    row(1, { parts: { language: 1, format: 1, repetition: 0 } }),
    row(2, { parts: { language: 0.9, format: 0, repetition: 0 } }),
    row(3, { verdict: "wrong", parts: { language: 1, format: 1, repetition: 0 } }),
    row(4, { finish: "length", verdict: "wrong" }),
    row(5, { completion: "c1", parts: { language: 1, format: 1, repetition: 0 } }),
    row(6, { verdict: "unread" }),
    row(7, { fault: "x", reward: null }),
    row(8, { parts: { language: 1, format: 1, repetition: 0 } }),
    row(9, { parts: { language: 1, format: 1, repetition: 0 } }),
  ];
  const keep = keepSchema.parse({
    rewards: { language: { min: 1 }, format: { min: 1 }, repetition: { min: 0 } },
    perQuestion: 2,
  });
  const { kept, left } = keepOf(rows, keep);
  expect(outputsOf(kept)).toEqual([1, 8]);
  expect(left).toEqual({
    ...{ "left/repetition": 1, "left/language": 1, "left/wrong": 1, "left/unended": 1 },
    ...{ "left/repeated": 1, "left/unread": 1, "left/fault": 1, "left/surplus": 1 },
  });
  // A verdict is wanted only where the recipe says so; a reward that did not score an output does not bound it.
  const any = keepSchema.parse({ verdict: "any", rewards: { accuracy: { min: 1 } } });
  expect(
    outputsOf(keepOf([row(0, { verdict: "unread" }), row(1, { parts: { accuracy: 0 } })], any).kept),
  ).toEqual([0]);
  expect(outputsOf(keepOf(rows, "correct").kept)).toEqual(
    [0, 1, 2, 4, 5, 7, 8, 9].filter((n) => rows[n]!.verdict === "right"),
  );
});

test("a_bound_of_a_reward_that_the_recipe_does_not_have_is_refused", () => {
  const keep = keepSchema.parse({ rewards: { langauge: { min: 1 } } });
  expect(() => checkKeep(keep, ["accuracy", "language"])).toThrow(/langauge/);
  expect(() => checkKeep("all", [])).not.toThrow();
});

test("pairs_are_of_the_outputs_that_differ_most_each_text_once", () => {
  const of = (output: number, judge: number, completion = `c${output}`) =>
    row(output, { parts: { judge }, completion, part: "lists_3" });
  const rows = [of(0, 0.5), of(1, 1), of(2, 0), of(3, 0.75), of(4, 0.5, "c1"), of(5, 0.52)];
  // By text: c1 is what its last row says, 0.5; left are 0.75, 0.52, 0.5, 0.5, 0.
  expect(pairsOf(rows, { by: "judge", perQuestion: 5, least: 0.05 })).toEqual([
    {
      ...{ id: "q", part: "lists_3", question: "1+2", prompt: "1+2=" },
      ...{ chosen: "c3", rejected: "c2", chosen_output: 3, rejected_output: 2 },
    },
  ]);
  expect(pairsOf(rows, { by: "judge", perQuestion: 5, least: 0.01 })).toHaveLength(2);
  expect(pairsOf(rows, { by: "judge", perQuestion: 1, least: 0.01 })).toHaveLength(1);
  expect(pairsOf(rows, { by: "accuracy", perQuestion: 1, least: 0 })).toEqual([]);
  // Equal rewards prefer nothing, however small a difference would do.
  expect(pairsOf([of(0, 0.5), of(1, 0.5)], { by: "judge", perQuestion: 1, least: 0 })).toEqual([]);
  expect(pairsOf([of(0, 0.5), of(1, 0.5001)], { by: "judge", perQuestion: 1, least: 0 })).toHaveLength(1);
});

test("labels_have_the_verdict_of_their_own_row_and_what_no_rule_reads_is_left_out_unless_bounds_chose_it", () => {
  const rows = [row(0, { verdict: "wrong" }), row(1), row(2, { verdict: "unread" })];
  const of = (keep: unknown) =>
    labelsOf(rows, keepSchema.parse(keep)).map(({ output, verdict }) => [output, verdict]);
  const read = [
    [0, "wrong"],
    [1, "right"],
  ];
  expect(of("all")).toEqual(read);
  expect(of({ verdict: "right" })).toEqual(read);
  expect(of({ verdict: "any" })).toEqual([...read, [2, "right"]]);
});

test("a_run_without_a_pair_and_outputs_without_a_label_are_named", () => {
  const rows = [row(0, { parts: { judge: 1 } }), row(1, { verdict: "unread", parts: { judge: 1 } })];
  examplesFile("samples.jsonl", rows);
  const warnings: string[] = [];
  writeCollected(root, config({ pairs: { by: "accuracy" }, labels: true }), (text) => warnings.push(text));
  expect(warnings).toEqual([
    "pairs.jsonl is empty: no two outputs of a question differ in accuracy by at least 0.05 (pairs.least)",
    "labels.jsonl leaves out 1 of 2 outputs, whose answer no rule can read",
  ]);
  rmSync(join(root, "labels.jsonl"));
  writeCollected(root, config({ pairs: { by: "accuracy", least: 0 } }), (text) => warnings.push(text));
  expect(warnings.at(-1)).toBe("pairs.jsonl is empty: no two outputs of a question differ in accuracy");
});

test.each([
  [{ pairs: { by: "acuracy" } }, "pairs.by acuracy", "correct the name"],
  [
    { pairs: { by: "format" } },
    "pairs.by format",
    "add {kind: format, weight: 0} to rewards, or correct the name",
  ],
  [{ keep: { rewards: { lenght: { min: 1 } } } }, "keep.rewards.lenght", "correct the name"],
  [
    { rewards: [{ kind: "accuracy" }, { kind: "format", from_step: 3 }] },
    "rewards.1.from_step in a recipe of sample",
    "remove from_step",
  ],
  [
    { rewards: [{ kind: "accuracy", to_step: 3 }] },
    "rewards.0.to_step in a recipe of sample",
    "remove to_step",
  ],
])("settings_of_rewards_that_sampling_cannot_follow_are_refused_%#", (set, what, fix) => {
  expect(() => checkSample(config(set))).toThrow(
    expect.objectContaining({ code: "sample_settings", exitCode: 2, what, fix }),
  );
  expect(() => checkSample(config({ pairs: { by: "length" } }))).not.toThrow();
});

const config = (set: Record<string, unknown>) => sampleRecipe(base, set);
const asking = {
  encode: (text: string) => [...text].map((c) => c.charCodeAt(0)),
  maxSeqLen: 4096,
  log: () => {},
};

function examplesFile(name: string, rows: object[]): string {
  const file = join(root, name);
  writeFileSync(file, rows.map((r) => `${JSON.stringify(r)}\n`).join(""));
  return file;
}

test("examples_of_the_same_part_stand_in_front_of_a_question_and_never_the_question_itself", () => {
  const file = examplesFile("shots.jsonl", [
    { question: "7+1", completion: " eight", part: "addition" },
    { question: "2+2", completion: " four" },
    { question: "9*9", completion: " many", part: "products_1" },
  ]);
  const own = config({ prompts: { shots: 1, examples: [file], shot_template: "Q {question} A" } });
  const shots = shotsOf(own, asking.encode);
  const asked = { id: "a", question: "2+2", answer: "4", part: "addition_1", text: "2+2=", prompt: [] };
  const found = shots(asked, 5);
  expect(found.shown).toBe("Q 7+1 A eight\n\nQ 2+2 A");
  expect(found.text).toBe("2+2=");
  expect(found.prompt).toEqual(asking.encode(found.shown!));
  const two = shotsOf(config({ prompts: { shots: 2, examples: [file] } }), asking.encode);
  expect(() => two(asked, 0)).toThrow(/1 of its 3 examples/);
  const texts = Array.from({ length: 20 }, (_, i) => shots({ ...asked, question: "3+4" }, i).shown);
  expect(new Set(texts).size).toBe(2);
});

test("a_run_writes_labels_once_and_leaves_a_corrected_file_alone", async () => {
  const recipe = config({
    keep: { rewards: { format: { min: 1 } }, per_question: 2 },
    labels: true,
    prompts: { questions: 12 },
    rewards: [{ kind: "accuracy" }, { kind: "format", weight: 0 }],
  });
  const { dir, result } = await runStage(root, "labels", runSample, recipe);
  const rows = readJsonl<SampleRow>(join(dir, "samples.jsonl"));
  expect(rows.length).toBeGreaterThan(0);
  expect(result.outputs.labels).toBe(join(dir, "labels.jsonl"));
  expect(sampleStage.plannedOutputs(recipe, dir)).toEqual(result.outputs);
  for (const { verdict, parts } of rows) expect([verdict, parts.format]).toEqual(["right", 1]);
  const labels = readJsonl<Record<string, unknown>>(join(dir, "labels.jsonl"));
  expect(labels.map(({ step, output, completion }) => [step, output, completion])).toEqual(
    rows.map(({ step, output, completion }) => [step, output, completion.trimEnd()]),
  );
  expect(labels[0]).toMatchObject({ kind: "verdict", verdict: "right", group: rows[0]!.step - 1 });
  const { kept, outputs } = {
    kept: result.metrics["sample/kept"]!,
    outputs: result.metrics["sample/outputs"]!,
  };
  const left = Object.entries(result.metrics).filter(([name]) => name.startsWith("sample/left_out_"));
  expect(kept + left.reduce((sum, [, n]) => sum + n, 0)).toBe(outputs);
  // A share of right ones among those that were kept would say nothing.
  expect(existsSync(join(dir, "parts.json"))).toBe(false);

  const corrected = readFileSync(join(dir, "labels.jsonl"), "utf8").replace('"right"', '"wrong"');
  writeFileSync(join(dir, "labels.jsonl"), corrected);
  const last = readJsonl<{ step: number }>(join(dir, "pool.jsonl")).at(-1)!.step;
  const resumeFrom = join(dir, "checkpoints", `step-${String(last).padStart(6, "0")}`);
  await runStage(root, "labels", runSample, recipe, { resumeFrom });
  expect(readFileSync(join(dir, "labels.jsonl"), "utf8")).toBe(corrected);
}, 60_000);

test("rows_behind_examples_have_what_was_sampled_from_and_the_questions_own_prompt", async () => {
  const file = examplesFile("sums.jsonl", [{ question: "1+1", completion: " <answer> 2 </answer>" }]);
  const recipe = config({ prompts: { questions: 4, shots: 1, examples: [file] }, labels: true });
  const { dir } = await runStage(root, "shots", runSample, recipe);
  const rows = readJsonl<SampleRow>(join(dir, "samples.jsonl"));
  expect(rows).toHaveLength(24);
  const lengths = new Set(rows.map(({ prompt_ids: ids, prompt }) => ids.length - prompt.length));
  expect(Math.min(...lengths)).toBeGreaterThan(0);
  for (const { shown, prompt, question } of rows) {
    expect(prompt).toBe(`${question}=`);
    expect(shown).toBe(`1+1= <answer> 2 </answer>\n\n${prompt}`);
  }
  for (const { prompt } of readJsonl<{ prompt: string }>(join(dir, "labels.jsonl")))
    expect(prompt).toMatch(/^\d\+\d=$/);
}, 60_000);

const scored = (part: string, completion: string, judge?: string): Scored => ({
  ...{ prompt: "p", promptIds: [], ids: [], question: "list fig nut", answer: "x", tokens: 1, maxTokens: 9 },
  ...{ completion, part, ...(judge === undefined ? {} : { judge }) },
});

test("a_reward_for_some_parts_scores_those_alone_by_family_or_with_difficulty", async () => {
  const scorer = await makeScorer(
    [
      { kind: "format", parts: ["column_sums"] },
      { kind: "judge", weight: 2, parts: ["lists_3", "greetings"] },
    ].map((r) => rewardSchema.parse(r)),
    {} as never,
  );
  const good = " <think> a </think> <answer> fig, nut </answer>";
  const rewards = await scorer.score(
    [
      scored("column_sums_2", good),
      scored("lists_3", good, "lists"),
      scored("lists_4", good, "lists"),
      { ...scored("", good), part: undefined },
    ],
    { step: 1, group: [0, 1, 2, 3] },
  );
  expect(rewards.map(({ parts }) => parts)).toEqual([{ format: 1 }, { judge: 0.75 }, {}, {}]);
  expect(rewards.map(({ total }) => total)).toEqual([1, 1.5, 0, 0]);
  expect(rewards.every(({ fault }) => fault === undefined)).toBe(true);
});

test("held_out_figures_are_of_questions_that_a_rule_decides", () => {
  const mix = [
    { family: "greetings", difficulty: 2, share: 0.75 },
    { family: "column_sums", difficulty: 2, share: 0.25 },
  ];
  const { task, seed } = config({ task: { mix, template: "{question}=" } });
  const problems = makeProblems({ task, seed }, asking);
  const found = heldOutProblems(problems, 10);
  expect(found.map(({ part }) => part)).toEqual(Array(10).fill("column_sums_2"));
  const only = makeProblems(
    { task: config({ task: { family: "lists", difficulty: 3, template: "{question}=" } }).task, seed },
    asking,
  );
  expect(heldOutProblems(only, 3).map(({ judge }) => judge)).toEqual(["lists", "lists", "lists"]);
});

test("figures_by_part_have_wilsons_interval_for_one_answer_a_question", () => {
  const of = (
    step: number,
    part: string,
    verdict: SampleRow["verdict"],
    parts: Record<string, number>,
    judge?: string,
  ) => row(0, { step, part, verdict, parts, ...(judge === undefined ? {} : { judge }) });
  const [sums, lists] = partFigures([
    of(1, "sums_2", "right", { accuracy: 1, format: 1 }),
    of(2, "lists_3", "unread", { judge: 0.25, format: 1 }, "lists"),
    of(3, "sums_2", "wrong", { accuracy: 0, format: 1 }),
    of(4, "sums_2", "right", { accuracy: 1, format: 0 }),
    of(5, "lists_3", "unread", { judge: 0.75, format: 1 }, "lists"),
    of(6, "sums_2", "unread", { accuracy: 0, format: 0 }),
  ]);
  expect([sums!.part, sums!.questions, sums!.outputs]).toEqual(["sums_2", 4, 4]);
  expect(Object.keys(sums!.figures)).toEqual(["right", "format"]);
  // Wilson, 2 of 4, z = 1.959964: middle 0.5, half 0.350017.
  const { mean, low, high } = sums!.figures.right!;
  expect([mean, low, high].map((x) => x.toFixed(5))).toEqual(["0.50000", "0.15004", "0.84996"]);
  expect(Object.keys(lists!.figures)).toEqual(["judge", "format"]);
  expect(lists!.figures.judge!.mean).toBe(0.5);
});

test("figures_of_a_run_count_what_a_rule_decides_and_a_reward_scores", () => {
  const tally = {};
  const question = (rows: SampleRow[]) =>
    addTally(tally, tallyQuestion(rows, rows.length, ["accuracy", "judge"]));
  question([row(0, { parts: { accuracy: 1 } }), row(1, { verdict: "wrong", parts: { accuracy: 0 } })]);
  question([row(0, { verdict: "unread", judge: "lists", parts: { judge: 0.75 } })]);
  question([row(0, { verdict: "unread", judge: "lists", parts: { judge: 0.25 }, finish: "length" })]);
  question([row(0, { verdict: "unread", parts: { accuracy: 0 } })]);
  expect(outputMetrics(tally)).toMatchObject({
    ...{ "sample/outputs": 5, "sample/pass_rate": 1 / 3, "sample/unread_share": 1 / 3 },
    ...{ "sample/solved_once_share": 0.5, "sample/never_solved_share": 0.5, "sample/always_solved_share": 0 },
    ...{ "reward/accuracy": 1 / 3, "reward/judge": 0.5, "completion/truncated_share": 0.2 },
  });
  const judgedAlone = outputMetrics(tallyQuestion([row(0, { judge: "lists", verdict: "unread" })], 1));
  expect("sample/pass_rate" in judgedAlone).toBe(false);
});

test("metrics_of_a_step_are_of_the_outputs_that_a_reward_scored", () => {
  const output = (parts: Record<string, number>, total: number) => ({
    sample: { keptLogmass: [] },
    row: { reward: { total, parts }, tokens: 3, finish: "stop", completion: "x", echo: false },
  });
  const outputs = [
    output({ format: 1 }, 1),
    output({ format: 0, model: 0.5 }, 0.5),
    output({ model: -1 }, -1),
  ];
  const metrics = rolloutMetrics({ outputs, flatGroups: 0, groups: 1 } as never);
  expect(metrics["reward/format"]).toBe(0.5);
  expect(metrics["reward/model"]).toBe(-0.25);
  expect(metrics["reward/model_std"]).toBe(0.75);
});

test("a_run_on_held_out_questions_leaves_its_figures_by_part", async () => {
  const recipe = config({ prompts: { questions: 12, split: "heldout" }, sampling: { n: 1, max_tokens: 24 } });
  const { dir, result } = await runStage(root, "parts", runSample, recipe);
  const [only] = readPartFigures(dir)!;
  expect(only!.part).toBe("addition_1");
  expect(only!.figures.right!.mean).toBeCloseTo(result.metrics["sample/pass_rate"]!, 12);
  const [table] = sampleStage.sections!(dir);
  expect(table).toMatchObject({
    kind: "table",
    columns: ["part", "questions", "outputs", "right", "length"],
  });
}, 60_000);
