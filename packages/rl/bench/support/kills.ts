// Runs of a stage that are ended by SIGKILL at random moments, resumed, and compared with one that was left alone.
//
// An unbroken run measures how long the stage works. Each life of a broken run is killed after a seeded random share of that time,
// counted from the moment at which the stage begins, so that kills fall into the resume, too. When the run is done, every file of
// its folder must be equal to the unbroken run's, byte for byte, but for times: that is all weights, and each row once.
import { spawn } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import { createInterface } from "node:readline";
import { Rng, readJsonl } from "@nsa/core";
import { deviceArgument } from "./command-line.ts";

const child = join(import.meta.dirname, "kill-main.ts");
/** Lives of one run, at most: a run that makes no progress between kills would never end. */
const MAX_LIVES = 60;
/** The longest life of a broken run, as a share of the unbroken run's time. */
const LIFE = 0.35;

/** What is run: a stage with a recipe. */
export interface KillCase {
  name: string;
  stage: "dpo" | "grpo" | "reward" | "sample";
  recipe: object;
}

interface Life {
  done: boolean;
  /** From the beginning of the stage to the end of the process. */
  ms: number;
  /** The last event before the end. */
  last: string;
}

export interface KillTally {
  name: string;
  kills: number;
  /** Kills by the last event before them, e.g. `step 3`. */
  after: Record<string, number>;
  /** Broken runs that came to their end. */
  runs: number;
  /** Files that differ from the unbroken run's, with what differs. */
  differences: string[];
}

/** One life of a run; killed `delay` ms after the stage begins, where a delay is given. Rejects where the stage fails. */
function live({ stage }: KillCase, dir: string, recipe: string, delay?: number): Promise<Life> {
  return new Promise((resolve, reject) => {
    const words = ["--conditions=nsa-source", "--import", "tsx", child, stage, dir, recipe, deviceArgument()];
    const process_ = spawn(process.execPath, words, { stdio: ["ignore", "pipe", "pipe"] });
    let [done, started, last, errors] = [false, 0, "", ""];
    process_.stderr.on("data", (text) => {
      errors = (errors + text).slice(-2000);
    });
    createInterface({ input: process_.stdout }).on("line", (line) => {
      if (line === "begin") {
        started = performance.now();
        if (delay !== undefined) setTimeout(() => process_.kill("SIGKILL"), delay);
      }
      if (line === "done") done = true;
      else last = line;
    });
    process_.on("close", (code, signal) => {
      const ms = performance.now() - started;
      if (signal === "SIGKILL" || (code === 0 && done)) resolve({ done: signal === null, ms, last });
      else reject(new Error(`${stage} in ${dir} ended with ${code ?? signal} after ${last}: ${errors}`));
    });
  });
}

/** Files of a run folder but its log, which names every resume. */
const filesOf = (dir: string): string[] =>
  readdirSync(dir, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(dir, join(entry.parentPath, entry.name)))
    .filter((file) => file !== "log.txt")
    .sort();

/** Rows of metrics without what depends on the clock. */
const timeless = (path: string): string =>
  JSON.stringify(
    readJsonl<Record<string, unknown>>(path).map((row) =>
      Object.entries(row).filter(([key]) => key !== "time" && !key.startsWith("perf/")),
    ),
  );

/** Files of a run folder that differ from those of another: missing, added, or with other contents. */
export function differencesOf(whole: string, broken: string): string[] {
  const [expected, found] = [filesOf(whole), filesOf(broken)];
  const missing = expected.filter((file) => !found.includes(file)).map((file) => `${file} is missing`);
  const added = found.filter((file) => !expected.includes(file)).map((file) => `${file} is left over`);
  const other = expected.filter((file) => {
    if (!found.includes(file)) return false;
    const [a, b] = [join(whole, file), join(broken, file)];
    if (file === "metrics.jsonl") return timeless(a) !== timeless(b);
    return !readFileSync(a).equals(readFileSync(b));
  });
  return [...missing, ...added, ...other.map((file) => `${file} differs`)];
}

function makeRun(root: string, name: string): string {
  const dir = join(root, name);
  mkdirSync(join(dir, "checkpoints"), { recursive: true });
  return dir;
}

/**
 * Kills runs of the case in folders under `root` until `kills` have hit, and lets the last one end. `whole` is the folder of the
 * unbroken run, which is made first.
 */
export async function killRuns(
  root: string,
  test: KillCase,
  { kills, seed }: { kills: number; seed: number },
): Promise<{ tally: KillTally; whole: string }> {
  const recipe = join(root, `${test.name}.json`);
  writeFileSync(recipe, JSON.stringify(test.recipe));
  const whole = makeRun(root, `${test.name}-whole`);
  const { ms } = await live(test, whole, recipe);
  const rng = new Rng(seed, 91);
  const tally: KillTally = { name: test.name, kills: 0, after: {}, runs: 0, differences: [] };
  while (tally.kills < kills) {
    const broken = makeRun(root, `${test.name}-broken-${tally.runs}`);
    for (let lives = 1; ; lives++) {
      if (lives > MAX_LIVES) throw new Error(`${test.name}: ${MAX_LIVES} lives and no end`);
      const delay = tally.kills < kills ? LIFE * ms * rng.uniform(tally.kills, tally.runs) : undefined;
      const life = await live(test, broken, recipe, delay);
      if (life.done) break;
      tally.kills++;
      tally.after[life.last] = (tally.after[life.last] ?? 0) + 1;
    }
    tally.runs++;
    tally.differences.push(...differencesOf(whole, broken).map((what) => `run ${tally.runs}: ${what}`));
  }
  return { tally, whole };
}
