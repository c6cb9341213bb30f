// SIGKILL at random moments of `nsa sample`: the run that goes on equals the one that was left alone, every row once.
import { spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { Rng, readJsonl } from "@nsa/core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { makeBase } from "./grpo-fixture.ts";

const root = mkdtempSync(join(tmpdir(), "nsa-sample-kill-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));
const child = join(import.meta.dirname, "sample-child.ts");

/** One life of the run, killed `delay` ms after its second line; how it ended, and how long its batches took. */
function live(dir: string, set: object, delay?: number): Promise<{ done: boolean; ms: number }> {
  return new Promise((resolve, reject) => {
    const args = ["--conditions=nsa-source", "--import", "tsx", child, dir, base, JSON.stringify(set)];
    const p = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
    let [seen, done, started, ms] = [0, false, 0, 0];
    createInterface({ input: p.stdout }).on("line", (line) => {
      if (line === "done") done = true;
      if (++seen === 1) started = performance.now();
      else ms = (performance.now() - started) / (seen - 1);
      if (delay !== undefined && seen === 2) setTimeout(() => p.kill("SIGKILL"), delay);
    });
    p.on("exit", (code, signal) => {
      if (signal === "SIGKILL" || (code === 0 && done)) resolve({ done, ms });
      else reject(new Error(`the child ended with ${code ?? signal}`));
    });
  });
}

async function killed(name: string, set: object, files: readonly string[]): Promise<string> {
  const make = (folder: string) => {
    const dir = join(root, `${name}-${folder}`);
    mkdirSync(join(dir, "checkpoints"), { recursive: true });
    return dir;
  };
  const [whole, broken] = [make("whole"), make("broken")];
  const { ms } = await live(whole, set);
  const rng = new Rng(7, 12);
  let kills = 0;
  for (; kills < 5; kills++) if ((await live(broken, set, 1.5 * ms * rng.uniform(kills, 0))).done) break;
  expect(kills).toBeGreaterThanOrEqual(3);
  expect((await live(broken, set)).done).toBe(true);
  for (const file of files)
    expect(readFileSync(join(broken, file), "utf8"), file).toBe(readFileSync(join(whole, file), "utf8"));
  const figures = (dir: string) =>
    readJsonl(join(dir, "metrics.jsonl")).map((row) =>
      Object.entries(row).filter(([key]) => key !== "time" && !key.startsWith("perf/")),
    );
  expect(figures(broken)).toEqual(figures(whole));
  return whole;
}

let base = "";
beforeAll(async () => {
  base = await makeBase(root);
}, 120_000);

test("a_killed_run_equals_the_unbroken_one_with_every_row_once", async () => {
  const set = { prompts: { questions: 300 }, sampling: { n: 8, max_tokens: 24 }, engine: { questions: 25 } };
  await killed("outputs", { ...set, keep: "correct" }, ["samples.jsonl", "pool.jsonl"]);
}, 400_000);

test("a_killed_run_of_roll_outs_from_steps_equals_the_unbroken_one", async () => {
  const dir = join(root, "outputs-whole");
  const file = join(dir, "samples.jsonl");
  // Each half of an output is a step.
  const rows = readJsonl<{ completion: string }>(file).filter(({ completion }) => completion.length > 4);
  const cut = join(root, "cut.jsonl");
  const withSteps = rows.map((row) => ({ ...row, steps: [{ end: row.completion.length >> 1 }] }));
  writeFileSync(cut, withSteps.map((row) => `${JSON.stringify(row)}\n`).join(""));
  const set = {
    ...{ prompts: { from: "steps", rollouts: 4 }, data: { files: [cut] } },
    ...{ sampling: { max_tokens: 24 }, engine: { questions: 10 } },
  };
  await killed("labels", set, ["samples.jsonl"]);
}, 400_000);
