// SIGKILL at random moments of every stage of reinforcement learning: the run that is resumed must equal the one that was left alone.
//
// `pnpm bench kills [--kills 9] [--seed 1] [--device cuda] --json`: kills of each of nine runs (sampling outputs, sampling from
// steps, two kinds of reward model, iterative GRPO by each of them, GRPO on adapters, DPO offline and online). A run passes when every file of its
// folder is equal.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { atLeast, atMost, type BenchResult, describeMachine } from "@nsa/core";
import { preferenceFile } from "../test/dpo-fixture.ts";
import { makeBase } from "../test/grpo-fixture.ts";
import { argument } from "./support/command-line.ts";
import {
  adapterCase,
  iterativeCase,
  newestCheckpoint,
  offlineCase,
  onlineCase,
  rewardCase,
  sampleCase,
  stepsCase,
} from "./support/kill-cases.ts";
import { type KillCase, type KillTally, killRuns } from "./support/kills.ts";

async function killAll(root: string): Promise<KillTally[]> {
  const [kills, seed] = [argument("kills", 9), argument("seed", 1)];
  const tallies: KillTally[] = [];
  const kill = async (test: KillCase): Promise<string> => {
    const { tally, whole } = await killRuns(root, test, { kills, seed: seed + tallies.length });
    tallies.push(tally);
    console.error(JSON.stringify(tally));
    return whole;
  };
  const base = await makeBase(root);
  const outputs = await kill(sampleCase(base));
  const steps = await kill(stepsCase(root, base, outputs));
  for (const process of [false, true]) {
    const labelled = process ? steps : outputs;
    const model = newestCheckpoint(await kill(rewardCase(base, labelled, process)));
    await kill(iterativeCase(root, base, { model, labelled, process }));
  }
  await kill(adapterCase(base));
  await kill(offlineCase(base, preferenceFile(root)));
  await kill(onlineCase(base));
  return tallies;
}

async function run(): Promise<BenchResult> {
  const root = mkdtempSync(join(tmpdir(), "nsa-kills-"));
  const tallies = await killAll(root);
  const differences = tallies.flatMap((t) => t.differences.map((what) => `${t.name}, ${what}`));
  if (differences.length === 0) rmSync(root, { recursive: true, force: true });
  else console.error(`the run folders are in ${root}:\n${differences.join("\n")}`);
  const kills = tallies.reduce((n, t) => n + t.kills, 0);
  return {
    name: "kills",
    machine: describeMachine(),
    figures: { kills, ...Object.fromEntries(tallies.map((t) => [`kills_${t.name}`, t.kills])) },
    ratios: {},
    bars: [
      atLeast("kills", kills, 60),
      atMost("files that differ from the unbroken run's", differences.length, 0),
    ],
  };
}

export default {
  name: "kills",
  about: "SIGKILL at random moments of every stage of reinforcement learning: equal bits and every row once",
  run,
};
