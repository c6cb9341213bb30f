// Questions of a run: shares of a mix, splits that stay apart, records from files, and those that cannot be asked.
import { mkdirSync, mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseConfig } from "@nsa/core";
import { findTemplate } from "@nsa/tasks";
import { expect, test } from "vitest";
import { grpoSchema } from "../src/stages/grpo/config.ts";
import { goldFields, goldOf } from "../src/stages/sample/rows.ts";
import { withChatStops } from "../src/task/chat.ts";
import { makeProblems } from "../src/task/problems.ts";

const warnings: string[] = [];
const asking = {
  encode: (text: string) => [...text].map((c) => c.charCodeAt(0)),
  maxSeqLen: 800,
  log: (text: string) => void warnings.push(text),
};

const source = (seed: number) =>
  makeProblems(
    parseConfig(
      grpoSchema,
      {
        seed,
        init: { checkpoint: "none" },
        task: {
          mix: [
            { family: "addition", difficulty: 2, share: 0.9 },
            { family: "addition", difficulty: 3, share: 0.1 },
          ],
        },
      } as never,
      "test",
    ),
    asking,
  );

test("parts_of_a_mix_keep_their_shares_in_every_hundred_questions", () => {
  const { train } = source(1);
  for (const from of [0, 100, 700]) {
    const parts = Array.from({ length: 100 }, (_, i) => train(from + i).part);
    expect(parts.filter((part) => part === "addition_3")).toHaveLength(10);
  }
});

test("a_problem_depends_on_its_number_alone_and_held_out_ones_not_on_the_seed", () => {
  const [late, early] = [source(1), source(1)];
  const last = late.train(50);
  const all = Array.from({ length: 51 }, (_, i) => early.train(i));
  expect(all[50]).toEqual(last);
  expect(source(2).train(50)).not.toEqual(last);
  expect(source(2).heldOut(7)).toEqual(source(1).heldOut(7));
  const held = new Set(Array.from({ length: 200 }, (_, i) => early.heldOut(i).question));
  expect(all.some((p) => held.has(p.question))).toBe(false);
});

const dir = mkdtempSync(join(tmpdir(), "nsa-problems-"));

test("a_recipe_may_say_how_its_questions_are_answered", () => {
  const file = join(dir, "forms.jsonl");
  const rows = [1, 2, 3, 4].map((i) => `${JSON.stringify({ question: `${i}+1`, answer: i + 1 })}\n`);
  writeFileSync(file, rows.join(""));
  const formOf = (task: object) => ofTask(task).train(0).answerForm;
  expect(formOf({ file })).toBe("value");
  expect(formOf({ file, answer_form: "any" })).toBe("any");
  expect(formOf({ family: "addition" })).toBe("number");
  expect(formOf({ family: "addition", answer_form: "any" })).toBe("any");
  expect(formOf({ family: "countdown", difficulty: 3, answer_form: "number" })).toBe("any");
});

const ofTask = (task: object, maxSeqLen = 800) =>
  makeProblems(
    parseConfig(
      grpoSchema,
      { init: { checkpoint: "none" }, task: { template: "{question}=", ...task } } as never,
      "test",
    ),
    { ...asking, maxSeqLen },
  );
const jsonl = (name: string, rows: object[]) => {
  const path = join(dir, name);
  writeFileSync(path, rows.map((row) => JSON.stringify(row)).join("\n"));
  return path;
};

test("a_tenth_of_a_file_is_held_out_and_never_asked", () => {
  const file = jsonl(
    "plain.jsonl",
    Array.from({ length: 30 }, (_, i) => ({ id: `n${i}`, question: `${i}+0`, answer: i })),
  );
  const problems = ofTask({ file });
  expect(problems.heldOutCount).toBe(3);
  const held = new Set([0, 1, 2].map((i) => problems.heldOut(i).id));
  const asked = Array.from({ length: 60 }, (_, i) => problems.train(i).id);
  expect(new Set(asked).size).toBe(27);
  expect(asked.some((id) => held.has(id))).toBe(false);
  expect(problems.train(0).text).toBe(`${problems.train(0).question}=`);
  expect(ofTask({ file, limit: 10 }).heldOutCount).toBe(1);
  expect(() => ofTask({ file, limit: 1 })).toThrow(expect.objectContaining({ code: "no_usable_problem" }));
});

test("a_task_with_training_records_keeps_its_own_for_the_held_out_questions", () => {
  const rows = (name: string, n: number) =>
    jsonl(
      name,
      Array.from({ length: n }, (_, i) => ({ q: `${name} ${i}`, a: `so\n#### ${i}` })),
    );
  const [train, held] = [rows("train.jsonl", 12), rows("held.jsonl", 5)];
  const task = join(dir, "task.yaml");
  writeFileSync(
    task,
    `name: t\nfiles: [${held}]\nfields: {question: q, answer: a}\nanswer_after: "####"\nprompt: "Q: {question} A:"\n`,
  );
  const problems = ofTask({ task, files: [train], template: "task" });
  expect(problems.heldOutCount).toBe(5);
  expect(problems.heldOut(2)).toMatchObject({ answer: "2", text: "Q: held.jsonl 2 A:" });
  expect(problems.train(3).text).toMatch(/^Q: train.jsonl \d+ A:$/);
});

