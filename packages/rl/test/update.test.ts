// An update's loss, its reported figures, mini-batches and advantages, under a policy whose probabilities are a table.
import { Device, singleRank } from "@nsa/kernels";
import { wholeReference } from "@nsa/model";
import { Trainer } from "@nsa/train";
import { afterAll, expect, test } from "vitest";
import { bigramModel } from "../../model/test/bigram-model.ts";
import type { PolicySample } from "../src/stages/grpo/batch.ts";
import { policyStep } from "../src/stages/grpo/batch.ts";
import { grpoSchema } from "../src/stages/grpo/config.ts";
import { buildUpdateBatch, type UpdateBatch } from "../src/stages/grpo/learn.ts";
import { grpoLoss } from "../src/stages/grpo/loss.ts";
import type { Output, Rollout } from "../src/stages/grpo/rollout.ts";
import { update } from "../src/stages/grpo/update.ts";

const cpu = Device.open("cpu", { threads: 1 });
afterAll(() => cpu.close());

const { log, exp, LN2 } = Math;
type Config = ReturnType<typeof grpoSchema.parse>;
const config = (algorithm: Partial<Config["algorithm"]> = {}, more: object = {}): Config =>
  grpoSchema.parse({ init: { checkpoint: "none" }, algorithm, ...more });

/** log p of the table: 0→0 and 1→1 1 bit, 0→1 2 bits, 2→3 log₂(4/3) bits. */
const [half, quarter, most] = [log(1 / 2), log(1 / 4), log(3 / 4)];
/** Outputs 0 1 1 after 0, of ratios 2, 0.5 and 0.7, and 3 after 1 2, of ratio 1.5. */
const samples: PolicySample[] = [
  {
    prompt: [0],
    ids: [0, 1, 1],
    weight: 1 / 3,
    advantage: Float32Array.of(2, -1, -2),
    oldLogp: [half - log(2), quarter - log(0.5), half - log(0.7)],
    refLogp: [half - 0.5, quarter, half + 1],
    samplerLogp: [half - log(2) + 0.25, quarter - log(0.5), half - log(0.7) - 0.5],
    id: 0,
  },
  {
    prompt: [1, 2],
    ids: [3],
    weight: 1,
    advantage: Float32Array.of(-3),
    oldLogp: [most - log(1.5)],
    refLogp: [most - 2],
    samplerLogp: [most - log(1.5)],
    id: 1,
  },
];

function stepOf(algorithm: Partial<Config["algorithm"]>, budget = 3) {
  const trainer = new Trainer(bigramModel(cpu), 10, { optimizer: { lr: 0 } });
  const a = config(algorithm).algorithm;
  const metrics = trainer.step(
    policyStep(samples, budget, 2),
    grpoLoss(a, { onPolicy: false, totalTokens: 4 }),
  );
  trainer.free();
  return metrics;
}
const clip = { clipEpsLow: 0.2, clipEpsHigh: 0.4 };
const near = (x: number) => expect.closeTo(x, 5);

for (const budget of [3, 100])
  test(`loss_and_figures_of_four_tokens_by_hand_in_micro_batches_of_${budget}`, () => {
    const metrics = stepOf(clip, budget);
    // Ratios 2, 0.5, 0.7, 1.5 and advantages 2, −1, −2, −3: 1.4·2 clipped above; −0.8 and −1.6 clipped below; −4.5 free.
    const objective = (2.8 - 0.8 - 1.6) / 3 - 4.5;
    const entropy = [1.75, 1.75, 1.75, 0.875 + 0.75 * Math.log2(4 / 3)].reduce((a, b) => a + b, 0) / 4;
    expect(metrics).toMatchObject({
      "train/loss": near(-objective / 2),
      "policy/ratio_mean": near(4.7 / 4),
      "policy/ratio_max": near(2),
      "policy/clip_fraction_low": near(2 / 4),
      "policy/clip_fraction_high": near(1 / 4),
      "policy/entropy": near(entropy * LN2),
      "policy/sampler_difference_mean": near(0.75 / 4),
      "policy/sampler_difference_max": near(0.5),
      // Ratios of π_old and the sampler: e^−0.25, 1, e^0.5, 1.
      "policy/sampler_ratio_outside_share": near(2 / 4),
      "policy/ratio_outside_share": near(1),
    });
    expect(metrics).not.toHaveProperty("kl/mean");
  });

