// Repository tasks: patches as answers, the files that the tests' process never holds, and the family of repairs.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { needs } from "../../core/test/needs.ts";
import {
  bubblewrapState,
  makeFamily,
  readProblems,
  runUnitTests,
  taskSchema,
  testedProgram,
} from "../src/index.ts";
import { applyPatch, patchBlocks, writeBlock } from "../src/protocol/patch.ts";
import { pyodideState } from "../src/sandbox/pyodide.ts";

const { usable, why } = bubblewrapState();
const root = mkdtempSync(join(tmpdir(), "nsa-repositories-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));

const files = {
  "shop/__init__.py": "",
  "shop/price.py":
    'import json\n\nRATES = json.load(open("rates.json"))\n\n\ndef price(name, count):\n    return RATES[name]\n',
  "rates.json": '{"tea": 3, "cake": 5}\n',
};
const record = {
  task_id: "shop/1",
  question: "price(name, count) must give the price of all `count` items.",
  files,
  setup: "from shop.price import price",
  tests: ["assert price('tea', 1) == 3", "assert price('cake', 4) == 20", "assert price('tea', 0) == 0"],
};
const fix = writeBlock("shop/price.py", "    return RATES[name]", "    return count * RATES[name]");

test("blocks_are_read_with_their_paths_in_and_out_of_fences", () => {
  const text = `I change two files.

**shop/a.py**
\`\`\`python
<<<<<<< SEARCH
x = 1
=======
x = 2
y = 3
>>>>>>> REPLACE
<<<<<<< SEARCH
z
=======
>>>>>>> REPLACE
\`\`\`
# shop/b.py:
<<<<<<< SEARCH
=======
new
>>>>>>> REPLACE
`;
  expect(patchBlocks(text)).toEqual([
    { path: "shop/a.py", search: ["x = 1"], replace: ["x = 2", "y = 3"] },
    { path: "shop/a.py", search: ["z"], replace: [] },
    { path: "shop/b.py", search: [], replace: ["new"] },
  ]);
  expect(patchBlocks("a.py\n<<<<<<< SEARCH\nx\n=======\ny\n")).toEqual({
    fault: "a block of the patch does not end",
  });
});

test("a_patch_changes_whole_lines_that_stand_once_and_writes_new_files", () => {
  const old = { "a.py": "x = 1\nxx = 1\ny = 1\ny = 1\nz = 1" };
  const patched = (...blocks: string[]) => applyPatch(old, blocks.join("\n"));
  // `x = 1` is a part of `xx = 1` and of no other line.
  expect(patched(writeBlock("a.py", "x = 1", "x = 5\nw = 6"))).toEqual({
    files: { "a.py": "x = 5\nw = 6\nxx = 1\ny = 1\ny = 1\nz = 1" },
  });
  expect(patched(writeBlock("a.py", "y = 1\nz = 1", "z = 7"), writeBlock("a.py", "y = 1", "y = 8"))).toEqual({
    files: { "a.py": "x = 1\nxx = 1\ny = 8\nz = 7" },
  });
  const added = "b/c.py\n<<<<<<< SEARCH\n=======\nnew = 1\n>>>>>>> REPLACE";
  expect(patched(added)).toEqual({ files: { ...old, "b/c.py": "new = 1\n" } });
  for (const [block, fault] of [
    [writeBlock("a.py", "y = 1", "y = 2"), "the lines to be found stand 2 times in a.py, not once"],
    [writeBlock("a.py", "x  = 1", "x = 2"), "the lines to be found stand 0 times in a.py, not once"],
    [writeBlock("b.py", "x", "y"), "there is no file b.py"],
    [added.replace("b/c.py", "a.py"), "a block without lines to be found would write over a.py"],
    [writeBlock("../a.py", "x", "y"), '"../a.py" is no path inside the repository'],
    [writeBlock("/etc/passwd", "x", "y"), '"/etc/passwd" is no path inside the repository'],
    [writeBlock("", "x", "y"), '"" is no path inside the repository'],
    ["no block", "it holds no patch"],
  ] as const)
    expect(patched(block), block).toEqual({ fault });
  // One block that cannot be applied spoils all.
  expect(patched(writeBlock("a.py", "z = 1", "z = 2"), writeBlock("a.py", "q", "r"))).toHaveProperty("fault");
  const many = Array.from({ length: 64 }, (_, i) => added.replace("b/c", `b/c${i}`));
  expect(patched(...many)).toEqual({ fault: "the repository would have more than 64 files" });
});

function problemOf(changed: object = {}) {
  const file = join(root, "tasks.jsonl");
  writeFileSync(file, `${JSON.stringify({ ...record, ...changed })}\n`);
  const task = taskSchema.parse({ name: "shop", files: [file], layout: "repository", prompt: "{question}" });
  return readProblems(task, root)[0]!;
}

async function failuresOf(answer: string, options = {}, problem = problemOf()): Promise<string[]> {
  const program = testedProgram(answer, problem);
  if ("fault" in program) return [program.fault];
  return (await runUnitTests(program.code, problem.tests!, options)).failures;
}

test("a_record_shows_its_files_and_hides_its_tests", () => {
  const problem = problemOf();
  expect(problem.id).toBe("shop-shop/1");
  expect(problem.question).toContain("shop/price.py\n```\nimport json");
  expect(problem.question).toContain(record.question);
  expect(problem.question).not.toContain("assert");
  for (const changed of [
    { files: { "../x.py": "" } },
    { files: ["x"] },
    { files: { "x.py": 1 } },
    { tests: [] },
  ])
    expect(() => problemOf(changed)).toThrow(/no record of the layout repository/);
});

needs(usable, why)("a_patched_repository_is_judged_by_its_hidden_tests", async () => {
  expect(await failuresOf(`<think>\nwrong.py\n</think>\n${fix}\n`)).toEqual(["", "", ""]);
  const missed = await failuresOf(fix.replace("count *", "4 *"));
  expect(missed.map((failure) => failure === "")).toEqual([false, true, false]);
  expect(await failuresOf(`<think>\n${fix}`)).toEqual(["its thought does not end"]);
  expect(await failuresOf("```python\ndef price(name, count): return 3\n```")).toEqual(["it holds no patch"]);
  // What does not import fails every test.
  const broken = await failuresOf(fix.replace("count *", "(count *"));
  expect(broken.every((failure) => failure !== "")).toBe(true);
});

needs(usable, why)("a_patch_that_attacks_its_judge_earns_nothing", async () => {
  const always = "class Any(int):\n    def __eq__(self, other):\n        return True\n\n";
  for (const attack of [
    `${writeBlock("shop/price.py", "import json", `import json\n${always}`)}\n${fix.replace("count * RATES[name]", "Any(7)")}`,
    writeBlock("shop/price.py", "import json", "import builtins, json\nbuiltins.AssertionError = None"),
    `json.py\n<<<<<<< SEARCH\n=======\nloads = load = lambda *a: True\n>>>>>>> REPLACE`,
    writeBlock("shop/price.py", "import json", "import json, os\nos._exit(0)"),
  ]) {
    const failures = await failuresOf(attack);
    expect(
      failures.some((failure) => failure !== ""),
      attack,
    ).toBe(true);
  }
});

const portable = pyodideState();
needs(portable.usable, portable.why)(
  "a_repository_is_the_same_in_pyodide",
  async () => {
    const options = { backend: "pyodide", limits: { timeoutMs: 30_000, cpuSeconds: 30 } };
    expect(await failuresOf(fix, options)).toEqual(["", "", ""]);
    const missed = await failuresOf(fix.replace("count *", "4 *"), options);
    expect(missed.map((failure) => failure === "")).toEqual([false, true, false]);
  },
  120_000,
);

test("splits_of_repairs_are_disjoint_and_deterministic", () => {
  const make = (split: "train" | "heldout") => makeFamily("repairs", { difficulty: 2, seed: 1, split });
  const [train, held] = [make("train"), make("heldout")];
  for (let i = 0; i < 200; i++) {
    expect(train.isHeldOut(train.problem(i).question)).toBe(false);
    expect(train.isHeldOut(held.problem(i).question)).toBe(true);
    expect(make("train").problem(i)).toEqual(train.problem(i));
  }
});

needs(usable, why)("right_repairs_pass_and_careless_ones_do_not", async () => {
  const family = makeFamily("repairs", { difficulty: 3, seed: 5, split: "train" });
  const verbs = new Set<string>();
  for (let i = 0; i < 8; i++) {
    const problem = family.problem(i);
    verbs.add(/must (\w+)/.exec(problem.question)![1]!);
    expect(problem.tests).toHaveLength(20);
    const answer = (slip: boolean) => family.calls!(problem, () => 0, slip)[0]!.text;
    expect(
      (await failuresOf(answer(false), {}, problem)).filter((f) => f !== ""),
      problem.question,
    ).toEqual([]);
    expect(
      (await failuresOf(answer(true), {}, problem)).some((f) => f !== ""),
      problem.question,
    ).toBe(true);
    // The repository as it is does not pass.
    const untouched = writeBlock("main.py", "def total(x):", "def total(x):");
    expect((await failuresOf(untouched, {}, problem)).some((f) => f !== "")).toBe(true);
  }
  expect(verbs.size).toBeGreaterThan(1);
});
