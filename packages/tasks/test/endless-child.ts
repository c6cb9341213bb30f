// Runs an endless program and one that sleeps in the back end that the argument names, for tests that kill their caller.
import { runProgram, runUnitTests, type SandboxBackend } from "../src/index.ts";

const backend = process.argv[2] as SandboxBackend;
const limits = { timeoutMs: 300_000, cpuSeconds: 300, callMs: 300_000 };
await Promise.all([
  runProgram("while True: pass", { backend, limits }),
  runProgram("import time\ntime.sleep(300)", { backend, limits }),
  runUnitTests("def f():\n  while True: pass", ["f()"], { backend, limits }),
]);
