// PPO: advantages and value losses by hand, and runs with a value model that learn and resume to equal bits.
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { packBatch } from "@nsa/core";
import { Device } from "@nsa/kernels";
import { Trainer } from "@nsa/train";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { SampleRewards } from "../src/algorithm/advantages/kind.ts";
import { advantages, flatGroups } from "../src/algorithm/advantages/registry.ts";
import type { PolicySample } from "../src/stages/grpo/batch.ts";
import { whiten } from "../src/stages/grpo/value/apply.ts";
import { valueMetrics } from "../src/stages/grpo/value/figures.ts";
import { valueLoss } from "../src/stages/grpo/value/loss.ts";
import { grpoRuns, makeBase, stepMetrics } from "./grpo-fixture.ts";
import { scoreTable } from "./score-table.ts";

const root = mkdtempSync(join(tmpdir(), "nsa-value-"));
const reference = Device.open("reference");
let base: string;
beforeAll(async () => {
  base = await makeBase(root);
});
afterAll(() => {
  reference.close();
  rmSync(root, { recursive: true, force: true });
});
const { run } = grpoRuns(root, () => base);

const output = (values: number[], steps: [number, number][], perToken?: number[]): SampleRewards => ({
  group: 0,
  length: values.length,
  steps: steps.map(([token, reward]) => ({ token, reward })),
  values,
  ...(perToken ? { perToken } : {}),
});
const near = (...xs: number[]) => xs.map((x) => expect.closeTo(x, 6));

test("gae_adds_up_what_each_token_brought_beyond_its_value", () => {
  // V 0.5, 0.25, 1; the output earns 2 at its end. δ: −0.25, 0.75, 1.
  const one = output([0.5, 0.25, 1], [[2, 2]]);
  const by = (gamma: number, lambda: number, of = one) => [...advantages([of], "gae", { gamma, lambda })[0]!];
  expect(by(1, 0)).toEqual(near(-0.25, 0.75, 1));
  expect(by(1, 1)).toEqual(near(2 - 0.5, 2 - 0.25, 2 - 1));
  expect(by(1, 0.5)).toEqual(near(-0.25 + 0.5 * (0.75 + 0.5), 0.75 + 0.5, 1));
  // γ ½: δ ½·0.25 − 0.5, ½·1 − 0.25, 2 − 1; γλ = ¼.
  expect(by(0.5, 0.5)).toEqual(near(-0.375 + 0.25 * (0.25 + 0.25), 0.25 + 0.25, 1));
  // A step's reward at token 0 and rewards per token.
  const two = output(
    [0, 0],
    [
      [0, 1],
      [1, 3],
    ],
    [-0.5, 0.25],
  );
  expect(by(1, 1, two)).toEqual(near(3.75, 3.25));
  expect(flatGroups([output([0], [[0, 1]]), output([0], [[0, 1]])], "gae").size).toBe(0);
});

test("whitened_advantages_have_mean_0_and_deviation_1_over_all_tokens", () => {
  const sample = (...advantage: number[]) => ({ advantage: Float32Array.from(advantage) }) as PolicySample;
  // 1, 2, 6: mean 3, deviation √(14/3).
  const samples = [sample(1, 2), sample(6)];
  whiten(samples);
  const std = Math.sqrt(14 / 3);
  expect(samples.map(({ advantage }) => [...advantage])).toEqual([near(-2 / std, -1 / std), near(3 / std)]);
  const equal = [sample(2, 2)];
  whiten(equal);
  expect([...equal[0]!.advantage]).toEqual([0, 0]);
});

test("value_figures_are_of_all_tokens_and_of_the_quarters_of_outputs", () => {
  const metrics = valueMetrics([
    { values: [1, 2, 0, 1], returns: [2, 2, 3, 1] },
    { values: [0], returns: [4] },
  ]);
  // Returns 2, 2, 3, 1, 4: mean 2.4, variance 1.04; errors 1, 0, 3, 0, 4: mean 1.6, variance 2.64.
  expect(metrics["value/explained_variance"]).toBeCloseTo(1 - 2.64 / 1.04, 9);
  expect(metrics["value/mean"]).toBeCloseTo(4 / 5, 9);
  // The output of one token lies in the first quarter.
  expect([1, 2, 3, 4].map((q) => metrics[`value/error_quarter_${q}`])).toEqual([2.5, 0, 3, 0]);
  expect(valueMetrics([{ values: [1, 2], returns: [3, 3] }])).not.toHaveProperty("value/explained_variance");
});

