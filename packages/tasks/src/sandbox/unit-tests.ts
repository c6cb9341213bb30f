// Code judged by unit tests: the reward of programming tasks.
import { judgeProgram } from "./judge.ts";
import type { ProgramOptions, ProgramResult } from "./limits.ts";
import { runProgram } from "./run-program.ts";

/** Python statements (e.g. asserts), or what a program must print for what it reads from stdin. */
export type UnitTest = string | { input: string; output: string };

export interface UnitTestResult {
  passed: number;
  total: number;
  /** Why each test failed; empty for one that passed. */
  failures: string[];
  /** How the program ended; tests after a crash or a limit count as failed. */
  program: ProgramResult;
}

/** Printed text as it is compared: without blanks at the ends of lines, and without empty lines at the end. */
function printed(text: string): string {
  return text.replace(/[^\S\n]+$/gm, "").trimEnd();
}

/**
 * Judges code by tests that it has no access to: statements run in a process of their own, where a call of the code's
 * functions is a request to the process of the code; of a test of input and output the program gets the input alone. A test
 * of statements fails by raising. Values are compared by Python's own `==` on plain data (so `True == 1` and `1 == 1.0`
 * hold); an object of the program's fails a test that does more with it than docs/design/evaluation.md lists. Throws
 * NsaError as {@link judgeProgram}.
 */
export async function runUnitTests(
  code: string,
  tests: readonly UnitTest[],
  options: ProgramOptions = {},
): Promise<UnitTestResult> {
  const failures = tests.map(() => "");
  let program: ProgramResult | undefined;
  const at = tests.flatMap((test, i) => (typeof test === "string" ? [i] : []));
  if (at.length > 0) {
    const judged = await judgeProgram(
      code,
      at.map((i) => tests[i] as string),
      options,
    );
    for (const [k, i] of at.entries()) failures[i] = judged.failures[k]!;
    program = judged.program;
  }
  for (const [i, test] of tests.entries()) {
    if (typeof test === "string") continue;
    const run = await runProgram(code, { ...options, stdin: test.input });
    if (run.status !== "ok") failures[i] = `${run.status}: ${run.why}`;
    else if (printed(run.stdout) !== printed(test.output)) failures[i] = "it printed something else";
    if (program === undefined || program.status === "ok") program = run;
  }
  const passed = failures.filter((why) => why === "").length;
  return { passed, total: tests.length, failures, program: program ?? (await runProgram(code, options)) };
}
