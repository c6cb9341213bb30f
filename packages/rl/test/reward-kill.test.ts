// SIGKILL in the training of a reward model and in iterative GRPO with its retraining. `pnpm bench kills` kills every stage more often.
import { appendFileSync, cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { iterativeCase, newestCheckpoint, rewardCase, sampleCase } from "../bench/support/kill-cases.ts";
import { differencesOf, killRuns } from "../bench/support/kills.ts";
import { makeBase } from "./grpo-fixture.ts";

const root = mkdtempSync(join(tmpdir(), "nsa-reward-kill-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));

test("killed_runs_of_a_reward_model_and_of_iterations_equal_the_unbroken_ones", async () => {
  const base = await makeBase(root);
  const labelled = (await killRuns(root, sampleCase(base), { kills: 0, seed: 3 })).whole;
  const reward = await killRuns(root, rewardCase(base, labelled, false), { kills: 3, seed: 3 });
  expect(reward.tally).toMatchObject({ kills: 3, differences: [] });
  const model = newestCheckpoint(reward.whole);
  const iterative = iterativeCase(root, base, { model, labelled, process: false });
  const grpo = await killRuns(root, iterative, { kills: 4, seed: 3 });
  expect(grpo.tally).toMatchObject({ kills: 4, differences: [] });
}, 600_000);

test("what_differs_between_run_folders_is_named", () => {
  const [a, b] = [join(root, "a"), join(root, "b")];
  mkdirSync(join(a, "checkpoints"), { recursive: true });
  writeFileSync(join(a, "metrics.jsonl"), '{"step":1,"time":5,"perf/x":2,"loss":3}\n');
  for (const file of ["samples.jsonl", "checkpoints/best.json"]) writeFileSync(join(a, file), '{"step":1}\n');
  cpSync(a, b, { recursive: true });
  writeFileSync(join(b, "metrics.jsonl"), '{"step":1,"time":6,"perf/x":9,"loss":3}\n');
  expect(differencesOf(a, b)).toEqual([]);
  appendFileSync(join(b, "samples.jsonl"), '{"step":1}\n');
  writeFileSync(join(b, "metrics.jsonl"), '{"step":1,"time":6,"loss":4}\n');
  rmSync(join(b, "checkpoints/best.json"));
  writeFileSync(join(b, "checkpoints/best.json.tmp-7"), "");
  expect(differencesOf(a, b)).toEqual([
    "checkpoints/best.json is missing",
    "checkpoints/best.json.tmp-7 is left over",
    "metrics.jsonl differs",
    "samples.jsonl differs",
  ]);
});