test("the_kl_in_the_loss_is_taken_off_the_objective_and_reported_by_k3", () => {
  // log π/π_ref: 0.5, 0, −1, 2, so k3 = e^−x + x − 1.
  const k3 = [exp(-0.5) - 0.5, 0, exp(1) - 2, exp(-2) + 1];
  const plain = -((2.8 - 0.8 - 1.6) / 3 - 4.5) / 2;
  const weighted = (values: number[]) => ((values[0]! + values[1]! + values[2]!) / 3 + values[3]!) / 2;
  const metrics = stepOf({ ...clip, klCoef: 0.3 });
  expect(metrics["train/loss"]).toBeCloseTo(plain + 0.3 * weighted(k3), 5);
  expect(metrics["kl/mean"]).toBeCloseTo(k3.reduce((a, b) => a + b, 0) / 4, 5);
  const other = stepOf({ ...clip, klCoef: 0.3, klKind: "k1" });
  expect(other["train/loss"]).toBeCloseTo(plain + 0.3 * weighted([0.5, 0, -1, 2]), 5);
  expect(other["kl/mean"]).toBeCloseTo(metrics["kl/mean"]!, 6);
  const square = stepOf({ ...clip, klCoef: 0.3, klKind: "k2" });
  expect(square["train/loss"]).toBeCloseTo(plain + 0.3 * weighted([0.125, 0, 0.5, 2]), 5);
});

test("losses_of_the_other_kinds_by_hand", () => {
  const loss = (algorithm: Partial<Config["algorithm"]>) => stepOf({ ...clip, ...algorithm })["train/loss"];
  // reinforce: log π·A. cispo: its ratio clipped to 0.8 … 1.4.
  const [a, b, c, d] = [half * 2, quarter * -1, half * -2, most * -3];
  expect(loss({ loss: "reinforce" })).toBeCloseTo(-((a + b + c) / 3 + d) / 2, 5);
  expect(loss({ loss: "cispo" })).toBeCloseTo(-((1.4 * a + 0.8 * b + 0.8 * c) / 3 + 1.4 * d) / 2, 5);
  // gspo: the ratio of a sequence is (2·0.5·0.7)^(1/3) = 0.888 for all its tokens, here inside the clip.
  const s = 0.7 ** (1 / 3);
  expect(loss({ loss: "gspo" })).toBeCloseTo(-((s * (2 - 1 - 2)) / 3 - 4.5) / 2, 5);
  // Its clips are counted by that ratio: 0.888 is below 1 − 0.1, where two of three tokens have a negative advantage.
  const low = stepOf({ ...clip, loss: "gspo", clipEpsLow: 0.1 });
  expect(low).toMatchObject({
    "policy/ratio_mean": near((3 * s + 1.5) / 4),
    "policy/ratio_max": near(1.5),
    "policy/ratio_outside_share": near(1),
    "policy/clip_fraction_low": near(2 / 4),
    "policy/clip_fraction_high": 0,
  });
  expect(low["train/loss"]).toBeCloseTo(-((s * 2 - 0.9 - 0.9 * 2) / 3 - 4.5) / 2, 5);
  // The sampler's correction: min(π_old/π_sampler, cap) = e^−0.25, 1, e^0.5 cut at 1.5, 1.
  const weights = [exp(-0.25), 1, 1.5, 1];
  const objectives = [2.8, -0.8, -1.6, -4.5].map((x, t) => x * weights[t]!);
  const corrected = (objectives[0]! + objectives[1]! + objectives[2]!) / 3 + objectives[3]!;
  expect(loss({ samplerCorrection: "truncate", samplerCap: 1.5 })).toBeCloseTo(-corrected / 2, 5);
});

test("mini_batches_are_divided_by_their_share_and_figures_are_means_over_updates", () => {
  const five: PolicySample[] = Array.from({ length: 5 }, (_, i) => ({
    prompt: [1],
    ids: new Array<number>(i + 1).fill(2),
    weight: 1,
    advantage: new Float32Array(i + 1),
    samplerLogp: new Array<number>(i + 1).fill(-1),
    id: i,
  }));
  const seen: { weightSum: number; ids: number[]; temperature?: number }[] = [];
  const trainer = {
    collectives: singleRank,
    step(batch: ReturnType<typeof policyStep>, _: unknown, options: { temperature: number }) {
      const ids = batch.microBatches.flatMap((b) => [...b.sampleIds]);
      seen.push({ weightSum: batch.weightSum, ids, temperature: options.temperature });
      return { "train/loss": seen.length, ratio_max: [3, 9, 4, 2][seen.length - 1]! };
    },
  } as unknown as Trainer;
  const updateBatch: UpdateBatch = { samples: five, weightSum: 20, metrics: { "kl/mean": 0.5 } };
  const twice = config({ innerEpochs: 2, miniBatches: 2 }, { rollout: { temperature: 0.7 } });
  const metrics = update(trainer, updateBatch, twice, { step: 3 });
  // 3 and 2 of 5 outputs, twice: 20·3/5 and 20·2/5.
  expect(seen.map((s) => [s.ids.length, s.weightSum])).toEqual([
    [3, expect.closeTo(12, 9)],
    [2, expect.closeTo(8, 9)],
    [3, expect.closeTo(12, 9)],
    [2, expect.closeTo(8, 9)],
  ]);
  for (const epoch of [0, 2])
    expect([...seen[epoch]!.ids, ...seen[epoch + 1]!.ids].sort()).toEqual([0, 1, 2, 3, 4]);
  expect(seen.every((s) => s.temperature === 0.7)).toBe(true);
  expect([...seen[0]!.ids, ...seen[1]!.ids]).not.toEqual([...seen[2]!.ids, ...seen[3]!.ids]);
  expect(metrics).toEqual({ "train/loss": 2.5, ratio_max: 9, "kl/mean": 0.5 });
  expect(update(trainer, { ...updateBatch, samples: [] }, twice, { step: 3 })).toEqual({ "kl/mean": 0.5 });
});

