// SIGKILL in updates, saves, rollouts and scoring: the run that goes on equals the one that was left alone.
import { spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { latestCheckpoint, Rng, readJsonl } from "@nsa/core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { preferenceFile } from "./dpo-fixture.ts";
import { makeBase } from "./grpo-fixture.ts";

const root = mkdtempSync(join(tmpdir(), "nsa-dpo-kill-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));

const child = join(import.meta.dirname, "dpo-child.ts");
const reward = join(root, "reward.ts");
// Its first call of a step ends the rollout: what comes after is scoring, the reference's forward and the update.
writeFileSync(
  reward,
  `let calls = 0;
export default () => {
  if (calls++ % 48 === 0) process.stdout.write("scoring\\n");
  return 0;
};
`,
);
let [base, file] = ["", ""];
beforeAll(async () => {
  base = await makeBase(root);
  file = preferenceFile(root);
}, 120_000);

/** One life of the run, killed `delay` ms after the third line that begins with `mark`. */
function live(dir: string, pairs: string, mark?: string, delay = 0): Promise<"done" | "killed"> {
  return new Promise((resolve, reject) => {
    const words = ["--conditions=nsa-source", "--import", "tsx", child, dir, base, pairs];
    const p = spawn(process.execPath, [...words, pairs === "offline" ? file : reward], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    let [seen, done] = [0, false];
    createInterface({ input: p.stdout }).on("line", (line) => {
      if (line === "done") done = true;
      if (mark && line.startsWith(mark) && ++seen === 3) setTimeout(() => p.kill("SIGKILL"), delay);
    });
    p.on("exit", (code, signal) => {
      if (signal === "SIGKILL") resolve("killed");
      else if (code === 0 && done) resolve("done");
      else reject(new Error(`the child ended with ${code ?? signal}`));
    });
  });
}

test.each([
  ["offline", ["step", "saved"]],
  ["online", ["step", "scoring"]],
] as const)(
  "%s_runs_killed_anywhere_equal_the_unbroken_one_with_every_row_once",
  async (pairs, marks) => {
    const make = (name: string) => {
      const dir = join(root, `${pairs}-${name}`);
      mkdirSync(join(dir, "checkpoints"), { recursive: true });
      return dir;
    };
    const [whole, broken] = [make("whole"), make("broken")];
    expect(await live(whole, pairs)).toBe("done");
    const times = readJsonl<Record<string, number>>(join(whole, "metrics.jsonl")).filter(
      (r) => "dpo/loss" in r,
    );
    const span = (1000 * (times.at(-1)!.time! - times[0]!.time!)) / (times.length - 1);
    const rng = new Rng(7, 91);
    let kills = 0;
    for (let life = 0; life < 8; life++) {
      if ((await live(broken, pairs, marks[life % 2], rng.uniform(life, 0) * span)) === "done") break;
      kills++;
    }
    expect(kills).toBeGreaterThanOrEqual(3);
    expect(await live(broken, pairs)).toBe("done");

    const last = (dir: string) => latestCheckpoint(dir)!;
    for (const name of ["model.safetensors", "optimizer.safetensors"])
      expect(readFileSync(join(last(broken), name)).equals(readFileSync(join(last(whole), name))), name).toBe(
        true,
      );
    const samples = (dir: string) => readFileSync(join(dir, "samples.jsonl"), "utf8");
    if (pairs === "online") expect(samples(broken)).toBe(samples(whole));
    const figures = (dir: string) =>
      readJsonl(join(dir, "metrics.jsonl")).map((row) =>
        Object.entries(row).filter(([name]) => name !== "time" && !name.startsWith("perf/")),
      );
    expect(figures(broken)).toEqual(figures(whole));
  },
  400_000,
);
