// PPO: advantages and value losses by hand, and runs with a value model that learn and resume to equal bits.
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { packBatch } from "@nsa/core";
import { Device, Tape, type Tensor, TensorMath } from "@nsa/kernels";
import { type LossFunction, Trainer } from "@nsa/train";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { SampleRewards } from "../src/algorithm/advantages/kind.ts";
import { advantages, flatGroups } from "../src/algorithm/advantages/registry.ts";
import type { PolicySample } from "../src/stages/grpo/batch.ts";
import { type GrpoConfig, grpoSchema } from "../src/stages/grpo/config.ts";
import { lossOf as updateLoss } from "../src/stages/grpo/update.ts";
import { setAdvantages, whiten } from "../src/stages/grpo/value/apply.ts";
import { valueMetrics } from "../src/stages/grpo/value/figures.ts";
import { valueLoss } from "../src/stages/grpo/value/loss.ts";
import type { ValueModel } from "../src/stages/grpo/value/value-model.ts";
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

test("returns_are_advantages_and_old_values_before_the_advantages_are_whitened", () => {
  const sample = (id: number, length: number, weight: number) =>
    ({
      ...{ id, weight, prompt: [], ids: Array<number>(length).fill(1), samplerLogp: [] },
      advantage: new Float32Array(length),
    }) as PolicySample;
  // The second output is masked: it has no value and takes no part in the whitening.
  const samples = [sample(0, 2, 0.5), sample(1, 2, 0), sample(2, 1, 1)];
  const values: Record<number, number[]> = { 0: [0.5, 0.25], 2: [1] };
  const model = { valuesOf: (some: readonly PolicySample[]) => some.map(({ id }) => values[id]!) };
  const rewards = [output([], [[1, 2]]), output([], [[1, 5]]), { ...output([], [[0, 4]]), group: 1 }].map(
    (r, i) => ({ ...r, length: samples[i]!.ids.length }),
  );
  const { algorithm } = grpoSchema.parse({
    init: { checkpoint: "none" },
    algorithm: { advantage: "gae", gaeGamma: 0.5, gaeLambda: 0.25 },
  });
  const settings = { whiten: true } as NonNullable<GrpoConfig["value"]>;
  const metrics = setAdvantages(
    samples,
    rewards,
    { algorithm, value: settings },
    model as unknown as ValueModel,
  );
  // δ: ½·0.25 − 0.5 = −0.375 and 2 − 0.25 = 1.75; γλ = ⅛. The third: 4 − 1.
  const [a, b, c] = [-0.375 + 1.75 / 8, 1.75, 3] as const;
  const returns = [a + 0.5, 2, 4];
  expect(samples.map((s) => (s.returns ? [...Array.from(s.returns)] : undefined))).toEqual([
    near(returns[0]!, returns[1]!),
    undefined,
    near(returns[2]!),
  ]);
  const mean = (a + b + c) / 3;
  const std = Math.sqrt(((a - mean) ** 2 + (b - mean) ** 2 + (c - mean) ** 2) / 3);
  expect([...samples[0]!.advantage, ...samples[2]!.advantage]).toEqual(
    near((a - mean) / std, (b - mean) / std, (c - mean) / std),
  );
  expect(metrics["value/return_mean"]).toBeCloseTo((returns[0]! + 6) / 3, 6);
  expect(metrics["value/mean"]).toBeCloseTo(1.75 / 3, 6);
});

test("on_a_shared_trunk_the_values_loss_is_weighed_by_its_coefficient_and_alone_while_it_warms_up", () => {
  using _ = reference.scope();
  const at = (x: number[]) => reference.from(Float64Array.from(x), [x.length], "f64");
  const columns: Record<string, number[]> = { old_value: [0, 0], return: [1, -1] };
  const context = {
    math: new TensorMath(new Tape()),
    value: at([0.5, 1]),
    column: (name: string) => at(columns[name]!),
    weight: at([1, 3]),
    inverseWeightSum: at([0.5]),
  };
  const policy = () => ({ loss: at([7]), metrics: { x: at([2]) }, rows: {} });
  const config = grpoSchema.parse({
    init: { checkpoint: "none" },
    algorithm: { advantage: "gae" },
    value: { shared: true, coef: 0.25, clip: 0 },
  });
  const of = (warming: boolean) => {
    const loss = updateLoss(config, policy as unknown as LossFunction, warming)!;
    const { loss: total, metrics } = loss({} as never, context as never);
    const read = (x: unknown) => (x as Tensor).item();
    return [read(total), ...Object.entries(metrics!).map(([name, x]) => [name, read(x)])];
  };
  // ½·(1·0.5² + 3·2²)/2.
  const own = (0.25 + 12) / 4;
  expect(of(false)).toEqual([
    expect.closeTo(7 + 0.25 * own, 9),
    ["x", 2],
    ["value/loss", expect.closeTo(own, 9)],
  ]);
  expect(of(true)).toEqual([expect.closeTo(0.25 * own, 9), ["value/loss", expect.closeTo(own, 9)]]);
  // A model of its own leaves the policy's loss as it is; while it warms up there is no update of the policy.
  const apart = { ...config, value: { ...config.value!, shared: false } };
  expect(updateLoss(apart, policy as unknown as LossFunction, false)).toBe(policy);
  expect(updateLoss(apart, policy as unknown as LossFunction, true)).toBeUndefined();
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

test("a_value_model_of_its_own_has_a_learning_rate_of_its_own", async () => {
  const { events } = await run("slow-values", ppo({ steps: 3 }, { lr: 1e-12 }));
  const [first, , third] = stepMetrics(events);
  expect(Math.abs(third!["value/mean"]!)).toBeLessThan(1e-8);
  expect(third!["value/loss"]).toBeGreaterThan(0);
  // The policy has moved: its rate is that of `train`.
  expect(third!["kl/mean"]! - first!["kl/mean"]!).toBeGreaterThan(1e-6);
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

test("a_value_model_of_another_tokenizer_or_a_shorter_context_is_refused", async () => {
  const ppo = (init: string) => ({ steps: 1, algorithm: { advantage: "gae" }, value: { init } });
  const copy = (name: string) => {
    const folder = join(root, name);
    cpSync(base, folder, { recursive: true });
    return folder;
  };
  const refused = (init: string, why: RegExp) =>
    expect(run("unfit", ppo(init))).rejects.toMatchObject({
      ...{ code: "value_model_unfit", exitCode: 3 },
      why: expect.stringMatching(why),
    });
  const tokenizer = copy("other-tokenizer");
  const file = join(tokenizer, "tokenizer.json");
  const json = JSON.parse(readFileSync(file, "utf8"));
  json.model.merges.pop();
  writeFileSync(file, JSON.stringify(json));
  await refused(tokenizer, /tokenizer is not the policy's/);
  mkdirSync(join(root, "short"));
  const short = await makeBase(join(root, "short"), { max_seq_len: 32 });
  await refused(short, /reads 48 tokens, and the policy 64/);
}, 60_000);
