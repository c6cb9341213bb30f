// SIGKILL inside calls of tools: runs of grpo and sample that go on equal those that were left alone; replay, too.
import { spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { latestCheckpoint, parseConfig, readJsonl } from "@nsa/core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { grpoSchema, RolloutStore, replayStep } from "../src/index.ts";
import { evenDigits, makeToolBase, slowLookup, toolSettings } from "./tools-fixture.ts";

const root = mkdtempSync(join(tmpdir(), "nsa-tools-kill-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));
const child = join(import.meta.dirname, "tools-child.ts");
let [base, file, reward] = ["", "", ""];
beforeAll(async () => {
  file = slowLookup(root);
  reward = evenDigits(root);
  base = await makeToolBase(root);
}, 120_000);

/** One life of a run, killed in its call number `call` where that is given. Resolves to the number of calls. */
function live(
  stage: string,
  dir: string,
  call = Number.POSITIVE_INFINITY,
): Promise<{ calls: number; done: boolean }> {
  return new Promise((resolve, reject) => {
    const words = ["--conditions=nsa-source", "--import", "tsx", child, stage, dir, base, file, reward];
    const p = spawn(process.execPath, words, { stdio: ["ignore", "pipe", "inherit"] });
    let [calls, done] = [0, false];
    createInterface({ input: p.stdout }).on("line", (line) => {
      if (line === "done") done = true;
      if (line === "calling" && ++calls === call) p.kill("SIGKILL");
    });
    p.on("exit", (code, signal) => {
      if (signal === "SIGKILL" || (code === 0 && done)) resolve({ calls, done });
      else reject(new Error(`the child ended with ${code ?? signal}`));
    });
  });
}

const folder = (name: string) => {
  const dir = join(root, name);
  mkdirSync(join(dir, "checkpoints"), { recursive: true });
  return dir;
};

test("grpo_killed_inside_calls_equals_the_unbroken_run_and_can_be_replayed", async () => {
  const [whole, broken] = [folder("grpo-whole"), folder("grpo-broken")];
  const { calls } = await live("grpo", whole);
  expect(calls).toBeGreaterThan(15);
  for (const at of [Math.floor(calls / 2), Math.floor(calls / 4)])
    expect((await live("grpo", broken, at)).done).toBe(false);
  expect((await live("grpo", broken)).done).toBe(true);
  const bytes = (dir: string, name: string) => readFileSync(join(latestCheckpoint(dir)!, name));
  for (const name of ["model.safetensors", "optimizer.safetensors"])
    expect(bytes(broken, name).equals(bytes(whole, name)), name).toBe(true);
  for (let step = 1; step <= 6; step++) {
    const name = `rollouts/step-00000${step}.safetensors`;
    expect(readFileSync(join(broken, name)).equals(readFileSync(join(whole, name))), name).toBe(true);
  }
  const rows = (dir: string) => readJsonl(join(dir, "samples.jsonl"));
  expect(rows(broken)).toEqual(rows(whole));

  const store = new RolloutStore(join(whole, "rollouts"));
  const { tokens, outputs } = store.read(1);
  const withTools = tokens.flatMap((t, i) => (t.inserts ? [i] : []));
  expect(withTools.length).toBeGreaterThan(2);
  for (const i of withTools) {
    const t = tokens[i]!;
    expect([t.samplerLogp.length, t.oldLogp.length, t.advantage.length]).toEqual(Array(3).fill(t.ids.length));
    // What was recorded has no gap where a tool wrote, and the sampler's numbers are the trainer's.
    for (let k = 0; k < t.ids.length; k++)
      if (t.weight > 0) expect(Math.abs(t.oldLogp[k]! - t.samplerLogp[k]!)).toBeLessThan(1e-3);
    expect(outputs[i]!.completion).toContain("```output");
  }
  const config = parseConfig(
    grpoSchema,
    {
      ...toolSettings(base),
      ...{ environment: { file, max_turns: 2, max_output_tokens: 8 }, seed: 3, steps: 6 },
      rollout: { questions_per_step: 4, group_size: 6, max_tokens: 40, keep_rollouts: "all" },
      rewards: [{ kind: "custom", file: reward }],
      train: { optimizer: { lr: 1e-3, weight_decay: 0 } },
    } as never,
    "test",
  );
  // Equal fingerprints of weights and gradients, or it throws.
  const replayed = await replayStep(config, {
    runDir: whole,
    step: 6,
    device: "cpu",
    changes: [],
    log: () => {},
  });
  expect(replayed.gradients.length).toBe(1);
}, 300_000);

test("sample_killed_inside_calls_has_every_row_once", async () => {
  const [whole, broken] = [folder("sample-whole"), folder("sample-broken")];
  const { calls } = await live("sample", whole);
  for (const at of [Math.floor(calls / 2), Math.floor(calls / 4)])
    expect((await live("sample", broken, at)).done).toBe(false);
  expect((await live("sample", broken)).done).toBe(true);
  for (const name of ["samples.jsonl", "pool.jsonl"])
    expect(readFileSync(join(broken, name), "utf8")).toBe(readFileSync(join(whole, name), "utf8"));
  type Row = { ids: number[]; logp: (number | null)[]; mask?: number[]; calls?: unknown[] };
  const rows = readJsonl<Row>(join(whole, "samples.jsonl"));
  const called = rows.filter((row) => row.mask);
  expect(rows.length).toBe(96);
  expect(called.length).toBeGreaterThan(10);
  for (const { ids, logp, mask } of called) {
    expect([logp.length, mask!.length]).toEqual([ids.length, ids.length]);
    expect(logp.map((x) => (x === null ? 0 : 1))).toEqual(mask);
  }
}, 300_000);