test("an_update_reports_means_over_all_of_its_tokens", () => {
  const trainer = new Trainer(bigramModel(cpu), 10, { optimizer: { lr: 0 } });
  const twice = config({ ...clip, innerEpochs: 2 }, { microBatchTokens: 3 });
  const metrics = update(trainer, { samples, weightSum: 2, metrics: {} }, twice, { step: 1 });
  expect(metrics["policy/ratio_mean"]).toBeCloseTo(4.7 / 4, 5);
  expect(metrics["train/loss"]).toBeCloseTo(-((2.8 - 0.8 - 1.6) / 3 - 4.5) / 2, 5);
  expect([trainer.stepsDone, metrics["train/tokens"]]).toEqual([2, 5]);
});

test("the_learning_rate_follows_the_steps_of_the_run_however_many_updates_each_makes", () => {
  // Warm-up over 2 of 6 steps, then linear decay to 0: 1/2, 1, and (6 − step)/4 of the peak.
  const schedule = { kind: "wsd", warmupSteps: 2, minRatio: 0, decayShare: 1 } as const;
  const trainer = new Trainer(bigramModel(cpu), 6, { optimizer: { lr: 1e-3 }, schedule });
  const batch = { samples, weightSum: 2, metrics: {} };
  const lr = (step: number, innerEpochs: number) =>
    update(trainer, batch, config({ innerEpochs, miniBatches: 3 }), { step })["train/lr"];
  // Steps of 2, 6 and 4 updates; steps 2 and 5 have none.
  expect([lr(1, 1), lr(3, 3), lr(4, 2), lr(6, 1)]).toEqual([5e-4, 7.5e-4, 5e-4, 0].map(near));
  expect(trainer.stepsDone).toBe(14);
});

/** An output of a group with its reward; ids are those the policy's table prices. */
const output = (
  group: number,
  prompt: number[],
  ids: number[],
  reward: number,
  more: Partial<Output> = {},
): Output => ({
  asked: { id: "x", question: "", answer: "", text: "", prompt },
  prompt,
  text: "",
  answer: "",
  sample: { ids, logp: ids.map(() => -1), keptLogmass: ids.map(() => 0), finish: "stop" },
  row: {
    ...{ id: "x", question: "", answer: "", completion: "" },
    reward: { total: reward, parts: {}, outcome: reward },
    finish: "stop",
    tokens: ids.length,
    echo: false,
  },
  rewards: { group, length: ids.length, steps: [{ token: ids.length - 1, reward }] },
  discarded: false,
  ...more,
});
const rollout = (outputs: Output[]): Rollout => ({
  ...{ cursor: 0, flatGroups: 0, groups: 2, sampling: 0, scoring: 0 },
  outputs,
});

test("advantages_and_weights_of_two_groups_of_unequal_size", () => {
  const policy = bigramModel(cpu);
  const outputs = [
    output(0, [0], [1, 1, 1, 2], 1),
    output(0, [0], [1], 0),
    output(0, [0], [2, 0], 0),
    output(1, [3], [0, 0, 0], 0.5),
    output(1, [3], [1, 2], 0.25),
  ];
  const updateBatch = buildUpdateBatch(policy, rollout(outputs), config());
  // Group 0: mean 1/3, deviation √2/3. Group 1: mean 0.375, deviation 0.125.
  const advantages = [2 / Math.SQRT2, -1 / Math.SQRT2, -1 / Math.SQRT2, 1, -1];
  expect(updateBatch.samples.map((s) => [...s.advantage])).toEqual(
    advantages.map((a, i) => outputs[i]!.sample.ids.map(() => near(a))),
  );
  expect(updateBatch.samples.map((s) => s.weight)).toEqual([1 / 4, 1, 1 / 2, 1 / 3, 1 / 2]);
  expect(updateBatch.weightSum).toBe(5);
  const tokens = buildUpdateBatch(policy, rollout(outputs), config({ aggregation: "token_mean" }));
  expect([tokens.samples.map((s) => s.weight), tokens.weightSum]).toEqual([[1, 1, 1, 1, 1], 12]);
  const fixed = buildUpdateBatch(
    policy,
    rollout(outputs),
    config({ aggregation: "fixed_length" }, { rollout: { maxTokens: 8 } }),
  );
  expect([fixed.samples[0]!.weight, fixed.weightSum]).toEqual([1 / 8, 5]);
});

