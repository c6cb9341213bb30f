// Programming problems: records in the layouts of HumanEval and MBPP, the family of functions, and what of an answer is its program.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { needs } from "../../core/test/needs.ts";
import {
  bubblewrapState,
  makeFamily,
  programOf,
  readProblems,
  runUnitTests,
  taskPrompt,
  taskSchema,
} from "../src/index.ts";

const { usable, why } = bubblewrapState();
const root = mkdtempSync(join(tmpdir(), "nsa-programs-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));

const humaneval = {
  task_id: "HumanEval/900",
  prompt:
    'def double_all(xs):\n    """Doubles each number.\n    >>> double_all([1, 2])\n    [2, 4]\n    """\n',
  entry_point: "double_all",
  canonical_solution: "    return [2 * x for x in xs]\n",
  test: "METADATA = {'author': 'us'}\n\ndef check(candidate):\n    assert candidate([1, 2]) == [2, 4]\n    assert candidate([]) == []\n",
};
const mbpp = {
  task_id: 901,
  text: "Write a function to find the larger of two numbers.",
  test_list: ["assert larger(1, 2) == 2", "assert larger(5, 3) == MOST"],
  challenge_test_list: ["assert larger(-1, -2) == -1"],
  test_setup_code: "MOST = 5",
};

function problemOf(layout: string, record: object) {
  const file = join(root, `${layout}.jsonl`);
  writeFileSync(file, `${JSON.stringify(record)}\n`);
  const task = taskSchema.parse({ name: layout, files: [file], layout, prompt: "{question}" });
  return { task, problem: readProblems(task, root)[0]! };
}
const program = (text: string) => `Here it is:\n\`\`\`python\n${text}\n\`\`\`\n`;

needs(usable, why)("humaneval_s_records_are_judged_by_their_check", async () => {
  const { task, problem } = problemOf("humaneval", humaneval);
  expect(problem.id).toBe("humaneval-HumanEval/900");
  expect(taskPrompt(task, problem, 0)).toBe(humaneval.prompt);
  // A body that goes on behind the head, a whole function in a block, a wrong body, and one that only checks what the text shows.
  for (const [answer, passed] of [
    [humaneval.canonical_solution, 1],
    [program("def double_all(xs):\n    return [x + x for x in xs]"), 1],
    ["    return xs\n", 0],
    ["    return [2, 4]\n", 0],
  ] as const) {
    const code = programOf(answer, problem.starter)!;
    expect((await runUnitTests(code, problem.tests!)).passed, answer).toBe(passed);
  }
});

needs(usable, why)("mbpp_s_records_are_judged_by_shown_and_hidden_asserts", async () => {
  const { problem } = problemOf("mbpp", mbpp);
  expect(problem.question).toContain("larger(1, 2) == 2");
  expect(problem.question).not.toContain("-1");
  const judge = async (text: string) =>
    (await runUnitTests(programOf(program(text))!, problem.tests!)).failures;
  expect(await judge("def larger(a, b):\n    return max(a, b)")).toEqual(["", "", ""]);
  const shownAlone = await judge("def larger(a, b):\n    return 2 if a == 1 else 5");
  expect(shownAlone.map((f) => f === "")).toEqual([true, true, false]);
});

test("records_of_another_layout_are_named", () => {
  expect(() => problemOf("mbpp", humaneval)).toThrow(/no record of the layout mbpp/);
  expect(() => problemOf("humaneval", { prompt: "x" })).toThrow(/no record of the layout humaneval/);
});

test("an_answer_s_program_is_its_last_block_or_what_continues_the_head", () => {
  expect(programOf("no program")).toBeUndefined();
  expect(programOf("<think>\n```python\nx\n```\n")).toBeUndefined();
  expect(programOf(`<think>${program("a")}</think>${program("b")}`)).toBe("b");
  expect(programOf("    return 1", "def f():\n")).toBe("def f():\n    return 1");
});

needs(usable, why)("functions_pass_their_own_hidden_tests_and_careless_ones_do_not", async () => {
  const family = makeFamily("functions", { difficulty: 2, seed: 5, split: "train" });
  for (let i = 0; i < 4; i++) {
    const problem = family.problem(i);
    expect(problem.tests).toHaveLength(5);
    const of = (slip: boolean) => family.calls!(problem, () => 0, slip)[0]!.text;
    expect((await runUnitTests(of(false), problem.tests!)).passed, problem.question).toBe(5);
    expect((await runUnitTests(of(true), problem.tests!)).passed, problem.question).toBeLessThan(5);
    expect(problem.question).not.toContain("assert");
  }
});
