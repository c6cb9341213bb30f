// Runs the program on stdin in the back end that the first argument names and prints what it wrote: a caller with secrets.
import { readFileSync } from "node:fs";
import { runProgram, runUnitTests } from "../src/index.ts";

const backend = process.argv[2] as "bubblewrap" | "pyodide";
const code = readFileSync(0, "utf8");
const limits = { timeoutMs: 40_000, cpuSeconds: 40, outputBytes: 2 ** 22 };
const alone = await runProgram(code, { backend, limits, stdin: "" });
const judged = await runUnitTests(`${code}\ndef f(): return 1`, ["assert f() == 1"], { backend, limits });
process.stdout.write(JSON.stringify([alone, judged.program, { stdout: `judged ${judged.passed}` }]));
