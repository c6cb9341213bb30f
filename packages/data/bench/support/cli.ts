// Debian's fastText CLI as the baseline: found on the path, run, timed.
import { spawnSync } from "node:child_process";

export const CLI_MISSING = "the fasttext CLI is not installed (apt-get install fasttext)";

export function hasCli(): boolean {
  return spawnSync("fasttext", []).error === undefined;
}

export interface CliRun {
  stdout: string;
  stderr: string;
  seconds: number;
}

export function runCli(args: string[]): CliRun {
  const start = performance.now();
  const run = spawnSync("fasttext", args, { maxBuffer: 1 << 30, encoding: "utf8" });
  if (run.status !== 0) throw new Error(`fasttext ${args[0]}: ${run.stderr}`);
  return { stdout: run.stdout, stderr: run.stderr, seconds: (performance.now() - start) / 1000 };
}
