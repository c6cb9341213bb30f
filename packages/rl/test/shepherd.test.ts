// Labels of steps by roll-outs (Math-Shepherd): where steps end, labels by hand, roll-outs from the very tokens of a step's end.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readJsonl } from "@nsa/core";
import { Tokenizer } from "@nsa/data";
import { singleRank } from "@nsa/kernels";
import type { Engine, GenerateRequest } from "@nsa/model";
import { afterAll, beforeAll, expect, test } from "vitest";
import { estimateSample, makeScorer, runSample } from "../src/index.ts";
import { stepEnds } from "../src/rewards/step-rules.ts";
import { stepWork } from "../src/stages/sample/rollouts.ts";
import { alignSteps, labelSteps } from "../src/stages/sample/steps.ts";
import { makeBase, runStage, warningsOf } from "./grpo-fixture.ts";
import { sampleRecipe } from "./sample-fixture.ts";

const root = mkdtempSync(join(tmpdir(), "nsa-shepherd-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));
let base = "";
let tokenizer: Tokenizer;
beforeAll(async () => {
  base = await makeBase(root);
  tokenizer = Tokenizer.load(join(base, "tokenizer.json"));
}, 120_000);

test("lines_are_steps_and_blank_lines_belong_to_the_line_before_them", () => {
  expect(stepEnds("a\nbc\n\nd")).toEqual([2, 6, 7]);
  expect(stepEnds("\n\na\nb\n")).toEqual([4, 6]);
  expect(stepEnds("  x \n  \n y")).toEqual([8, 10]);
  expect(stepEnds("one line")).toEqual([8]);
  expect(stepEnds(" \n\n ")).toEqual([]);
  expect(stepEnds("")).toEqual([]);
});

test("steps_of_the_file_are_taken_as_they_are_and_the_rest_is_the_last_step", () => {
  expect(stepEnds("1+2=3, 3+4=7. So 7", [{ end: 12 }, { end: 5 }, { end: 5 }])).toEqual([5, 12, 18]);
  expect(stepEnds("a\nb", [{ end: 3 }])).toEqual([3]);
  expect(stepEnds("a\nb  ", [{ end: 1 }, { end: 3 }])).toEqual([1, 5]);
});

test("a_step_that_ends_inside_of_a_token_reaches_to_the_tokens_end", () => {
  // Tokens: "ab", "c\nd", "e", end of text without characters.
  const steps = alignSteps("abc\nde", [1, 4, 6], [2, 5, 6, 6]);
  expect(steps).toEqual([
    { text: "ab", end: 2, token: 0 },
    { text: "c\nd", end: 5, token: 1 },
    { text: "e", end: 6, token: 3 },
  ]);
  // Two steps in one token are one.
  expect(alignSteps("abcd", [1, 2, 4], [3, 4])).toEqual([
    { text: "abc", end: 3, token: 0 },
    { text: "d", end: 4, token: 1 },
  ]);
});

test("labels_by_hand", () => {
  const steps = ["a", "b", "c", "d"].map((text, token) => ({ text, end: token + 1, token }));
  const labels = (own: "right" | "wrong" | "unread") =>
    labelSteps(
      steps,
      [
        ["right", "wrong", "right", "unread", "right"],
        ["wrong", "wrong", "right", "unread", "unread"],
        ["wrong", "unread", "wrong", "wrong", "wrong"],
      ],
      own,
    ).map(({ hard, soft, n }) => [hard, soft, n]);
  expect(labels("right")).toEqual([
    [1, 0.6, 5],
    [1, 0.2, 5],
    [0, 0, 5],
    [1, 1, 1],
  ]);
  expect(labels("wrong")[3]).toEqual([0, 0, 1]);
  expect(labels("unread")[3]).toEqual([0, 0, 1]);
});

/** A row of samples.jsonl as an earlier run wrote it. */
function row(id: string, question: string, gold: string, completion: string, verdict: string, more = {}) {
  const prompt = `${question}=`;
  const ids = [...tokenizer.encode(completion), ...tokenizer.eosIds.slice(0, 1)];
  return {
    ...{ step: 1, output: 0, id, question, gold, prompt, completion, finish: "stop", verdict },
    ...{ prompt_ids: tokenizer.encode(prompt), ids, logp: ids.map(() => -1), answer_form: "number" },
    ...more,
  };
}

function write(name: string, rows: readonly object[]): string {
  const path = join(root, name);
  writeFileSync(path, rows.map((r) => `${JSON.stringify(r)}\n`).join(""));
  return path;
}

test("roll_outs_go_on_from_the_tokens_of_each_step_and_label_it", async () => {
  const file = write("two.jsonl", [
    row("a", "2+3+4", "9", "2+3=5\n5+4=9\n<answer>9</answer>", "right"),
    row("b", "1+1", "2", "3", "wrong"),
    row("c", "1+6", "7", "1+6=8\n8", "wrong", { steps: [{ end: 3 }] }),
  ]);
  const config = sampleRecipe(base, {
    prompts: { from: "steps", rollouts: 3 },
    data: { files: [file] },
    sampling: { max_tokens: 90 },
  });
  const asked: GenerateRequest[] = [];
  // By the step that is continued: what the model writes.
  const script: Record<string, string[]> = {
    "2+3+4=2+3=5\n": ["5+4=9\n<answer>9</answer>", "5+4=8\n<answer>8</answer>", "?"],
    "2+3+4=2+3=5\n5+4=9\n": ["<answer>8</answer>", "9", "<answer> 9 </answer>"],
    "1+6=1+6": ["=7\n<answer>7</answer>", "=6\n<answer>6</answer>", "<answer>7</answer>"],
  };
  const engine = {
    model: { config: { vocabSize: 300, maxSeqLen: 64 } },
    generate: (requests: readonly GenerateRequest[]) =>
      requests.map((r) => {
        asked.push(r);
        return script[tokenizer.decode(Array.from(r.prompt))]!.map((text) => ({
          ids: tokenizer.encode(text),
        }));
      }),
  } as unknown as Engine;
  const scorer = await makeScorer(config.rewards, {} as never);
  const work = stepWork({
    config,
    engine,
    tokenizer,
    scorer,
    log: () => {},
    interrupted: () => false,
    collectives: singleRank,
  });
  expect(work.total).toBe(3);
  const one = (await work.batch(0, 1))!;
  const two = (await work.batch(1, 2))!;
  const labels = [...one.rows, ...two.rows].map((r) => {
    const { id, steps, step } = r as unknown as {
      id: string;
      step: number;
      steps: { text: string; end: number; hard: number; soft: number; n: number }[];
    };
    return [step, id, steps.map(({ text, end, hard, soft, n }) => [text, end, hard, soft, n])];
  });
  expect(labels).toEqual([
    [
      1,
      "a",
      [
        ["2+3=5\n", 6, 1, 1 / 3, 3],
        ["5+4=9\n", 12, 1, 1 / 3, 3],
        ["<answer>9</answer>", 30, 1, 1, 1],
      ],
    ],
    [2, "b", [["3", 1, 0, 0, 1]]],
    [
      3,
      "c",
      [
        ["1+6", 3, 1, 2 / 3, 3],
        ["=8\n8", 7, 0, 0, 1],
      ],
    ],
  ]);
  // Each roll-out has random numbers of its own, in the upper half of the numbers.
  expect(asked.map(({ id, n }) => [id - 2 ** 30, n])).toEqual([
    [0, 3],
    [3, 3],
    [6, 3],
  ]);
  // What the output's steps have left of its 90 tokens.
  const questions = ["2+3+4=", "2+3+4=", "1+6="].map((text) => tokenizer.encode(text).length);
  expect(asked.map((r, i) => r.maxTokens + r.prompt.length - questions[i]!)).toEqual([90, 90, 90]);
  expect(work.metrics({ ...one.tally })).toMatchObject({ "steps/count": 3, "steps/rollouts": 6 });
  const sum = { ...two.tally };
  for (const [name, value] of Object.entries(one.tally)) sum[name] = (sum[name] ?? 0) + value;
  expect(work.metrics(sum)).toMatchObject({
    "steps/outputs": 3,
    "steps/per_output": 2,
    "steps/hard_share": 4 / 6,
    "steps/soft_mean": (1 / 3 + 1 / 3 + 1 + 0 + 2 / 3 + 0) / 6,
    "sample/pass_rate": 4 / 9,
  });
  expect(estimateSample(config)).toMatchObject({ samples_at_most: 9, tokens_at_most: 9 * (4 + 90) });
});

const label = (name: string, file: string, set: object = {}, options: object = {}) =>
  runStage(
    root,
    name,
    runSample,
    sampleRecipe(base, {
      prompts: { from: "steps", rollouts: 4 },
      data: { files: [file] },
      sampling: { max_tokens: 24 },
      ...set,
    }),
    options,
  );

test("a_run_labels_what_an_earlier_run_sampled_whatever_the_batches_and_also_when_resumed", async () => {
  const set = { rewards: [{ kind: "accuracy" }, { kind: "custom", file: join(root, "halves.ts") }] };
  writeFileSync(
    join(root, "halves.ts"),
    "export default ({ completion: c }) => ({ steps: c.length > 3 ? [{ end: c.length >> 1, reward: 1 }] : [] });",
  );
  const { dir } = await runStage(root, "earlier", runSample, sampleRecipe(base, set));
  const file = join(dir, "samples.jsonl");
  const whole = await label("labels", file, { engine: { questions: 20 } });
  const rows = readJsonl<{ steps: { n: number; soft: number }[] }>(join(whole.dir, "samples.jsonl"));
  expect(rows).toHaveLength(72);
  expect(rows.some(({ steps }) => steps.some(({ n, soft }) => n === 4 && soft > 0 && soft < 1))).toBe(true);
  const broken = await label("broken", file, { engine: { questions: 7 } }, { stopAt: 14 });
  expect(broken.result.status).toBe("interrupted");
  await label(
    "broken",
    file,
    { engine: { questions: 9 } },
    { resumeFrom: join(broken.dir, "checkpoints", "step-000014") },
  );
  const text = (folder: string) => readFileSync(join(folder, "samples.jsonl"), "utf8");
  expect(text(broken.dir)).toBe(text(whole.dir));
}, 60_000);

test("outputs_that_cannot_be_continued_are_left_out_or_refused_with_their_place", async () => {
  const good = row("a", "2+3", "5", "5\n5", "right");
  const long = row("l", "2+3", "5", "5\n".repeat(13), "wrong");
  const some = await label("some", write("some.jsonl", [good, row("e", "2+3", "5", " ", "unread"), long]));
  expect(some.result.step).toBe(1);
  expect(warningsOf(some.events).join()).toContain(
    "left out: 1 without text, 1 longer than sampling.max_tokens",
  );
  const refused = (name: string, rows: object[], code: string, what: RegExp, exitCode = 3) =>
    expect(label(name, write(`${name}.jsonl`, rows))).rejects.toMatchObject({
      code,
      exitCode,
      what: expect.stringMatching(what),
    });
  await refused("none", [row("e", "2+3", "5", "\n", "unread")], "no_usable_output", /none.jsonl/);
  await refused("field", [good, { ...good, ids: [1, "x"] }], "sample_row_invalid", /field.jsonl:2/);
  await refused("other", [{ ...good, completion: "6\n6" }], "tokenizer_mismatch", /other.jsonl:1/);
  await refused("large", [{ ...good, ids: [300] }], "tokenizer_mismatch", /large.jsonl:1/);
  await refused("tests", [{ ...good, tests: ["assert f()"] }], "sample_tests_unscored", /problem a/, 2);
}, 60_000);