/** Loss and d loss / d V of four tokens whose values are 0.5, −1.25, 2 and 0.75, the last one of weight 2. */
function lossOf(clip: number, old: number[], returns: number[]) {
  const NUMBERS = [0, 0.5, -1.25, 2, 0.75];
  const model = scoreTable(reference, NUMBERS);
  const trainer = new Trainer(model, 1, { optimizer: { lr: 0 } });
  const item = (id: number, i: number, weight: number) => ({
    ids: [id, 0],
    weight,
    columns: { old_value: () => old[i]!, return: () => returns[i]! },
  });
  const batch = packBatch([item(1, 0, 1), item(2, 1, 1), item(3, 2, 1), item(4, 3, 2)]);
  const metrics = trainer.step({ microBatches: [batch], weightSum: 4 }, valueLoss(clip));
  const { offset } = model.parameters.range("score.weight");
  const [first, second] = model.parameters.gradients!.read().slice(offset, offset + 2);
  trainer.free();
  model.free();
  const hidden = (id: number) => [NUMBERS[id]! / 2, Math.sqrt(4 - (NUMBERS[id]! / 2) ** 2)] as const;
  return { loss: metrics["train/loss"]!, gradient: [first!, second!], hidden };
}

test("value_loss_is_half_the_larger_of_the_free_and_the_clipped_squared_error", () => {
  const old = [0.25, -1.25, 1, 0.75];
  const returns = [1, -1, 3, 0];
  // V 0.5, −1.25, 2, 0.75. Free errors: 0.25, 0.0625, 1, 0.5625. Clipped at 0.5: the third value is held at 1.5: error 2.25.
  const { loss, gradient, hidden } = lossOf(0.5, old, returns);
  expect(loss).toBeCloseTo((0.25 + 0.0625 + 2.25 + 2 * 0.5625) / 4 / 2, 9);
  // d loss / d V = weight · (V − R) / 4; none through the held value.
  const slopes: [number, number][] = [
    [1, -0.5 / 4],
    [2, -0.25 / 4],
    [4, (2 * 0.75) / 4],
  ];
  for (const c of [0, 1] as const)
    expect(gradient[c]).toBeCloseTo(
      slopes.reduce((sum, [id, s]) => sum + s * hidden(id)[c], 0),
      7,
    );
  expect(lossOf(0, old, returns).loss).toBeCloseTo((0.25 + 0.0625 + 1 + 2 * 0.5625) / 4 / 2, 9);
});

const ppo = (set: object = {}, value: object = {}) => ({
  steps: 6,
  algorithm: {
    advantage: "gae",
    aggregation: "token_mean",
    kl_coef: 0.01,
    kl_placement: "reward",
    inner_epochs: 2,
  },
  value: { lr: 1e-3, warmup_steps: 1, ...value },
  checkpoint: { every: 2, keep_last: 2 },
  ...set,
});
const weights = (dir: string, at: string) => readFileSync(join(dir, at, "model.safetensors"));

test.each([
  ["a_model_of_its_own", {}],
  ["the_policys_trunk", { shared: true }],
])("ppo_with_%s_learns_its_values_and_resumes_to_equal_bits", async (name, value) => {
  const whole = await run(`whole-${name}`, ppo({}, value));
  const rows = stepMetrics(whole.events);
  expect(rows).toHaveLength(6);
  for (const row of rows) expect(row["value/loss"]).toBeGreaterThan(0);
  // Its first values are 0 everywhere.
  expect(rows[0]!["value/mean"]).toBe(0);
  expect(rows[5]!["value/mean"]).not.toBe(0);
  // While values warm up the policy stays: the second step samples from the first one's weights.
  if (name === "a_model_of_its_own") expect(rows[1]!["kl/mean"]).toBeCloseTo(0, 9);
  expect(rows[5]!["kl/mean"]).toBeGreaterThan(1e-6);

  const stopped = await run(`stopped-${name}`, ppo({}, value), { stopAt: 3 });
  const resumed = await run(`stopped-${name}`, ppo({}, value), {
    resumeFrom: stopped.result.outputs.checkpoint!,
  });
  const last = "checkpoints/step-000006";
  expect(weights(resumed.dir, last).equals(weights(whole.dir, last))).toBe(true);
  if (name === "the_policys_trunk") return;
  expect(weights(resumed.dir, "value/step-000006").equals(weights(whole.dir, "value/step-000006"))).toBe(
    true,
  );
  expect(readdirSync(join(whole.dir, "value")).sort()).toEqual(["step-000004", "step-000006"]);
});

test("a_value_model_and_an_advantage_that_reads_none_are_refused_together", async () => {
  for (const [set, what] of [
    [{ value: {} }, /`value` beside algorithm.advantage grpo/],
    [{ algorithm: { advantage: "gae" } }, /advantage gae without `value`/],
  ] as const)
    await expect(run("refused", set)).rejects.toMatchObject({
      code: "value_model_mismatch",
      exitCode: 2,
      what: expect.stringMatching(what),
    });
});
