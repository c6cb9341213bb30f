// Programs in answers: found, run, their outputs fed back. The generator is a script, the sandbox is real.
import { expect, test } from "vitest";
import { needs } from "../../core/test/needs.ts";
import {
  bubblewrapState,
  codeBlocks,
  type ProtocolOptions,
  runProgram,
  runProtocol,
  type TurnRequest,
} from "../src/index.ts";

const { usable, why } = bubblewrapState();
const locked = needs(usable, why);
const block = (code: string) => `\`\`\`python\n${code}\n\`\`\`\n`;

/** Gives each transcript its lines in turn and notes what it was asked. */
function scripted(lines: string[][]) {
  const asked: TurnRequest[] = [];
  const generate: ProtocolOptions["generate"] = (requests) =>
    requests.map((r) => {
      asked.push(r);
      const text = lines[r.index]![r.turn] ?? "";
      return { text, tokens: text.length, logp: -1, finish: "stop" };
    });
  return { asked, generate };
}

const options = (
  format: "pot" | "tool",
  generate: ProtocolOptions["generate"],
  changes: Partial<ProtocolOptions> = {},
) => ({
  format,
  generate,
  run: (code: string) => runProgram(code),
  maxTokens: 1000,
  maxTurns: 3,
  stop: ["\nQuestion:"],
  parallel: 2,
  ...changes,
});

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

locked("a_program_of_thought_answers_by_its_last_line", async () => {
  const { generate } = scripted([
    [`${block("print('so')\nprint(6 * 7)")}\nQuestion: more`],
    ["no program"],
    [block("1/0")],
  ]);
  const [good, none, bad] = await runProtocol(["p", "p", "p"], options("pot", generate));
  expect(good).toMatchObject({ programAnswer: "42", text: block("print('so')\nprint(6 * 7)") });
  expect(none).toMatchObject({ programAnswer: "", programs: [] });
  expect(bad!.programs[0]).toMatchObject({ status: "error", why: "ZeroDivisionError: division by zero" });
});

locked("outputs_are_fed_back_and_names_live_on", async () => {
  const { generate, asked } = scripted([
    [
      `First. ${block("x = 20\nprint(x)")}\`\`\`output`,
      `Then. ${block("print(x + 1)")}`,
      "The answer is \\boxed{21}.",
    ],
  ]);
  const [t] = await runProtocol(["Q "], options("tool", generate));
  expect(t!.text).toBe(
    `First. ${block("x = 20\nprint(x)")}\`\`\`output\n20\n\`\`\`\nThen. ${block("print(x + 1)")}\`\`\`output\n21\n\`\`\`\nThe answer is \\boxed{21}.`,
  );
  expect(t!.programs.map((p) => p.status)).toEqual(["ok", "ok"]);
  expect(asked[1]!.text.startsWith("Q First.")).toBe(true);
  expect(asked[1]!.text.endsWith("```output\n20\n```\n")).toBe(true);
  const firstLine = `First. ${block("x = 20\nprint(x)")}\`\`\`output`;
  expect(asked[1]!.maxTokens).toBe(1000 - firstLine.length);
});

locked("errors_are_fed_back_and_turns_end", async () => {
  const line = `${block("undefined_name")}\`\`\`output`;
  const { generate, asked } = scripted([[line, line, line, line, line]]);
  const [t] = await runProtocol(["Q "], options("tool", generate));
  expect(t!.programs).toHaveLength(3);
  expect(asked).toHaveLength(4);
  expect(t!.text).toContain("NameError: name 'undefined_name' is not defined");
  expect(t!.programAnswer).toBe("");
});
