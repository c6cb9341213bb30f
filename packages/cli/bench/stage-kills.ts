// `pnpm kills <stage> [--kills 200] [--seed 1] [--start] [--seconds N] [--device cpu] [--inputs folder] [--json]`: a stage of the registry,
// `pipeline`, or the recipe of a pipeline (a path that ends in .yaml), killed at many points and resumed.
//
// Half of the kills fall at a change of a file (the n-th of those that an unbroken run makes: in the start of the command, in the
// trainer, or of the command alone), half at a moment in time. A run is killed until it is done or has been killed eight times; then it is
// left alone to its end, and every file of its folder must be what the unbroken run's is. `--kills` counts kills that hit; with
// `--seconds` no run begins so long after the unbroken one. `--start` aims at the start alone: the first changes, and the first half of the time.
// `--inputs` names a folder for what the stages start from, which several commands may share once one has made it.
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { atLeast, atMost, type BenchResult, describeMachine, Rng } from "@nsa/core";
import { type Blow, differencesOf, factsOf, hasRun, live, type Who } from "./support/kill-life.ts";
import { type KillWords, makeKillWords } from "./support/kill-recipes.ts";

const MAX_KILLS_OF_RUN = 8;
const WHO: readonly Who[] = ["command", "parent", "both"];
/** Changes of files that belong to the start: the folder, its recipe, the lock, the rows of step 0. */
const START_CHANGES = 30;

export interface KillTally {
  stage: string;
  seed: number;
  device: string;
  window: "whole" | "start";
  kills: number;
  /** Kills that left no run, so that the start began again. */
  not_begun: number;
  by: Record<string, number>;
  runs: number;
  /** What differs from the unbroken run, or why a resume failed. */
  faults: string[];
}

interface Whole {
  facts: Map<string, string>;
  ms: number;
  /** Changes of files by who makes them. */
  changes: Record<"command" | "trainer", number>;
}

export interface KillOptions {
  kills: number;
  seed: number;
  /** No run begins so many seconds after the unbroken one. */
  seconds?: number;
  /** Blows at the start alone. */
  start?: boolean;
  device?: string;
}

async function unbroken(words: readonly string[], folder: string, device?: string): Promise<Whole> {
  const changes = { command: 0, trainer: 0 };
  let ms = 0;
  for (const [name, who] of [
    ["command", "command"],
    ["trainer", "both"],
  ] as const) {
    const runs = join(folder, `whole-${name}`);
    const file = join(folder, `changes-${name}`);
    const life = await live(words, runs, { count: { who, file }, device });
    if (life.code !== 0) throw new Error(`the unbroken run ended with ${life.code}: ${life.errors}`);
    changes[name] = Number(readFileSync(file, "utf8"));
    ms = life.ms;
  }
  return { facts: factsOf(join(folder, "whole-trainer")), ms, changes };
}

/** The n-th blow, by the seed. */
function blowOf(rng: Rng, n: number, { ms: whole, changes: all }: Whole, start: boolean): Blow {
  const share = rng.uniform(n, 1);
  const ms = start ? whole / 2 : whole;
  const most = (count: number) => (start ? Math.min(START_CHANGES, count) : count);
  const changes = { command: most(all.command), trainer: most(all.trainer) };
  if (n % 2 === 1) return { ms: 50 + share * ms, group: rng.uniform(n, 2) < 0.7 };
  const who = WHO[Math.floor(rng.uniform(n, 2) * WHO.length)]!;
  return { who, at: 1 + Math.floor(share * changes[who === "command" ? "command" : "trainer"]) };
}

