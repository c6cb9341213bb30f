// The reward of programming tasks: the last program of an output, judged by the problem's unit tests in the sandbox.
import { type ProgramOptions, programOf, requireSandbox, runUnitTests, type UnitTest } from "@nsa/tasks";
import { perOutput, type RewardKind } from "./kind.ts";

/**
 * 1 when every test passes, else 0; an output without a program, or with an unfinished thought, earns nothing.
 * Throws for a problem without tests: its outputs cannot be scored.
 */
export async function codeReward(
  completion: string,
  tests: readonly UnitTest[],
  options: ProgramOptions,
  starter?: string,
): Promise<number> {
  if (tests.length === 0) throw new Error("the problem has no tests");
  const code = programOf(completion, starter);
  if (code === undefined) return 0;
  const { passed, total } = await runUnitTests(code, tests, options);
  return passed === total ? 1 : 0;
}

export const code: RewardKind = {
  name: "code",
  open({ timeoutMs, unsafeExec }) {
    requireSandbox({ unsafeExec });
    return perOutput((s) =>
      codeReward(s.completion, s.tests ?? [], { limits: { timeoutMs }, unsafeExec }, s.starter),
    );
  },
};
