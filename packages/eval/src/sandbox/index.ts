// Programs that models write: run within limits, judged by unit tests.
export { bubblewrapState } from "./bubblewrap.ts";
export {
  defaultLimits,
  type ProgramLimits,
  type ProgramOptions,
  type ProgramResult,
  type ProgramStatus,
  type SandboxBackend,
} from "./limits.ts";
export { requireSandbox, runProgram } from "./run-program.ts";
export { runUnitTests, type UnitTest, type UnitTestResult } from "./unit-tests.ts";
