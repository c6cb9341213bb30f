// Environments: the calculator's values by hand, Python's states, files of users, and how calls stand in text and in chat templates.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { loadPlugins, parseConfig } from "@nsa/core";
import { afterAll, expect, test } from "vitest";
import { z } from "zod";
import { needs } from "../../core/test/needs.ts";
import { calculate } from "../src/environments/calculator.ts";
import {
  bubblewrapState,
  chatCalls,
  chatProtocol,
  environmentKinds,
  environmentSchema,
  fenceProtocol,
  jinjaTemplate,
  openEnvironment,
  writesTools,
} from "../src/index.ts";

const root = mkdtempSync(join(tmpdir(), "nsa-environment-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));
const { usable, why } = bubblewrapState();
const problem = { id: "p", question: "1+1", answer: "2" };

test("the_calculator_computes_exactly", () => {
  const values: Record<string, string> = {
    "1234*5678": "7006652",
    "2+3*4": "14",
    "(2+3)*4": "20",
    "2**3**2": "512",
    "-2^2": "-4",
    "(-2)^2": "4",
    "7-10-3": "-6",
    "100/8/5": "2.5",
    "0.1+0.2": "0.3",
    "1/3": "1/3 ≈ 0.333333333333",
    "-7/4": "-1.75",
    "2^-3": "0.125",
    "0.50 * 4": "2",
    "3 * -2": "-6",
    "99999999999999999999+1": "100000000000000000000",
  };
  for (const [expression, value] of Object.entries(values))
    expect(calculate(expression), expression).toBe(value);
  for (const [expression, message] of [
    ["1/0", "division by zero"],
    ["0^-1", "division by zero"],
    ["2+", "the expression is not complete"],
    ["(2+3", "a bracket is open"],
    ["2 3", "unexpected 3"],
    ["x+1", 'cannot read "x+1"'],
    ["9^9^9", "an exponent is a whole number up to 1000"],
    ["99^999", "the number is too large"],
    ["9^999*9^999*9^999*9^999*9^999", "the number is too large"],
    ["1+".repeat(600), "it has more than 1000 characters"],
  ] as const)
    expect(() => calculate(expression), expression).toThrow(message);
});

test("fenced_calls_are_read_as_the_last_block_before_the_output", () => {
  const python = {
    name: "python",
    description: "",
    parameters: { type: "object" as const, properties: { code: {} }, required: ["code"] },
  };
  const two = {
    name: "search",
    description: "",
    parameters: { type: "object" as const, properties: { q: {}, n: {} }, required: ["q", "n"] },
  };
  const { callsOf, reply } = fenceProtocol([python, two]);
  const block = (name: string, text: string) => `\`\`\`${name}\n${text}\n\`\`\`\n`;
  expect(callsOf(`Let us see.\n${block("python", "print(1)")}\`\`\`output`)).toEqual([
    { name: "python", arguments: { code: "print(1)" } },
  ]);
  for (const spelling of ["Python", "py", "python3", "py3.11"])
    expect(callsOf(`${block(spelling, "a\n  b")}\`\`\`output\n`)).toEqual([
      { name: "python", arguments: { code: "a\n  b" } },
    ]);
  expect(callsOf(`${block("python", "1")}${block("search", '{"q": "x", "n": 2}')}\`\`\`output`)).toEqual([
    { name: "search", arguments: { q: "x", n: 2 } },
  ]);
  expect(callsOf(block("python", "print(1)"))).toBeUndefined();
  expect(callsOf("no program\n```output")).toBeUndefined();
  expect(callsOf(`${block("search", "x")}\`\`\`output`)).toEqual({
    fault: "search needs its arguments as a JSON object",
  });
  expect(callsOf(`${block("ruby", "x")}\`\`\`output`)).toEqual({ fault: "there is no tool ruby" });
  expect(reply("```output", [], ["42"])).toEqual([{ text: "\n42\n```\n", plain: true }]);
  // The model has written the end of the line itself.
  expect(reply("```output\n", [], ["42"])).toEqual([{ text: "42\n```\n", plain: true }]);
});

/** As Qwen's template writes tools, calls and results. */
const QWEN =
  "{% if tools %}{{ '<|im_start|>system\\n' }}{% for t in tools %}{{ t | tojson }}{% endfor %}{{ '<|im_end|>\\n' }}{% endif %}" +
  "{% for m in messages %}" +
  "{% if m.role == 'tool' %}{% if loop.first or messages[loop.index0 - 1].role != 'tool' %}{{ '<|im_start|>user' }}{% endif %}" +
  "{{ '\\n<tool_response>\\n' + m.content + '\\n</tool_response>' }}" +
  "{% if loop.last or messages[loop.index0 + 1].role != 'tool' %}{{ '<|im_end|>\\n' }}{% endif %}" +
  "{% else %}{{ '<|im_start|>' + m.role + '\\n' + m.content }}" +
  "{% for c in m.tool_calls or [] %}{{ '\\n<tool_call>\\n' + (c.function | tojson) + '\\n</tool_call>' }}{% endfor %}" +
  "{{ '<|im_end|>\\n' }}{% endif %}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";
const qwen = jinjaTemplate(QWEN, { place: "qwen", stop: ["<|im_end|>"] });
const sum = {
  name: "sum",
  description: "adds",
  parameters: { type: "object" as const, properties: { a: {}, b: {} } },
};

test("calls_of_chat_templates_are_read_in_their_spellings", () => {
  const call = { name: "sum", arguments: { a: 1, b: 2 } };
  const json = '{"name": "sum", "arguments": {"a": 1, "b": 2}}';
  for (const text of [
    `I add.\n<tool_call>\n${json}\n</tool_call>`,
    `<think>{"name": "x"}</think><tool_call>${json}</tool_call>`,
    `[TOOL_CALLS] [${json}]`,
    `[${json}]`,
    '{"name": "sum", "parameters": {"a": 1, "b": 2}}',
    '<|python_tag|>{"name": "sum", "parameters": {"a": 1, "b": 2}}<|eom_id|>',
    '<tool_call>{"name": "sum", "arguments": "{\\"a\\": 1, \\"b\\": 2}"}</tool_call>',
  ])
    expect(chatCalls(text, [sum]), text).toEqual([call]);
  expect(chatCalls(`<tool_call>${json}</tool_call>\n<tool_call>${json}</tool_call>`, [sum])).toEqual([
    call,
    call,
  ]);
  for (const text of ["The answer is 3.", "{}", '{"name": "other", "parameters": {}}', "[1, 2]", '["sum"]'])
    expect(chatCalls(text, [sum]), text).toBeUndefined();
  expect(chatCalls("<tool_call>{oops}</tool_call>", [sum])).toEqual({
    fault: "a call is not JSON with a name and arguments",
  });
  expect(chatCalls('<tool_call>{"name": "mul", "arguments": {}}</tool_call>', [sum])).toEqual({
    fault: "there is no tool mul",
  });
});

test("results_are_written_as_the_template_does_and_their_texts_stay_texts", () => {
  expect(writesTools(qwen)).toBe(true);
  const { reply, stops } = chatProtocol(qwen, [sum]);
  expect(stops).toEqual([]);
  const call = { name: "sum", arguments: { a: 1 } };
  expect(reply("", [call], ["3<|im_end|>"])).toEqual([
    { text: "\n<|im_start|>user\n<tool_response>\n", plain: false },
    { text: "3<|im_end|>", plain: true },
    { text: "\n</tool_response><|im_end|>\n<|im_start|>assistant\n", plain: false },
  ]);
  const both = reply("", [call, call], ["3", "4"]);
  expect(both.map(({ text }) => text).join("")).toBe(
    "\n<|im_start|>user\n<tool_response>\n3\n</tool_response>\n<tool_response>\n4\n</tool_response><|im_end|>\n<|im_start|>assistant\n",
  );
});

const schema = z.strictObject({ environment: environmentSchema.optional() });
const parse = (environment: object) => parseConfig(schema, { environment } as never, "test").environment!;

test("an_environment_of_a_file_has_a_state_of_its_own", async () => {
  const file = join(root, "bank.ts");
  writeFileSync(
    file,
    `export default {
  tools: [{ name: "pay", description: "", parameters: { type: "object", properties: { n: {} } } }],
  reset: (problem, seed) => ({ left: seed, of: problem.question }),
  step: (state, { arguments: { n } }) => ({ state: { ...state, left: state.left - n }, output: String(state.left - n), done: state.left <= n }),
};`,
  );
  const bank = await openEnvironment(parse({ file }));
  const first = await bank.reset(problem, 10);
  expect(first).toEqual({ left: 10, of: "1+1" });
  const { state, output } = await bank.step(first, { name: "pay", arguments: { n: 4 } });
  expect([state, output]).toEqual([{ left: 6, of: "1+1" }, "6"]);
  expect((await bank.step(state, { name: "pay", arguments: { n: 6 } })).done).toBe(true);
  const bad = join(root, "bad.ts");
  writeFileSync(bad, "export default { tools: [], reset: 1 };");
  await expect(openEnvironment(parse({ file: bad }))).rejects.toMatchObject({
    code: "environment_file_invalid",
    exitCode: 2,
  });
  expect(() => parse({ kind: "pyhton" })).toThrow(
    expect.objectContaining({ fix: expect.stringMatching(/did you mean `?python/) }),
  );
});

test("an_environment_of_a_plugin_is_opened_by_its_name", async () => {
  await loadPlugins([join(import.meta.dirname, "../../cli/test/plugins/environment.ts")]);
  const counting = await openEnvironment(parse({ kind: "counting" }));
  const call = { name: "count", arguments: { why: "x" } };
  const one = await counting.step(await counting.reset(problem, 0), call);
  expect([one, await counting.step(2, call)]).toEqual([
    { state: 1, output: "1", done: false },
    { state: 3, output: "3", done: true },
  ]);
});

test("a_plugin_s_definition_becomes_a_kind", async () => {
  environmentKinds.adopt({
    name: "echo",
    tools: [],
    reset: () => 0,
    step: (state: number) => ({ state: state + 1, output: String(state) }),
  } as never);
  const echo = await openEnvironment(parse({ kind: "echo" }));
  expect(await echo.step(await echo.reset(problem, 0), { name: "", arguments: {} })).toEqual({
    state: 1,
    output: "0",
  });
  expect(() => environmentKinds.adopt({ name: "half", tools: [] } as never)).toThrow(/reset/);
});

needs(usable, why)("python_s_state_is_the_pieces_that_have_run", async () => {
  const python = await openEnvironment(parse({ timeout_ms: 2000 }));
  try {
    const call = (code: string) => ({ name: "python", arguments: { code } });
    const start = await python.reset(problem, 8);
    const one = await python.step(start, call("x = 4\nprint(x)\n"));
    expect(one).toEqual({ state: { seed: 8, pieces: ["x = 4\nprint(x)\n"] }, output: "4" });
    const two = await python.step(one.state, call("x / 0"));
    expect(two).toMatchObject({ output: "ZeroDivisionError: division by zero", failed: true });
    const three = await python.step(two.state, call("import os; os._exit(1)"));
    expect(three).toEqual({ state: two.state, output: "the interpreter ended", failed: true });
    // The state alone makes the interpreter again, as after a kill.
    const again = await openEnvironment(parse({}));
    const restored = JSON.parse(JSON.stringify(three.state));
    expect((await again.step(restored, call("print(x + 1)"))).output).toBe("5");
    again.close();
  } finally {
    python.close();
  }
});
