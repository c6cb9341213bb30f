// `pnpm fuzz <target> [--seconds 60] [--seed 1]`: inputs by grammar and by mutation against a reader, in a process that is watched.
//
// A fault is a raw error (no NsaError), the end of the process, an input over its time, or one that never ends. The process is then
// started again behind it. `pnpm fuzz` without a target takes all of them in turn. `--show N` prints input N. With `--planted` a check is
// left out of each reader (support/fuzz/plants.mjs), and the first fault ends its turn: every target must find one.
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import { atLeast, atMost, type BenchResult, describeMachine } from "@nsa/core";
import { inputOf } from "./support/fuzz/inputs.ts";
import { fuzzTargets } from "./support/fuzz/targets.ts";

/** How often a process is looked at, and how often it may have used little of the processor since its input began: a busy machine. */
const CHECK_MS = 15_000;
const MAX_CHECKS = 40;
const MAX_FAULTS = 20;
const PLANTS = join(import.meta.dirname, "support/fuzz/plants.mjs");

export interface FuzzOptions {
  seconds: number;
  seed: number;
  /** Leaves a check out of the reader, and ends at the first fault. */
  planted?: boolean;
}

export interface FuzzTally {
  target: string;
  seed: number;
  planted: boolean;
  inputs: number;
  faults: string[];
  /** MiB of the process at its tenth input and at most. */
  memory: { early: number; most: number };
}

/** What a process has used of the processor, milliseconds; 0 where the system does not report it. */
function processorMs(pid: number): number {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return 10 * (Number(fields[11]) + Number(fields[12]));
  } catch {
    return 0;
  }
}

interface Stint {
  /** The input that was being read at the end, or the next one. */
  n: number;
  end?: string;
}

const mostFaults = ({ planted }: FuzzTally) => (planted ? 1 : MAX_FAULTS);

/** One process from input `first` on, until the time that is left is over or it ends. The time counts from its first input on. */
function stint(target: string, first: number, left: { ms: number }, tally: FuzzTally): Promise<Stint> {
  const folder = mkdtempSync(join(tmpdir(), "nsa-fuzz-"));
  const words = [
    "--conditions=nsa-source",
    "--import",
    import.meta.resolve("tsx"),
    ...(tally.planted ? ["--import", pathToFileURL(PLANTS).href] : []),
    join(import.meta.dirname, "support/fuzz-main.ts"),
  ];
  const child = spawn(process.execPath, [...words, target, String(tally.seed), String(first), folder], {
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, NSA_FUZZ_PLANT: tally.planted ? target : "" },
  });
  const most = mostFaults(tally);
  let [n, end, errors] = [first, undefined as string | undefined, ""];
  let over = false;
  let from: number | undefined;
  child.stderr.on("data", (text: Buffer) => {
    errors = (errors + text.toString()).slice(-500);
  });
  let hang: NodeJS.Timeout | undefined;
  const limit = CHECK_MS / 2 + fuzzTargets[target]!.limitMs;
  const watch = () => {
    clearTimeout(hang);
    const before = processorMs(child.pid!);
    const check = (checks: number) => {
      // Before its first input a process is being loaded.
      const spent = from === undefined ? 0 : processorMs(child.pid!) - before;
      if (spent < limit && checks < MAX_CHECKS) hang = setTimeout(() => check(checks + 1), CHECK_MS);
      else {
        end = "has no end";
        child.kill("SIGKILL");
      }
    };
    check(0);
  };
  watch();
  createInterface({ input: child.stdout }).on("line", (line) => {
    const message = JSON.parse(line) as { n: number; rss?: number; fault?: string };
    from ??= performance.now();
    watch();
    if (message.fault) tally.faults.push(`input ${message.n}: ${message.fault}`);
    else {
      n = message.n;
      tally.inputs++;
      const mib = Math.round((message.rss ?? 0) / 2 ** 20);
      if (n - first === 10 && tally.memory.early === 0) tally.memory.early = mib;
      tally.memory.most = Math.max(tally.memory.most, mib);
    }
    if (performance.now() - from > left.ms || tally.faults.length >= most) {
      over = true;
      child.kill("SIGKILL");
    }
  });
  return new Promise((resolve) =>
    child.on("close", (code, signal) => {
      clearTimeout(hang);
      left.ms -= performance.now() - (from ?? performance.now());
      rmSync(folder, { recursive: true, force: true });
      resolve({ n, end: over ? undefined : (end ?? `ended the process (${signal ?? code}): ${errors}`) });
    }),
  );
}

/** Fuzzes one target for so many seconds. */
export async function fuzz(
  target: string,
  { seconds, seed, planted = false }: FuzzOptions,
): Promise<FuzzTally> {
  const tally: FuzzTally = { target, seed, planted, inputs: 0, faults: [], memory: { early: 0, most: 0 } };
  const left = { ms: 1000 * seconds };
  for (let next = 0; left.ms > 0 && tally.faults.length < mostFaults(tally); ) {
    const { n, end } = await stint(target, next, left, tally);
    if (end) tally.faults.push(`input ${n} ${end}`);
    next = n + 1;
  }
  return tally;
}

/** What follows the name of the command. */
function given(): FuzzOptions & { targets: string[]; show?: number } {
  const { values, positionals } = parseArgs({
    args: JSON.parse(process.env.NSA_BENCH_ARGS ?? "[]") as string[],
    allowPositionals: true,
    options: {
      seconds: { type: "string", default: "60" },
      seed: { type: "string", default: "1" },
      show: { type: "string" },
      planted: { type: "boolean", default: false },
      json: { type: "boolean" },
    },
  });
  const { seconds, seed, show, planted } = values;
  return {
    targets: positionals,
    ...{ seconds: Number(seconds), seed: Number(seed), planted },
    ...(show === undefined ? {} : { show: Number(show) }),
  };
}

async function run(): Promise<BenchResult> {
  const { targets: named, show, ...options } = given();
  const unknown = named.find((name) => !(name in fuzzTargets));
  if (unknown !== undefined)
    throw new Error(`there is no target ${unknown}: ${Object.keys(fuzzTargets).join(", ")}`);
  if (show !== undefined && named[0])
    process.stderr.write(inputOf(fuzzTargets[named[0]]!.build, options.seed, show));
  const tallies: FuzzTally[] = [];
  for (const target of named.length > 0 ? named : Object.keys(fuzzTargets)) {
    const tally = await fuzz(target, options);
    console.error(JSON.stringify(tally));
    tallies.push(tally);
  }
  // A process that reads no input has found nothing.
  const found = tallies.filter(({ inputs, faults }) => inputs > 0 && faults.length > 0).length;
  return {
    name: "fuzz",
    machine: describeMachine(),
    figures: Object.fromEntries(tallies.map((t) => [`inputs_${t.target}`, t.inputs])),
    ratios: {},
    bars: [
      atLeast("targets", tallies.length, 1),
      options.planted
        ? atLeast("targets that find what was planted", found, tallies.length)
        : atMost(
            "raw errors, ends of the process and inputs over their time",
            tallies.reduce((n, t) => n + t.faults.length, 0),
            0,
          ),
    ],
  };
}

export default {
  name: "fuzz",
  about:
    "inputs by grammar and by mutation against eleven readers: no raw error, no end of the process, none over its time",
  run,
};
