// Truncated sampling: the kept mass is reported, and with replay_support all log-probabilities are over the kept ids, updates and replays included.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { replayStep } from "../src/index.ts";
import { RolloutStore } from "../src/rollouts/store.ts";
import { rolloutMetrics } from "../src/stages/grpo/metrics.ts";
import type { Output, Rollout } from "../src/stages/grpo/rollout.ts";
import { grpoRecipe, grpoRuns, makeBase, stepMetrics, warningsOf } from "./grpo-fixture.ts";

const root = mkdtempSync(join(tmpdir(), "nsa-support-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));
let base = "";
beforeAll(async () => {
  base = await makeBase(root);
}, 120_000);
const runs = grpoRuns(root, () => base);
const mean = (xs: number[]) => xs.reduce((a, b) => a + b, 0) / xs.length;

const cut = { questions_per_step: 6, group_size: 8, max_tokens: 24, top_p: 0.8, keep_rollouts: "all" };
const twice = { aggregation: "token_mean", inner_epochs: 2, mini_batches: 2, sampler_correction: "truncate" };
const options = { steps: 4, checkpoint: { every: 2 }, evaluation: { questions: 2, samples: 2 } };

test("the_kept_mass_is_the_mean_of_probabilities_and_absent_where_all_is_kept", () => {
  const rollout = (keptLogmass: number[]): Rollout => {
    const row = { id: "", question: "", answer: "", completion: "", echo: false, finish: "stop", tokens: 2 };
    const output = { sample: { keptLogmass }, row: { ...row, reward: { total: 1, parts: {} } } };
    return { outputs: [output as unknown as Output], flatGroups: 0, groups: 1 } as unknown as Rollout;
  };
  const kept = rolloutMetrics(rollout([Math.log(0.5), Math.log(0.8)]))["policy/kept_mass_mean"];
  expect(kept).toBeCloseTo(0.65, 12);
  expect(rolloutMetrics(rollout([0, -1e-8]))).not.toHaveProperty("policy/kept_mass_mean");
});

test("sampler_and_trainer_have_ratio_1_over_the_kept_ids_where_the_policy_moves_too", async () => {
  const rollout = { ...cut, replay_support: true };
  const { events } = await runs.run("support", { ...options, rollout, algorithm: twice });
  for (const m of stepMetrics(events)) {
    // π_θ has left π_old by then, and both are distributions over the same ids.
    expect(Math.abs(m["policy/ratio_mean"]! - 1)).toBeLessThan(1e-2);
    expect(m["policy/sampler_difference_max"]).toBeLessThan(1e-4);
    expect(m["policy/sampler_ratio_outside_share"]).toBe(0);
    expect(m["policy/kept_mass_mean"]).toBeGreaterThan(0.8);
    expect(m["policy/kept_mass_mean"]).toBeLessThan(1);
  }
  const first = stepMetrics(events)[0]!;
  // E over the kept ids of π_θ/π_old is 1 exactly; what is left is the noise of a thousand tokens.
  expect(Math.abs(first["policy/ratio_mean"]! - 1)).toBeLessThan(5e-3);
  expect(first["policy/ratio_max"]).toBeGreaterThan(1);
});

test("recorded_kept_ids_hold_their_token_and_a_step_is_replayed_bit_for_bit", async () => {
  const set = {
    ...options,
    rollout: { ...cut, replay_support: true },
    algorithm: { ...twice, kl_coef: 0.1 },
  };
  const { dir } = await runs.run("replayed", set);
  const { tokens } = new RolloutStore(join(dir, "rollouts")).read(3);
  for (const { ids, kept, samplerLogp, oldLogp } of tokens)
    for (const [t, id] of Array.from(ids).entries()) {
      expect(kept![t]![0]).toBe(id);
      expect(samplerLogp[t]).toBeLessThan(1e-6);
      expect(oldLogp[t]).toBeCloseTo(samplerLogp[t]!, 3);
    }
  expect(mean(tokens.flatMap(({ kept }) => kept!.map((set) => set.length)))).toBeLessThan(20);
  const config = grpoRecipe(base, set);
  const replayed = await replayStep(config, {
    runDir: dir,
    step: 3,
    device: "cpu",
    changes: [],
    log: () => {},
  });
  expect(replayed).toMatchObject({ step: 3, from: 2 });
});

test("exact_runs_have_no_difference_between_sampler_and_trainer", async () => {
  const rollout = { questions_per_step: 3, group_size: 4, max_tokens: 12, exact: true };
  const { events } = await runs.run("exact", { ...options, steps: 2, rollout, micro_batch_tokens: 70 });
  for (const m of stepMetrics(events)) {
    expect(m["policy/sampler_difference_max"]).toBe(0);
    expect(m["policy/ratio_outside_share"]).toBe(0);
  }
});

test("sampling_that_is_cut_far_is_named_unless_ratios_are_over_the_kept_ids", async () => {
  const far = { ...cut, top_p: 0.3 };
  const said = async (name: string, rollout: object) =>
    warningsOf((await runs.run(name, { ...options, rollout })).events).filter((text) =>
      text.includes("sampling is cut far"),
    );
  const texts = await said("far", far);
  expect(texts).toHaveLength(1);
  expect(texts[0]).toMatch(/step 3: .* of the policy's mass \(top_k 0, top_p 0.3, min_p 0\)/);
  expect(await said("far-support", { ...far, replay_support: true })).toEqual([]);
});
