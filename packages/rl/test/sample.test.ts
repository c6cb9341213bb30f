// `nsa sample`: rows, log-probabilities, verdicts, batches of any size, resume, rejection sampling, pools.
import { appendFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { packBatch, parseConfig, readJsonl } from "@nsa/core";
import { openDevice } from "@nsa/kernels";
import { loadModel, logprobs, readModelConfig, trainFlops } from "@nsa/model";
import { afterAll, beforeAll, expect, test } from "vitest";
import { estimateSample, grpoSchema, runSample, sampleStage } from "../src/index.ts";
import type { SampleRow } from "../src/stages/sample/rows.ts";
import { outputMetrics, tallyQuestion } from "../src/stages/sample/tally.ts";
import { makeProblems } from "../src/task/problems.ts";
import { makeBase, runStage, warningsOf } from "./grpo-fixture.ts";
import { sampleRecipe } from "./sample-fixture.ts";

const root = mkdtempSync(join(tmpdir(), "nsa-sample-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));
let base = "";
beforeAll(async () => {
  base = await makeBase(root);
}, 120_000);

const run = (name: string, set: Record<string, unknown> = {}, options: object = {}) =>
  runStage(root, name, runSample, sampleRecipe(base, set), options);
const rowsOf = (dir: string) => readJsonl<SampleRow>(join(dir, "samples.jsonl"));
const text = (dir: string, file: string) => readFileSync(join(dir, file), "utf8");
const files = ["samples.jsonl", "pool.jsonl"];

test("every_output_has_a_row_with_its_ids_log_probabilities_reward_and_verdict", async () => {
  const { dir, result } = await run("all");
  const rows = rowsOf(dir);
  expect(rows).toHaveLength(12 * 6);
  expect(rows.map(({ step, output }) => [step, output]).slice(4, 8)).toEqual([
    [1, 4],
    [1, 5],
    [2, 0],
    [2, 1],
  ]);
  const device = openDevice("cpu");
  const model = await loadModel(device, base);
  const batch = packBatch(
    rows.map(({ prompt_ids, ids }) => ({
      ids: [...prompt_ids, ...ids],
      weight: 0,
      isTarget: (index: number) => index >= prompt_ids.length,
    })),
  );
  const { logp } = logprobs(model, batch);
  for (const [i, row] of rows.entries()) {
    const from = batch.cuSeqlens[i]! + row.prompt_ids.length - 1;
    expect(row.logp).toHaveLength(row.ids.length);
    for (const [t, own] of row.logp.entries()) expect(own).toBeCloseTo(logp[from + t]!, 4);
    const [a, b] = row.question.split("+").map(Number);
    expect(row.gold).toBe(String(a! + b!));
    const right = row.verdict === "right";
    expect(row.parts.accuracy).toBe(right ? 1 : 0);
    if (right) expect(row.completion).toContain(row.gold);
    expect(row.reward).toBeCloseTo(row.parts.accuracy! + 0.5 * row.parts.length!, 12);
  }
  device.close();
  const right = rows.filter(({ verdict }) => verdict === "right").length;
  expect(right).toBeGreaterThan(0);
  expect(right).toBeLessThan(72);
  expect(result.metrics["sample/pass_rate"]).toBeCloseTo(right / 72, 12);
  expect(result.outputs).toEqual({ samples: join(dir, files[0]!), pool: join(dir, files[1]!) });
}, 60_000);

test("batches_of_any_size_and_engines_of_any_size_give_the_same_rows", async () => {
  const { dir } = await run("fives");
  const other = await run("sevens", {
    engine: { questions: 7, max_sequences: 9, cache_tokens: 1024, prefill_tokens: 40 },
  });
  for (const file of files) expect(text(other.dir, file)).toBe(text(dir, file));
  const more = await run("more", { sampling: { n: 6, max_tokens: 24 }, seed: 1 });
  expect(text(more.dir, files[0]!)).not.toBe(text(dir, files[0]!));
}, 60_000);

test("an_interrupted_run_goes_on_to_the_rows_of_the_unbroken_one", async () => {
  const whole = await run("unbroken");
  const first = await run("broken", {}, { stopAt: 5 });
  expect(first.result).toMatchObject({ status: "interrupted", step: 5 });
  const resumeFrom = join(first.dir, "checkpoints", "step-000005");
  // What a kill leaves that comes after a batch's first rows and before its mark.
  for (const file of files) appendFileSync(join(first.dir, file), '{"step":6,"id":"half"}\n{"step":6,"i');
  const second = await run("broken", {}, { resumeFrom });
  expect(second.result).toEqual({
    ...whole.result,
    outputs: { samples: join(second.dir, files[0]!), pool: join(second.dir, files[1]!) },
  });
  for (const file of files) expect(text(second.dir, file)).toBe(text(whole.dir, file));
}, 60_000);

test("a_run_whose_questions_have_changed_is_not_resumed", async () => {
  const file = join(root, "growing.jsonl");
  const write = (n: number) =>
    writeFileSync(
      file,
      Array.from({ length: n }, (_, i) => `{"question":"1+${i}","answer":${1 + i}}\n`).join(""),
    );
  const set = { task: { file, template: "{question}=" }, prompts: {} };
  write(20);
  const { dir } = await run("growing", set, { stopAt: 5 });
  const resumeFrom = join(dir, "checkpoints", "step-000005");
  const before = text(dir, "samples.jsonl");
  write(30);
  await expect(run("growing", set, { resumeFrom })).rejects.toMatchObject({
    code: "sample_inputs_changed",
    exitCode: 3,
    what: expect.stringContaining("5 of 18 questions or outputs were done, and now there are 27"),
  });
  expect(text(dir, "samples.jsonl")).toBe(before);
  write(20);
  expect((await run("growing", set, { resumeFrom })).result.step).toBe(18);
}, 60_000);

test("rejection_sampling_writes_right_outputs_alone_and_measures_all", async () => {
  const all = await run("kept-all");
  const { dir, result } = await run("kept-right", { keep: "correct" });
  const right = rowsOf(all.dir).filter(({ verdict }) => verdict === "right");
  expect(rowsOf(dir)).toEqual(right);
  expect(text(dir, "pool.jsonl")).toBe(text(all.dir, "pool.jsonl"));
  expect(result.metrics).toEqual({ ...all.result.metrics, "sample/kept": right.length });
}, 60_000);

test("a_run_that_keeps_nothing_leaves_an_empty_file_and_says_so", async () => {
  const { dir, result, events } = await run("kept-none", { keep: { rewards: { accuracy: { min: 2 } } } });
  expect(result.metrics["sample/kept"]).toBe(0);
  expect(text(dir, "samples.jsonl")).toBe("");
  expect(warningsOf(events)).toContainEqual(expect.stringContaining("no output passes `keep`"));
}, 60_000);

test("figures_of_a_question_and_of_the_run_by_hand", () => {
  const row = (verdict: SampleRow["verdict"], tokens: number, reward: number | null, finish = "stop") =>
    ({
      ...{ verdict, reward, finish, parts: { accuracy: reward ?? 9 } },
      ids: Array.from({ length: tokens }, () => 1),
    }) as unknown as SampleRow;
  const some = [row("right", 3, 1), row("wrong", 5, 0), row("unread", 8, 0.25, "length")];
  const fault = { ...row("right", 4, null), fault: "threw: no" };
  const all = [row("right", 2, 1), fault];
  const none = [row("wrong", 1, 0), row("unread", 1, 0)];
  const tally: Record<string, number> = {};
  for (const [rows, kept] of [
    [some, 1],
    [all, 2],
    [none, 0],
    [[row("wrong", 1, 0)], 0],
  ] as const)
    for (const [name, value] of Object.entries(tallyQuestion(rows, kept)))
      tally[name] = (tally[name] ?? 0) + value;
  expect(outputMetrics(tally)).toEqual({
    "sample/questions": 4,
    "sample/outputs": 8,
    "sample/kept": 3,
    "sample/pass_rate": 3 / 8,
    "sample/unread_share": 2 / 8,
    "sample/faults": 1,
    "sample/solved_once_share": 2 / 4,
    "sample/never_solved_share": 2 / 4,
    "sample/always_solved_share": 1 / 4,
    "completion/length_mean": 25 / 8,
    "completion/truncated_share": 1 / 8,
    // Of the seven outputs that could be scored.
    "reward/mean": 2.25 / 7,
    "reward/accuracy": 2.25 / 7,
  });
  // Five calls of four outputs, two of which failed; an output without calls counts, too.
  const called = (...failed: boolean[]) => ({
    ...row("right", 2, 1),
    calls: failed.map((f) => ({ failed: f })),
  });
  const rows = [called(true, false, false), called(true, false), called(), row("right", 2, 1)];
  expect(outputMetrics(tallyQuestion(rows as unknown as SampleRow[], 4))).toMatchObject({
    "tools/calls_mean": 5 / 4,
    "tools/failed_share": 2 / 5,
  });
});

interface PoolRow {
  id: string;
  question: string;
  n: number;
  right: number;
  unread: number;
  pass_rate: number;
  tokens_mean: number;
}

test.each([
  ["addition", 1],
  ["countdown", 3],
])(
  "a_pool_of_%s_is_a_file_of_problems_that_a_task_filters_by_pass_rate",
  async (family, difficulty) => {
    const { dir } = await run(`pool-${family}`, {
      task: { family, difficulty, template: "{question}=" },
      prompts: { questions: 20 },
    });
    const file = join(dir, "pool.jsonl");
    const pool = readJsonl<PoolRow>(file);
    const rows = rowsOf(dir);
    expect(pool).toHaveLength(20);
    for (const p of pool) {
      const own = rows.filter(({ id }) => id === p.id);
      const right = own.filter(({ verdict }) => verdict === "right").length;
      const unread = own.filter(({ verdict }) => verdict === "unread").length;
      expect([p.n, p.right, p.unread, p.pass_rate]).toEqual([6, right, unread, right / 6]);
      expect(p.tokens_mean).toBeCloseTo(own.reduce((sum, { ids }) => sum + ids.length, 0) / 6, 9);
    }
    const questions = (range?: object) => {
      const config = parseConfig(
        grpoSchema,
        { init: { checkpoint: "none" }, task: { file, template: "{question}=", pass_rate: range } } as never,
        "test",
      );
      const asking = {
        encode: (t: string) => [...t].map((c) => c.charCodeAt(0)),
        maxSeqLen: 99,
        log: () => {},
      };
      const source = makeProblems(config, asking);
      const numbers = (n: number) => Array.from({ length: n }, (_, i) => i);
      return [
        ...numbers(source.trainCount).map(source.train),
        ...numbers(source.heldOutCount).map(source.heldOut),
      ];
    };
    expect(questions()).toHaveLength(20);
    const max = family === "addition" ? 0.5 : 0;
    const wanted = pool.filter(({ pass_rate: rate }) => rate <= max).map(({ id }) => id);
    const found = questions({ max });
    expect(new Set(found.map(({ id }) => id))).toEqual(new Set(wanted));
    const row = rows.find(({ id }) => id === found[0]!.id)!;
    expect(found[0]).toMatchObject({ question: row.question, answer: row.gold });
    expect(found[0]!.countdown).toEqual(row.countdown);
    expect(found[0]!.answerForm).toBe(row.answer_form);
    expect(() => questions({ min: 0.999, max: 0.9991 })).toThrow(expect.objectContaining({ exitCode: 3 }));
  },
  60_000,
);

test("settings_that_contradict_each_other_are_refused", async () => {
  const refused = (set: object, what: string) =>
    expect(run("refused", set as never)).rejects.toMatchObject({
      exitCode: 2,
      what: expect.stringContaining(what),
    });
  await refused({ prompts: { from: "steps" } }, "data.files");
  await refused({ data: { files: ["x.jsonl"] } }, "data.files");
  await refused({ sampling: { temperature: 0 } }, "16 outputs");
  await refused({ prompts: { questions: 2 ** 29 }, sampling: { n: 4 } }, "outputs in one run");
});

test("greedy_outputs_and_held_out_questions_can_be_sampled", async () => {
  const greedy = await run("greedy", { sampling: { n: 1, temperature: 0, max_tokens: 24 } });
  expect(rowsOf(greedy.dir)).toHaveLength(12);
  const held = await run("held", { prompts: { questions: 12, split: "heldout" } });
  const asked = new Set(rowsOf(greedy.dir).map(({ id }) => id));
  expect(rowsOf(held.dir).some(({ id }) => asked.has(id))).toBe(false);
}, 60_000);

test("a_task_with_fewer_questions_than_wanted_asks_each_once", async () => {
  const { dir } = await run("few-pool");
  const file = join(dir, "pool.jsonl");
  const again = await run("few", { task: { file, template: "{question}=" }, prompts: { questions: 40 } });
  const ids = rowsOf(again.dir).map(({ id }) => id);
  expect(ids).toHaveLength(11 * 6);
  expect(new Set(ids).size).toBe(11);
  expect(warningsOf(again.events).join()).toContain("the task has 11");
}, 60_000);

test("an_output_that_a_reward_cannot_score_keeps_its_row_and_all_of_them_end_the_run", async () => {
  const custom = (source: string) => {
    const path = join(root, `${source.length}.ts`);
    writeFileSync(path, source);
    return [{ kind: "accuracy" }, { kind: "custom", file: path }];
  };
  const some = await run("some-faults", {
    rewards: custom(
      "export default ({ question }) => { if (question.startsWith('1')) throw new Error('ones'); return 1; }",
    ),
  });
  const faulty = rowsOf(some.dir).filter(({ fault }) => fault !== undefined);
  expect(faulty.length).toBeGreaterThan(0);
  for (const row of faulty) expect([row.reward, row.question[0]]).toEqual([null, "1"]);
  await expect(
    run("all-faults", { rewards: custom("export default () => Number.NaN;") }),
  ).rejects.toMatchObject({ code: "reward_failed", exitCode: 3 });
}, 60_000);

test("the_report_counts_questions_by_pass_rate", () => {
  const rates = [0, 0, 0.05, 0.1, 0.29, 0.3, 0.95, 1, 1, 1];
  const dir = mkdtempSync(join(root, "bars-"));
  writeFileSync(join(dir, "pool.jsonl"), rates.map((pass_rate) => `{"pass_rate":${pass_rate}}\n`).join(""));
  const [section] = sampleStage.sections!(dir);
  expect(section!.rows.filter(([, n]) => n !== 0)).toEqual([
    ["0", 2, "2"],
    ["above 0, below 0.1", 1, "1"],
    ["0.1 to 0.2", 1, "1"],
    ["0.2 to 0.3", 1, "1"],
    ["0.3 to 0.4", 1, "1"],
    ["0.9 to below 1", 1, "1"],
    ["1", 3, "3"],
  ]);
  expect(sampleStage.sections!(root)).toEqual([]);
});

test("a_dry_run_counts_outputs_tokens_and_one_forward", () => {
  const task = (set: Record<string, unknown>) => estimateSample(sampleRecipe(base, set));
  const got = task({ prompts: {}, engine: { max_sequences: 10, cache_tokens: 9999 } });
  // 256 questions of a family, 6 outputs each; 4 tokens of prompt (`3+5=`) and 24 of output.
  expect([got.samples_at_most, got.tokens_at_most]).toEqual([256 * 6, 256 * 6 * 28]);
  expect(got.flops! / trainFlops(readModelConfig(base), 28).actual).toBeCloseTo((256 * 6 * 28) / 3, 3);
  // Two layers, k and v of 2 heads of 24, fp32, for 10 outputs of 28 tokens in two pages of 16.
  expect(got.memory_cache_bytes).toBe(2 * 2 * 48 * 4 * 320);
  const file = join(root, "estimate.jsonl");
  writeFileSync(file, '{"question":"1+1","answer":2}\n'.repeat(30));
  expect(task({ prompts: {}, task: { file } }).samples_at_most).toBe(27 * 6);
  // Compressed, all of it is less than a line.
  writeFileSync(`${file}.gz`, gzipSync(readFileSync(file)));
  expect(task({ prompts: {}, task: { file: `${file}.gz` } }).samples_at_most).toBe(27 * 6);
  expect(task({ prompts: { split: "heldout" }, task: { file } }).samples_at_most).toBe(3 * 6);
  expect(task({ prompts: { questions: 4 }, task: { file } }).samples_at_most).toBe(4 * 6);
});
