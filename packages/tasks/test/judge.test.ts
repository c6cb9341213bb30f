// Programs judged by tests that they have no access to: honest ones are paid, and no way of cheating is.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { inParallel, lineSplitter } from "@nsa/core";
import { expect } from "vitest";
import { needs } from "../../core/test/needs.ts";
import { bubblewrapState, runUnitTests, type SandboxBackend, type UnitTestResult } from "../src/index.ts";
import { defaultLimits } from "../src/sandbox/limits.ts";
import { script, startProcess } from "../src/sandbox/process.ts";
import { pyodideState } from "../src/sandbox/pyodide.ts";
import { honestObjects } from "./judged-classes.ts";
import { objectCheats } from "./judged-objects.ts";
import { cheats, honest, type Judged } from "./judged-programs.ts";

const fixture = (name: string) =>
  JSON.parse(readFileSync(join(import.meta.dirname, "fixtures", name), "utf8"));
const hacks = fixture("reward-hacks.json") as { tests: string[]; programs: Record<string, string> };
const greedy = fixture("greedy-programs.json") as Record<string, string>;
const shared = Object.entries({ ...hacks.programs, ...greedy }).map(
  ([name, code]): Judged => ({ name, code, tests: hacks.tests }),
);

const locked = needs(bubblewrapState().usable, bubblewrapState().why);
const portable = needs(pyodideState().usable, pyodideState().why);
const TIME = 300_000;

async function judge(programs: readonly Judged[], backend: SandboxBackend, timeoutMs: number) {
  const results: [string, UnitTestResult][] = [];
  await inParallel(programs, 2, async ({ name, code, tests }) => {
    results.push([name, await runUnitTests(code, tests, { backend, limits: { timeoutMs, callMs: 1500 } })]);
  });
  return results;
}

const unpaid = (results: [string, UnitTestResult][]) =>
  results.flatMap(([name, r]) => (r.passed === r.total ? [] : [[name, r.failures, r.program.stderr]]));

/** A function that every cheat has beside its cheat, and the test of it: passed, so what fails after it fails by itself. */
const CONTROL = "\ndef probe(x): return x + 1\n";
const CONTROL_TEST = "import solution\nassert solution.probe(20) == 21";
/** Programs whose every test is a cheat of its own. */
const ONE_BY_ONE = [
  "a class for a function",
  "an object for a value",
  "a class of classes",
  "a helper in an assertion of its own",
];

const NOT_STARTED = /^(ChannelClosed: the program did not start|NameError: name 'add' is not defined)$/;
/** Cheats that break their own process as they are loaded, so that no control can pass, and why each of their tests fails. */
const BREAKS: Record<string, RegExp> = {
  "json.loads": /^NameError: name 'add' is not defined$/,
  "answers written ahead": /^TypeError: 'bool' object is not callable$/,
  "json, exec, compile and print replaced": /^ChannelClosed: the program has ended$/,
  "the output known from elsewhere": /^it printed something else$/,
  ...Object.fromEntries(
    [
      ...["_out", "mark from the file", "mark from the frame", "results written ahead"],
      ...["memory by /dev", "memory by memfd", "memory by System V", "pyodide: buffers outside the heap"],
    ].map((name) => [name, NOT_STARTED]),
  ),
};

/** Cheats of which a test passes, or whose control fails: in such a run the judge decides nothing. */
async function wronglyJudged(programs: readonly Judged[], backend: SandboxBackend, timeoutMs: number) {
  const controlled = programs.map(({ name, code, tests }) =>
    name in BREAKS
      ? { name, code, tests }
      : { name, code: `${code}${CONTROL}`, tests: [CONTROL_TEST, ...tests] },
  );
  return (await judge(controlled, backend, timeoutMs)).filter(([name, { failures }]) => {
    const breaks = BREAKS[name];
    if (breaks) return !failures.every((why) => breaks.test(why));
    const [control, ...others] = failures;
    // Of several tests a cheat may pass some, as a wrong program may, but not of those that are a cheat each.
    const paid = ONE_BY_ONE.includes(name) ? others.includes("") : others.every((why) => why === "");
    return control !== "" || paid;
  });
}

locked(
  "honest_programs_are_paid",
  async () => {
    expect(unpaid(await judge([...honest, ...honestObjects], "bubblewrap", 20_000))).toEqual([]);
  },
  TIME,
);

locked(
  "no_cheat_is_paid",
  async () => {
    expect(shared).toHaveLength(14);
    const all = [...shared, ...cheats, ...objectCheats];
    expect(await wronglyJudged(all, "bubblewrap", 3000)).toEqual([]);
  },
  TIME,
);

const among = (programs: readonly Judged[], words: string[]) => {
  const found = programs.filter((p) => words.some((word) => p.name.includes(word)));
  expect(found.length).toBeGreaterThanOrEqual(words.length);
  return found;
};