/** Kills runs of the words under `folder` until `kills` have hit. */
export async function killStage(
  stage: string,
  words: readonly string[],
  {
    folder,
    kills,
    seed,
    seconds = Number.POSITIVE_INFINITY,
    start = false,
    device = "cpu",
  }: KillOptions & { folder: string },
): Promise<KillTally> {
  mkdirSync(folder, { recursive: true });
  const whole = await unbroken(words, folder, device);
  const until = performance.now() + 1000 * seconds;
  const window = start ? "start" : "whole";
  const tally: KillTally = {
    stage,
    seed,
    device,
    window,
    kills: 0,
    not_begun: 0,
    by: {},
    runs: 0,
    faults: [],
  };
  const rng = new Rng(seed, 97);
  const goesOn = () => tally.kills < kills && performance.now() < until;
  for (let blows = 0; goesOn() && tally.faults.length < 5; tally.runs++) {
    const runs = join(folder, `broken-${tally.runs}`);
    for (let own = 0; ; ) {
      const blow = own < MAX_KILLS_OF_RUN && goesOn() ? blowOf(rng, blows++, whole, start) : undefined;
      const life = await live(words, runs, { blow, resume: hasRun(runs), device });
      if (life.code === 0) break;
      if (life.code !== null) {
        tally.faults.push(
          `run ${tally.runs}, after ${JSON.stringify(blow)}: ended with ${life.code}: ${life.errors.slice(-400)}`,
        );
        break;
      }
      own++;
      tally.kills++;
      if (!hasRun(runs)) tally.not_begun++;
      const kind =
        blow && "at" in blow
          ? `change, ${blow.who}`
          : `time, ${blow && "group" in blow && blow.group ? "both" : "command"}`;
      tally.by[kind] = (tally.by[kind] ?? 0) + 1;
    }
    const differences = differencesOf(whole.facts, factsOf(runs));
    tally.faults.push(...differences.map((what) => `run ${tally.runs}: ${what}`));
    if (differences.length === 0) rmSync(runs, { recursive: true, force: true });
  }
  return tally;
}

/** Kills each of the stages; all of the registry and the pipeline where none is named. */
export async function killStages(
  wanted: readonly string[],
  options: KillOptions & { inputs?: string; onTally?: (tally: KillTally) => void },
): Promise<{ tallies: KillTally[]; root: string }> {
  const root = mkdtempSync(join(tmpdir(), "nsa-kills-"));
  const recipes = wanted.filter((name) => name.endsWith(".yaml"));
  const others = recipes.length < wanted.length || wanted.length === 0;
  const words: KillWords = {
    ...(others ? await makeKillWords(options.inputs ?? join(root, "recipes")) : {}),
    ...Object.fromEntries(recipes.map((path) => [path, ["pipeline", "run", resolve(path)]])),
  };
  const names = wanted.length > 0 ? wanted : Object.keys(words);
  const unknown = names.find((name) => !(name in words));
  if (unknown !== undefined)
    throw new Error(`there is no stage ${unknown}: ${Object.keys(words).join(", ")}`);
  const tallies: KillTally[] = [];
  for (const name of names) {
    const tally = await killStage(name, words[name]!, { ...options, folder: join(root, basename(name)) });
    options.onTally?.(tally);
    tallies.push(tally);
  }
  if (tallies.every(({ faults }) => faults.length === 0)) rmSync(root, { recursive: true, force: true });
  return { tallies, root };
}

/** What follows the name of the command. */
function given() {
  const { values, positionals } = parseArgs({
    args: JSON.parse(process.env.NSA_BENCH_ARGS ?? "[]") as string[],
    allowPositionals: true,
    options: {
      kills: { type: "string", default: "200" },
      seed: { type: "string", default: "1" },
      seconds: { type: "string" },
      start: { type: "boolean", default: false },
      device: { type: "string", default: "cpu" },
      inputs: { type: "string" },
      json: { type: "boolean" },
    },
  });
  const seconds = values.seconds === undefined ? undefined : Number(values.seconds);
  const { start, device, inputs } = values;
  return {
    stages: positionals,
    ...{ kills: Number(values.kills), seed: Number(values.seed), seconds, start, device, inputs },
  };
}

async function run(): Promise<BenchResult> {
  const { stages, ...options } = given();
  const { tallies, root } = await killStages(stages, {
    ...options,
    onTally: (tally) => console.error(JSON.stringify(tally)),
  });
  const faults = tallies.flatMap((t) => t.faults.map((what) => `${t.stage}, ${what}`));
  if (faults.length > 0) console.error(`the folders are in ${root}:\n${faults.join("\n")}`);
  const total = tallies.reduce((n, t) => n + t.kills, 0);
  return {
    name: "stage-kills",
    machine: describeMachine(),
    figures: { kills: total, ...Object.fromEntries(tallies.map((t) => [`kills_${t.stage}`, t.kills])) },
    ratios: {},
    bars: [
      atLeast("kills", total, options.seconds === undefined ? options.kills * tallies.length : 1),
      atMost("files that differ from the unbroken run's, and resumes that fail", faults.length, 0),
    ],
  };
}

export default {
  name: "stage-kills",
  about:
    "SIGKILL at changes of files and at moments of every stage and the pipeline: equal bits, no row lost or doubled",
  run,
};
