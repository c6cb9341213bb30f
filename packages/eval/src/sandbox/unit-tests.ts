// Code judged by unit tests: the reward of programming tasks.
import type { ProgramOptions, ProgramResult } from "./limits.ts";
import { runProgram } from "./run-program.ts";

export interface UnitTestResult {
  passed: number;
  total: number;
  /** How the run ended; tests after a crash or a limit count as failed. */
  program: ProgramResult;
}

/** Runs the code once and every test (Python statements, e.g. asserts) after it; a test fails by raising. */
export async function runUnitTests(
  code: string,
  tests: readonly string[],
  options: ProgramOptions = {},
): Promise<UnitTestResult> {
  // Results leave behind a mark made for this run: printing "passed" earns nothing. Code that searches its own
  // interpreter for the mark could still find it, so a reward should also look at programs that pass everything.
  const mark = `result-${crypto.randomUUID()}`;
  const harness = `
import json as _json, sys as _sys
_out = _sys.stdout
_space = {"__name__": "solution"}
exec(compile(open("/program/solution.py").read() if __import__("os").path.exists("/program/solution.py") else open("solution.py").read(), "solution.py", "exec"), _space)
for _test in _json.loads(${JSON.stringify(JSON.stringify(tests))}):
    try:
        exec(_test, dict(_space))
        _ok = 1
    except BaseException:
        _ok = 0
    print("${mark}", _ok, file=_out, flush=True)
`;
  const program = await runProgram(harness, { ...options, files: { ...options.files, "solution.py": code } });
  const results = program.stdout.split("\n").filter((line) => line.startsWith(mark));
  const passed = results.filter((line) => line === `${mark} 1`).length;
  return { passed: Math.min(passed, tests.length), total: tests.length, program };
}
