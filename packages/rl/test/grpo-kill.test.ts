// SIGKILL at random moments of rollouts and updates: the run that goes on equals the one that was left alone.
import { spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { latestCheckpoint, Rng, readJsonl } from "@nsa/core";
import { afterAll, expect, test } from "vitest";
import { makeBase } from "./grpo-fixture.ts";

const root = mkdtempSync(join(tmpdir(), "nsa-grpo-kill-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));

const child = join(import.meta.dirname, "grpo-child.ts");
// Its first call of a step ends the rollout: what comes after is scoring and update.
const reward = join(root, "reward.ts");
writeFileSync(
  reward,
  `let calls = 0;
export default () => {
  if (calls++ % 48 === 0) process.stdout.write("scoring\\n");
  return 0;
};
`,
);

/** One life of the run. Killed `delay` ms after the first line that begins with `mark`, past the first two lines so. */
function live(dir: string, base: string, mark?: string, delay = 0): Promise<"done" | "killed"> {
  return new Promise((resolve, reject) => {
    const p = spawn(
      process.execPath,
      ["--conditions=nsa-source", "--import", "tsx", child, dir, base, reward],
      {
        stdio: ["ignore", "pipe", "inherit"],
      },
    );
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

test("a_run_killed_in_rollouts_and_updates_equals_the_unbroken_one_with_every_row_once", async () => {
  const base = await makeBase(root);
  const make = (name: string) => {
    const dir = join(root, name);
    mkdirSync(join(dir, "checkpoints"), { recursive: true });
    return dir;
  };
  const [whole, broken] = [make("whole"), make("broken")];
  expect(await live(whole, base)).toBe("done");
  const steps = readJsonl<Record<string, number>>(join(whole, "metrics.jsonl")).filter(
    (r) => "reward/mean" in r,
  );
  const ms = (name: string) => Math.max(...steps.map((r) => 1000 * r["perf/step_seconds"]! * r[name]!));
  // The rollout of the next step begins when a step has been told; the update when its outputs are scored.
  const spans = {
    step: ms("perf/rollout_share"),
    scoring: ms("perf/scoring_share") + ms("perf/update_share"),
  };
  const rng = new Rng(4, 91);
  const kills = { step: 0, scoring: 0 };
  for (let life = 0; life < 10; life++) {
    const mark = life % 2 === 0 ? "step" : "scoring";
    if ((await live(broken, base, mark, rng.uniform(life, 0) * spans[mark])) === "done") break;
    kills[mark]++;
  }
  expect(Math.min(kills.step, kills.scoring)).toBeGreaterThanOrEqual(2);
  expect(await live(broken, base)).toBe("done");

  const last = (dir: string) => latestCheckpoint(dir)!;
  for (const file of ["model.safetensors", "optimizer.safetensors"])
    expect(readFileSync(join(last(broken), file)).equals(readFileSync(join(last(whole), file))), file).toBe(
      true,
    );
  const rollouts = (dir: string) => readdirSync(join(dir, "rollouts")).sort();
  expect(rollouts(broken)).toEqual(rollouts(whole));
  expect(rollouts(whole)).toHaveLength(2 * 12);
  for (const file of rollouts(whole))
    expect(
      readFileSync(join(broken, "rollouts", file)).equals(readFileSync(join(whole, "rollouts", file))),
      file,
    ).toBe(true);
  const samples = (dir: string) => readFileSync(join(dir, "samples.jsonl"), "utf8");
  expect(samples(broken)).toBe(samples(whole));
  const figures = (dir: string) =>
    readJsonl(join(dir, "metrics.jsonl")).map((row) =>
      Object.entries(row).filter(([name]) => name !== "time" && !name.startsWith("perf/")),
    );
  expect(figures(broken)).toEqual(figures(whole));
}, 400_000);
