// Programs in answers, and the solved examples that show a base model how to write them.
import { expect, test } from "vitest";
import { needs } from "../../core/test/needs.ts";
import {
  bubblewrapState,
  codeBlocks,
  findTask,
  programPrompt,
  runProgram,
  sameAnswer,
} from "../src/index.ts";

const { usable, why } = bubblewrapState();
const block = (code: string) => `\`\`\`python\n${code}\n\`\`\`\n`;
const sympy = usable && (await runProgram("import sympy")).status === "ok";

test("blocks_of_python_are_found_and_others_left", () => {
  const text = `a ${block("x = 1")} b \`\`\`output\n1\n\`\`\`\n${block("print(x)")}\`\`\`python\nlast`;
  expect(codeBlocks(text)).toEqual(["x = 1", "print(x)", "last"]);
});

test("fences_of_python_are_found_in_every_spelling", () => {
  const spellings = [
    "python",
    "Python",
    "PYTHON",
    "py",
    "python3",
    "py3",
    "python3.11",
    " python ",
    'python title="a"',
  ];
  for (const name of spellings) expect(codeBlocks(`\`\`\`${name}\nx\n\`\`\`\n`), name).toEqual(["x"]);
  for (const name of ["", "pycon", "python-repl", "output", "javascript", "pyx"])
    expect(codeBlocks(`\`\`\`${name}\nx\n\`\`\`\n`), name).toEqual([]);
});

const shots = ["gsm8k", "math"].flatMap((name) => findTask(name).shots);
needs(sympy, usable ? "python3-sympy is not installed" : why).each(
  shots.map((shot) => [shot.question, shot] as const),
)("the_program_of_a_solved_example_prints_its_answer: %s", async (_, shot) => {
  const { status, stdout } = await runProgram(shot.program!, {
    limits: { timeoutMs: 30_000, cpuSeconds: 30 },
  });
  expect(status).toBe("ok");
  // Sympy writes the interval in TeX's way.
  const printed = stdout.trim().replaceAll("\\left", "").replaceAll("\\right", "");
  expect(sameAnswer(printed, shot.answer), `${printed} and ${shot.answer}`).toBe(true);
});

test("prompts_of_programs_show_solved_examples_in_the_format_that_is_asked_for", () => {
  const task = findTask("gsm8k");
  const asked = programPrompt(task, "How many?", "tool", 1);
  expect(asked).toBe(
    `Question: ${task.shots[0]!.question}\nSolve it step by step with Python.\nAnswer:\n` +
      "```python\nrolls = 6 * 12\nprint(rolls - 50)\n```\n```output\n22\n```\nThe answer is \\boxed{22}.\n\n" +
      "Question: How many?\nSolve it step by step with Python.\nAnswer:\n",
  );
  expect(programPrompt(task, "How many?", "pot", 0)).toBe(
    "Question: How many?\nSolve it by a Python program that prints the answer.\nAnswer:\n",
  );
  expect(programPrompt(task, "How many?", "pot", 8).match(/```python/g)).toHaveLength(8);
});
