// The reward of programming tasks: the program that an output is, or a repository with its patch, judged by the problem's unit tests in the sandbox.
import { type Gold, type ProgramOptions, requireSandbox, runUnitTests, testedProgram } from "@nsa/tasks";
import { perOutput, type RewardKind } from "./kind.ts";

/**
 * 1 when every test passes, else 0; an output without a program or patch that applies, or with an unfinished thought, earns nothing.
 * Throws for a problem without tests: its outputs cannot be scored.
 */
export async function codeReward(
  completion: string,
  gold: Pick<Gold, "tests" | "starter" | "repository">,
  options: ProgramOptions,
): Promise<number> {
  const { tests = [] } = gold;
  if (tests.length === 0) throw new Error("the problem has no tests");
  const program = testedProgram(completion, gold);
  if ("fault" in program) return 0;
  const { passed, total } = await runUnitTests(program.code, tests, options);
  return passed === total ? 1 : 0;
}

export const code: RewardKind = {
  name: "code",
  open({ timeoutMs, unsafeExec }, { interrupted }) {
    requireSandbox({ unsafeExec });
    const options = { limits: { timeoutMs }, unsafeExec };
    return perOutput((s) => codeReward(s.completion, s, options), interrupted);
  },
};
