// Task definitions and their records: clear complaints, and the real files where they are.
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { needs } from "../../core/test/needs.ts";
import { sharedData } from "../../core/test/shared-data.ts";
import {
  findTask,
  grade,
  readProblems,
  readTaskFile,
  taskNames,
  taskPrompt,
  taskSchema,
} from "../src/index.ts";

const dir = mkdtempSync(join(tmpdir(), "nsa-tasks-"));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

function problemsOf(text: string, changes: object = {}) {
  writeFileSync(join(dir, "t.jsonl"), text);
  return readProblems(taskSchema.parse({ name: "t", files: ["t.jsonl"], ...changes }), dir);
}

test("complaints_name_file_and_record", () => {
  const good = '{"question": "1+1?", "answer": 2}\n';
  expect(problemsOf(good)).toEqual([{ id: "t-0", question: "1+1?", answer: "2", answerForm: "value" }]);
  const place = expect.stringMatching(/t\.jsonl:2$/);
  expect(() => problemsOf(`${good}{"question": "x"}\n`)).toThrow(
    expect.objectContaining({ code: "task_record_invalid", what: place }),
  );
  expect(() => problemsOf(`${good}{"question": "", "answer": 1}\n`)).toThrow(
    expect.objectContaining({ what: place }),
  );
  expect(() => problemsOf(`${good}nonsense\n`)).toThrow(
    expect.objectContaining({ code: "data_not_json", what: place }),
  );
  const options = { fields: { options: "options" } };
  const wrong = '{"question": "q", "options": ["a", "b"], "answer": "C"}\n';
  expect(() => problemsOf(wrong, options)).toThrow(/none of its 2 options/);
});

const APPLES = "^([-\\d.,/]+)";
test.each([
  [APPLES, "9 (apples)", "9"],
  [APPLES, "0.75 (hours)", "0.75"],
  [APPLES, "-3 (degrees)", "-3"],
  [APPLES, "2/3", "2/3"],
  [APPLES, "1,250 (people)", "1,250"],
  ["= ?(\\S+)$", "5+4 = 9", "9"],
  ["####\\s*(.+)", "3 + 4 = 7\n#### 7\nand then\n#### 8", "8"],
  ["\\d+", "first 4, then 15 of them", "15"],
  ["Answer: (?:\\w+ )?(\\d+)", "Answer: about 60", "60"],
  ["([A-E])\\)", "It is C)", "C"],
  ["(?<=is )\\p{L}+", "the colour is żółty", "żółty"],
])("answer_pattern_%s_takes_from_%s: %s", (answerPattern, answer, gold) => {
  const record = `${JSON.stringify({ question: "q?", answer })}\n`;
  expect(problemsOf(record, { answerPattern })[0]!.answer).toBe(gold);
});

test("an_answer_pattern_that_matches_nothing_or_is_none_is_an_error", () => {
  const record = '{"question": "q?", "answer": "nine"}\n';
  expect(() => problemsOf(record, { answerPattern: "\\d+" })).toThrow(
    expect.objectContaining({
      code: "task_record_invalid",
      why: expect.stringContaining('"nine"'),
      exitCode: 3,
    }),
  );
  // A group that takes part in no match is no answer either.
  expect(() => problemsOf(record, { answerPattern: "nine(x*)" })).toThrow(/matches nothing/);
  expect(() => taskSchema.parse({ name: "t", files: ["t.jsonl"], answerPattern: "(" })).toThrow(
    /no regular expression/,
  );
});

test("problems_of_one_name_stay_apart", () => {
  const row = (id: string, answer: number) =>
    `{"id": "${id}", "question": "${answer}?", "answer": ${answer}}\n`;
  const problems = problemsOf(row("a", 1) + row("b", 2) + row("a", 3) + row("a", 4));
  expect(problems.map(({ id, answer }) => [id, answer])).toEqual([
    ["a", "1"],
    ["b", "2"],
    ["a (2)", "3"],
    ["a (3)", "4"],
  ]);
});

test("task_files_with_missing_or_unknown_fields_are_refused_with_their_place", () => {
  const file = join(dir, "task.yaml");
  writeFileSync(file, "name: x\nfils: [a.jsonl]\n");
  expect(() => readTaskFile(file)).toThrow(
    expect.objectContaining({ code: expect.stringMatching(/^config_/), exitCode: 2 }),
  );
  expect(() => readTaskFile(join(dir, "no.yaml"))).toThrow(expect.objectContaining({ code: "task_missing" }));
});

test("solved_examples_stand_before_the_problem_and_are_graded_right_themselves", () => {
  for (const name of taskNames) {
    const task = findTask(name);
    for (const shot of task.shots) {
      const text = task.shot.replace("{solution}", shot.solution).replace("{answer}", shot.answer);
      expect(grade(text, shot.answer, { fallback: task.fallback }).verdict, `${name}: ${shot.question}`).toBe(
        "correct",
      );
    }
    const prompt = taskPrompt(task, { question: "QQ" }, 2);
    expect(prompt.split("QQ")).toHaveLength(2);
    for (const shot of task.shots.slice(0, 2))
      expect(prompt.indexOf(shot.question)).toBeGreaterThanOrEqual(0);
  }
});

needs(existsSync(join(sharedData, "math-problems")), `no ${sharedData}`)(
  "every_built_in_task_reads_its_records",
  () => {
    const counts = Object.fromEntries(
      taskNames
        .filter((n) => !["math", "humaneval", "mbpp"].includes(n))
        .map((n) => [n, readProblems(findTask(n), sharedData).length]),
    );
    expect(counts).toMatchObject({
      gsm8k: 1319,
      svamp: 500,
      mawps: 2065,
      aqua: 254,
      cmath: 1098,
      "mmlu-stem": 3018,
      "college-math": 1408,
    });
    expect(counts["mgsm-zh"]).toBe(250);
  },
);
