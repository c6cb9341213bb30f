// `pnpm fuzz <target> [--seconds 60] [--seed 1]`: inputs by grammar and by mutation against a reader, in a process that is watched.
//
// A fault is a raw error (no NsaError), the end of the process, an input over its time, or one that never ends. The process is then
// started again behind it. `pnpm fuzz` without a target takes all of them in turn. `--show N` prints input N.
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { atLeast, atMost, type BenchResult, describeMachine } from "@nsa/core";
import { inputOf } from "./support/fuzz/inputs.ts";
import { fuzzTargets } from "./support/fuzz/targets.ts";

/** An input without an end on a busy machine. */
const HANG_MS = 30_000;
const MAX_FAULTS = 20;

export interface FuzzTally {
  target: string;
  seed: number;
  inputs: number;
  faults: string[];
  /** MiB of the process at its tenth input and at most. */
  memory: { early: number; most: number };
}

interface Stint {
  /** The input that was being read at the end, or the next one. */
  n: number;
  end?: string;
}

/** One process from input `first` on, until the time that is left is over or it ends. The time counts from its first input on. */
function stint(target: string, first: number, left: { ms: number }, tally: FuzzTally): Promise<Stint> {
  const folder = mkdtempSync(join(tmpdir(), "nsa-fuzz-"));
  const words = [
    "--conditions=nsa-source",
    "--import",
    import.meta.resolve("tsx"),
    join(import.meta.dirname, "support/fuzz-main.ts"),
  ];
  const child = spawn(process.execPath, [...words, target, String(tally.seed), String(first), folder], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  let [n, end, errors] = [first, undefined as string | undefined, ""];
  let over = false;
  let from: number | undefined;
  child.stderr.on("data", (text: Buffer) => {
    errors = (errors + text.toString()).slice(-500);
  });
  let hang: NodeJS.Timeout | undefined;
  const limit = HANG_MS + fuzzTargets[target]!.limitMs;
  const watch = () => {
    clearTimeout(hang);
    hang = setTimeout(() => {
      end = "has no end";
      child.kill("SIGKILL");
    }, limit);
  };
  watch();
  createInterface({ input: child.stdout }).on("line", (line) => {
    const message = JSON.parse(line) as { n: number; rss?: number; fault?: string };
    watch();
    from ??= performance.now();
    if (message.fault) tally.faults.push(`input ${message.n}: ${message.fault}`);
    else {
      n = message.n;
      tally.inputs++;
      const mib = Math.round((message.rss ?? 0) / 2 ** 20);
      if (n - first === 10 && tally.memory.early === 0) tally.memory.early = mib;
      tally.memory.most = Math.max(tally.memory.most, mib);
    }
    if (performance.now() - from > left.ms || tally.faults.length >= MAX_FAULTS) {
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
  { seconds, seed }: { seconds: number; seed: number },
): Promise<FuzzTally> {
  const tally: FuzzTally = { target, seed, inputs: 0, faults: [], memory: { early: 0, most: 0 } };
  const left = { ms: 1000 * seconds };
  for (let next = 0; left.ms > 0 && tally.faults.length < MAX_FAULTS; ) {
    const { n, end } = await stint(target, next, left, tally);
    if (end) tally.faults.push(`input ${n} ${end}`);
    next = n + 1;
  }
  return tally;
}

async function run(): Promise<BenchResult> {
  const words = JSON.parse(process.env.NSA_BENCH_ARGS ?? "[]") as string[];
  const number = (name: string, otherwise: number) => {
    const at = words.indexOf(`--${name}`);
    return at < 0 ? otherwise : Number(words[at + 1]);
  };
  const named = words.filter(
    (word, i) => !word.startsWith("--") && !/^--(seconds|seed|show)$/.test(words[i - 1] ?? ""),
  );
  const unknown = named.find((name) => !(name in fuzzTargets));
  if (unknown !== undefined)
    throw new Error(`there is no target ${unknown}: ${Object.keys(fuzzTargets).join(", ")}`);
  const [seconds, seed] = [number("seconds", 60), number("seed", 1)];
  if (words.includes("--show") && named[0])
    process.stderr.write(inputOf(fuzzTargets[named[0]]!.build, seed, number("show", 0)));
  const tallies: FuzzTally[] = [];
  for (const target of named.length > 0 ? named : Object.keys(fuzzTargets)) {
    const tally = await fuzz(target, { seconds, seed });
    console.error(JSON.stringify(tally));
    tallies.push(tally);
  }
  return {
    name: "fuzz",
    machine: describeMachine(),
    figures: Object.fromEntries(tallies.map((t) => [`inputs_${t.target}`, t.inputs])),
    ratios: {},
    bars: [
      atLeast("targets", tallies.length, 1),
      atMost(
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