portable(
  "the_portable_sandbox_pays_the_same_programs",
  async () => {
    const some = ["class that the tests", "in place", "read and print", "views, arrays", "number class"];
    expect(unpaid(await judge(among([...honest, ...honestObjects], some), "pyodide", 20_000))).toEqual([]);
    const wrong = [
      "__eq__",
      "tests from the file",
      "answers written ahead",
      "endless flood",
      "nested very deeply",
    ];
    const list = [
      ...among([...shared, ...cheats], wrong),
      ...objectCheats.filter((p) => ONE_BY_ONE.includes(p.name)),
    ];
    expect(await wronglyJudged(list, "pyodide", 5000)).toEqual([]);
  },
  TIME,
);

locked("each_test_counts_by_itself_and_says_why_it_failed", async () => {
  const code = "def f(x):\n  if x == 3: raise KeyError(x)\n  return x + 1";
  const tests = ["assert f(1) == 2", "assert f(2) == 2, 'two'", "f(3)", "assert g(1)", "assert f(", "x = 1"];
  const r = await runUnitTests(code, tests);
  expect([r.passed, r.total, r.program.status]).toEqual([2, 6, "ok"]);
  expect(r.failures.map((why) => why.split(":")[0])).toEqual([
    ...["", "AssertionError", "KeyError", "NameError", "SyntaxError", ""],
  ]);
});

locked("the_process_of_the_tests_stays_until_it_is_stopped", async () => {
  // If it ended by itself, a write to it that comes too late would destroy the channel, and with it what was not read yet.
  const code = ["tagged.py", "names.py", "objects.py", "judge.py"].map(script).join("\n");
  const main = (place: string) => `CHANNEL = ${place}\n${code}`;
  const process = startProcess("bubblewrap", defaultLimits, { files: {}, main });
  let ended = false;
  void process.result.then(() => {
    ended = true;
  });
  const lines: string[] = [];
  const last = new Promise<void>((resolve) => {
    const onLine = (line: string) => {
      lines.push(line);
      if (line === '="end"') resolve();
    };
    process.channel!.setEncoding("latin1").on("data", lineSplitter(onLine));
  });
  process.channel!.write('["assert 1 + 1 == 2", "assert 1 + 1 == 3"]\n"ready"\n');
  await last;
  await new Promise((resolve) => setTimeout(resolve, 1000));
  process.channel!.write("!\n");
  await new Promise((resolve) => setTimeout(resolve, 200));
  expect([ended, lines]).toEqual([false, ['=[0,""]', '=[1,"AssertionError: "]', '="end"']]);
  process.stop("done");
  expect((await process.result).status).toBe("ok");
});

locked("a_call_that_hangs_or_floods_ends_the_program_and_what_was_passed_stays", async () => {
  const code = "def f(x):\n  while x: pass\n  return x\ndef g(): return 'x' * 3000000";
  const hangs = await runUnitTests(code, ["assert f(0) == 0", "f(1)", "assert f(0) == 0"], {
    limits: { callMs: 300 },
  });
  expect([hangs.passed, hangs.program.status]).toEqual([1, "timeout"]);
  expect(hangs.program.why).toBe("a call took more than 300 ms");
  expect(hangs.failures[1]).toBe("ChannelClosed: the program has ended");
  const floods = await runUnitTests(code, ["assert f(0) == 0", "g()"], {
    limits: { answerBytes: 1_000_000 },
  });
  expect([floods.passed, floods.program.status]).toEqual([1, "output"]);
});

locked("a_failure_of_the_process_of_the_tests_is_no_verdict_on_the_program", async () => {
  for (const end of ["os._exit(0)", "os._exit(3)"]) {
    const tests = ["assert f(1) == 2", `import os\n${end}`, "assert f(1) == 2"];
    await expect(runUnitTests("def f(x): return x + 1", tests)).rejects.toMatchObject({
      code: "judge_failed",
      exitCode: 4,
    });
  }
  const limits = { callMs: 300, timeoutMs: 1500 };
  const endless = await runUnitTests("def f(x): return x", ["f(1)", "while True: pass"], { limits });
  expect([endless.passed, endless.program.status]).toEqual([1, "timeout"]);
});

locked("printed_answers_are_compared_by_lines_outside_the_program", async () => {
  const code = "a, b = map(int, input().split())\nprint(a + b)\nif a == 3: raise SystemExit(1)";
  const io = (input: string, output: string) => ({ input, output });
  const tests = [io("1 2", "3"), io("1 2\n", " 3"), io("2 2\n", "4\n\n"), io("3 1", "4"), io("", "")];
  const r = await runUnitTests(code, tests);
  expect(r.failures.map((why) => why === "")).toEqual([true, false, true, false, false]);
  const both = await runUnitTests("def f(): return 1\nprint(2)", ["assert f() == 1", io("", "2")]);
  expect(both.passed).toBe(2);
});