test("problems_with_unit_tests_need_no_answer", () => {
  const row = (i: number) => ({ question: `write f${i}`, tests: [`assert f${i}() == ${i}`] });
  const problems = ofTask({ file: jsonl("code.jsonl", [row(0), row(1), row(2)]) });
  expect(problems.train(0).tests![0]).toMatch(/^assert f\d/);
});

test("what_an_answer_continues_or_patches_comes_back_from_a_pool", () => {
  const repository = { files: { "a.py": "x = 1\n" }, setup: "from a import x" };
  const asked = { id: "r", question: "x must be 2", answer: "", tests: ["assert x == 2"], repository };
  const headed = {
    id: "s",
    question: "write f",
    answer: "",
    tests: ["assert f() == 2"],
    starter: "def f():\n",
  };
  const rows = [asked, headed].map((gold) => goldFields({ ...gold, text: "", prompt: [] }));
  expect(rows.map(goldOf)).toMatchObject([{ repository }, { starter: headed.starter }]);
  // A row of a pool is such fields with the gold as the answer.
  const pool = rows.map(({ gold, ...fields }) => ({ ...fields, answer: gold }));
  const problems = ofTask({ file: jsonl("pool.jsonl", pool) });
  const both = [problems.train(0), problems.heldOut(0)].sort((a, b) => a.id.localeCompare(b.id));
  expect(both).toMatchObject([{ repository }, { starter: headed.starter }]);
  expect(() =>
    ofTask({ file: jsonl("bad.jsonl", [{ ...pool[0], repository: { files: { "../a": "" } } }]) }),
  ).toThrow(/is not what `nsa sample` writes there/);
});

test("problems_that_cannot_be_asked_or_judged_are_left_out_and_said", () => {
  const long = "x".repeat(300);
  const file = jsonl("odd.jsonl", [
    { id: "a", question: "1+1", answer: 2 },
    { id: "b", question: long, answer: 2 },
    { id: "c", question: "2+1", answer: "\\frac{1}{" },
    { id: "d", question: "3+1", answer: "4" },
  ]);
  warnings.length = 0;
  const problems = ofTask({ file }, 64);
  const ids = [problems.heldOut(0).id, problems.train(0).id, problems.train(1).id];
  expect(new Set(ids)).toEqual(new Set(["a", "d"]));
  expect(warnings).toEqual([
    expect.stringMatching(/2 of 4 problems .* left out; the first is b: a prompt of 301 tokens/),
  ]);
  const hopeless = jsonl("hopeless.jsonl", [
    { question: long, answer: 1 },
    { question: "1+1", answer: "\\frac{1}{" },
  ]);
  expect(() => ofTask({ file: hopeless }, 64)).toThrow(
    expect.objectContaining({
      code: "no_usable_problem",
      exitCode: 3,
      why: expect.stringContaining("301 tokens"),
    }),
  );
  expect(() => ofTask({ family: "addition", template: `${long}{question}` }, 64).train(0)).toThrow(
    expect.objectContaining({ code: "no_usable_problem" }),
  );
  expect(() => ofTask({ file: join(dir, "absent.jsonl") })).toThrow(expect.objectContaining({ exitCode: 3 }));
  const empty = join(dir, "empty");
  mkdirSync(empty);
  expect(() => ofTask({ file: empty })).toThrow(expect.objectContaining({ exitCode: 3 }));
  expect(() => ofTask({ file: jsonl("bad.jsonl", [{ question: "1+1" }]) })).toThrow(
    expect.objectContaining({ code: "task_record_invalid", what: expect.stringContaining("bad.jsonl:1") }),
  );
});

test.each([
  ["chat", (q: string) => q],
  ["chat: Solve {question}\nBriefly.", (q: string) => `Solve ${q}\nBriefly.`],
])("the_template_%s_asks_through_the_checkpoint_s_chat_template", (template, content) => {
  const task = { family: "addition", difficulty: 1, template };
  const config = parseConfig(grpoSchema, { seed: 1, init: { checkpoint: "none" }, task } as never, "test");
  const chat = findTemplate("chatml");
  const problem = makeProblems(config, { ...asking, chat: () => chat }).train(3);
  const message = { role: "user", content: content(problem.question) };
  expect(problem.text).toBe(chat.render([message], true));
  expect(problem.prompt).toEqual(asking.encode(problem.text));
  // What ends a turn ends an output; other templates keep the recipe's stops.
  const stops = withChatStops(config.task, { stop: ["x"] }, () => chat).stop;
  expect(stops).toEqual(["x", "<|im_end|>"]);
  const plain = { ...config.task, template: "{question}=" };
  expect(withChatStops(plain, { stop: ["x"] }, () => chat).stop).toEqual(["x"]);
});
