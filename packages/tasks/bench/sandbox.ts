// How long a program takes to start in the sandbox, what judging it in two processes adds, and what sixteen at once leave behind.
import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { atLeast, atMost, type BenchResult, describeMachine } from "@nsa/core";
import { runProgram, runUnitTests } from "../src/index.ts";
import { descendants } from "./support/descendants.ts";

const RUNS = 30;
const AT_ONCE = 16;
const ROUNDS = 5;

const ADD = "def add(a, b):\n    return a + b\n";
const TESTS = ["assert add(2, 3) == 5", "assert add(10, -4) == 6", "assert add([1], [2]) == [1, 2]"];

const quantile = (xs: number[], q: number) =>
  [...xs].sort((a, b) => a - b)[Math.min(xs.length - 1, Math.floor(xs.length * q))]!;
const descriptors = () => readdirSync("/proc/self/fd").length;
const folders = () => readdirSync(tmpdir()).filter((name) => name.startsWith("nsa-program-")).length;

/** Milliseconds of program and tests in one process, and in two that exchange calls, in turn. */
async function judgedCost(): Promise<{ one: number[]; two: number[]; paid: number }> {
  const [one, two]: number[][] = [[], []];
  let paid = 0;
  await runUnitTests(ADD, TESTS);
  for (let i = 0; i < RUNS; i++) {
    one!.push((await runProgram(`${ADD}${TESTS.join("\n")}`)).milliseconds);
    const from = performance.now();
    paid += (await runUnitTests(ADD, TESTS)).passed;
    two!.push(performance.now() - from);
  }
  return { one: one!, two: two!, paid };
}

async function run(): Promise<BenchResult> {
  await runProgram("print(1)");
  const alone: number[] = [];
  const bare: number[] = [];
  for (let i = 0; i < RUNS; i++) {
    alone.push((await runProgram("print(1)")).milliseconds);
    const from = performance.now();
    spawnSync("/usr/bin/python3", ["-c", "print(1)"], { env: {} });
    bare.push(performance.now() - from);
  }
  const before = { descriptors: descriptors(), folders: folders(), processes: descendants().length };
  const together: number[] = [];
  let right = 0;
  for (let round = 0; round < ROUNDS; round++) {
    const start = performance.now();
    const codes = Array.from(
      { length: AT_ONCE },
      (_, i) => `open('/tmp/x', 'x').write('a' * 1000)\nprint(${i})`,
    );
    const results = await Promise.all(
      codes.map((code) => runProgram(code, { limits: { timeoutMs: 20_000 } })),
    );
    together.push(performance.now() - start);
    right += results.filter((r, i) => r.stdout === `${i}\n`).length;
  }
  const judged = await judgedCost();
  // Some end badly: a flood, a sleeper, a fork that outlives its parent.
  const bad = [
    "while True: print('x' * 999)",
    "import time; time.sleep(9)",
    "import os\nif os.fork() == 0:\n  import time; time.sleep(9)",
  ];
  await Promise.all(bad.map((code) => runProgram(code, { limits: { timeoutMs: 1000 } })));
  await new Promise((resolve) => setTimeout(resolve, 200));
  const left =
    Math.max(0, descriptors() - before.descriptors) +
    Math.max(0, folders() - before.folders) +
    Math.max(0, descendants().length - before.processes);
  return {
    name: "sandbox",
    machine: describeMachine(),
    figures: {
      start_ms_fastest: Math.min(...alone),
      start_ms_median: quantile(alone, 0.5),
      bare_python_ms_median: quantile(bare, 0.5),
      start_ms_p90: quantile(alone, 0.9),
      tests_in_one_process_ms_median: quantile(judged.one, 0.5),
      judged_in_two_processes_ms_median: quantile(judged.two, 0.5),
      judging_adds_ms_fastest: Math.min(...judged.two) - Math.min(...judged.one),
      sixteen_at_once_ms: quantile(together, 0.5),
      programs_at_once: AT_ONCE,
    },
    ratios: { sandbox_over_bare_python: quantile(alone, 0.5) / quantile(bare, 0.5) },
    bars: [
      atMost("median milliseconds from start to end of print(1)", quantile(alone, 0.5), 60),
      atMost(
        "median milliseconds that judging in two processes adds",
        quantile(judged.two, 0.5) - quantile(judged.one, 0.5),
        40,
      ),
      atLeast("tests passed by a right program", judged.paid, RUNS * TESTS.length),
      atLeast("right outputs of 5 × 16 programs at once", right, ROUNDS * AT_ONCE),
      atMost("descriptors, folders and processes left behind", left, 0),
    ],
  };
}

export default {
  name: "sandbox",
  about: "start time of model-written programs, cost of judging them, sixteen at once, leaks",
  run,
};