test("masked_outputs_leave_the_loss_and_stay_in_their_group_s_mean", () => {
  const outputs = [
    output(0, [0], [1, 1], 1),
    output(0, [0], [1], 0),
    output(0, [0], [2, 0], 0),
    output(1, [0], [2], 5, { discarded: true }),
  ];
  outputs[2]!.row.finish = "length";
  const updateBatch = buildUpdateBatch(
    bigramModel(cpu),
    rollout(outputs),
    config({ maskTruncated: true, advantage: "dr_grpo" }),
  );
  expect(updateBatch.samples.map((s) => s.id)).toEqual([0, 1]);
  expect(updateBatch.samples.map((s) => s.advantage[0])).toEqual([near(2 / 3), near(-1 / 3)]);
  expect(updateBatch.weightSum).toBe(2);
});

test("an_output_without_a_reward_leaves_the_loss_its_divisor_and_its_groups_statistics", () => {
  const outputs = [output(0, [0], [1, 1], 1), output(0, [0], [1], Number.NaN), output(0, [0], [2, 0, 1], 0)];
  const batch = buildUpdateBatch(bigramModel(cpu), rollout(outputs), config({ aggregation: "token_mean" }));
  expect(batch.samples.map(({ id, weight }) => [id, weight])).toEqual([
    [0, 1],
    [2, 1],
  ]);
  // Five tokens of two outputs, whose rewards 1 and 0 have mean ½ and deviation ½.
  expect(batch.weightSum).toBe(5);
  expect(batch.all.map(({ advantage }) => advantage[0])).toEqual([near(1), 0, near(-1)]);
});

test("old_and_reference_log_probabilities_are_those_of_their_models_at_the_temperature", () => {
  // The reference gives 0→1 and 1→1 a quarter each, the policy a quarter and a half.
  const model = bigramModel(
    cpu,
    [0, 1, 2, 3].map(() => [1 / 4, 1 / 4, 1 / 4, 1 / 4]),
  );
  const outputs = [output(0, [0], [1, 1], 1), output(0, [2], [3], 0)];
  const twice = config({ innerEpochs: 2, klCoef: 0.1 });
  const { samples, metrics } = buildUpdateBatch(bigramModel(cpu), rollout(outputs), twice, {
    reference: wholeReference(model),
  });
  // A KL in the loss leaves the rewards as they are.
  expect([metrics, samples.map((s) => s.advantage[0])]).toEqual([{}, [1, -1]]);
  expect(samples.map((s) => Array.from(s.oldLogp!))).toEqual([[near(quarter), near(half)], [near(most)]]);
  expect(samples.map((s) => Array.from(s.refLogp!))).toEqual([
    [near(quarter), near(quarter)],
    [near(quarter)],
  ]);
  // At temperature 1/2 the row 1/4 1/2 1/8 1/8 of 1 is squared: 1/2 becomes 8/11.
  const sharp = config({ innerEpochs: 2 }, { rollout: { temperature: 0.5 } });
  const [first] = buildUpdateBatch(bigramModel(cpu), rollout(outputs), sharp).samples;
  expect(first!.oldLogp![1]).toBeCloseTo(log(8 / 11), 5);
});

test("a_kl_in_the_reward_lowers_each_output_by_beta_times_its_sum", () => {
  const model = bigramModel(
    cpu,
    [0, 1, 2, 3].map(() => [1 / 4, 1 / 4, 1 / 4, 1 / 4]),
  );
  const outputs = [output(0, [0], [1, 1], 1), output(0, [2], [3], 0)];
  const inReward = {
    innerEpochs: 2,
    klCoef: 0.1,
    klPlacement: "reward",
    klKind: "k1",
    advantage: "dr_grpo",
  } as const;
  const updateBatch = buildUpdateBatch(bigramModel(cpu), rollout(outputs), config(inReward), {
    reference: wholeReference(model),
  });
  // log π/π_ref: 0 and ln 2 of the first output, ln 3 of the second.
  const [a, b] = [1 - 0.1 * log(2), -0.1 * log(3)];
  expect(updateBatch.samples.map((s) => s.advantage[0])).toEqual([near((a - b) / 2), near((b - a) / 2)]);
  // Reported by k3, a mean over tokens: 0, 1/2 + ln 2 − 1, 1/3 + ln 3 − 1.
  expect(updateBatch.metrics["kl/mean"]).toBeCloseTo((log(2) - 1 / 2 + log(3) - 2 / 3) / 3, 5);
});
