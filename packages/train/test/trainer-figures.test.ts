// What a step and an evaluation report, against losses of a model whose probabilities are a table, worked out by hand.
import type { Batch } from "@nsa/core";
import { Device } from "@nsa/kernels";
import { logprobs, Transformer } from "@nsa/model";
import { afterAll, expect, test } from "vitest";
import { bigramModel } from "../../model/test/bigram-model.ts";
import { countingBatch, stepOf, tinyConfig } from "../../model/test/training-fixture.ts";
import { crossEntropy, type LossFunction, Trainer } from "../src/index.ts";

const cpu = Device.open("cpu", { threads: 1 });
afterAll(() => cpu.close());

const batch = (tokens: number[], targets: number[], lossWeight: number[], borders: number[]): Batch => ({
  tokens: Int32Array.from(tokens),
  targets: Int32Array.from(targets),
  lossWeight: Float32Array.from(lossWeight),
  positions: Int32Array.from(tokens, (_, t) => t - borders.findLast((b) => b <= t)!),
  cuSeqlens: Int32Array.from(borders),
  sampleIds: Float64Array.from(borders.slice(1), (_, i) => i),
});
/** Targets of 1, 2 and 2 bits, weights 0.5, 2 and 1: 6.5 weighted bits over a weight of 3.5. */
const first = batch([0, 0, 1, 2], [0, 1, 2, -1], [0.5, 2, 1, 0], [0, 3, 4]);
/** A target of 3 bits of weight 3, one masked by its weight. */
const second = batch([1, 3], [0, 2], [3, 0], [0, 2]);
const whole = { microBatches: [first, second], weightSum: 6.5 };

function start(config: ConstructorParameters<typeof Trainer>[2] = {}, total = 100) {
  const optimizer = { lr: 0, ...config.optimizer };
  return new Trainer(bigramModel(cpu), total, { ...config, optimizer });
}

const times = (factor: number): LossFunction => {
  return (b, c) => ({ loss: c.math.mul(crossEntropy(b, c).loss, factor) });
};

test("log_probabilities_are_the_table_and_temperature_divides_the_logits", () => {
  const { model } = start();
  const bits = [...logprobs(model, first).logp].map((x) => -x / Math.LN2);
  expect(bits).toEqual([1, 2, 2, 0].map((b) => expect.closeTo(b, 5)));
  // At temperature 0.5 the row (1/2, 1/4, 1/8, 1/8) is squared: 1/4 of 11/32.
  const { logp, entropy } = logprobs(model, first, { temperature: 0.5 });
  expect(Math.exp(logp[0]!)).toBeCloseTo(8 / 11, 5);
  const sharp = [8, 2, 0.5, 0.5].map((x) => x / 11);
  expect(entropy[0]).toBeCloseTo(-sharp.reduce((s, p) => s + p * Math.log(p), 0), 5);
});

test("the_loss_of_a_step_is_the_weighted_mean_over_all_its_micro_batches", () => {
  const trainer = start();
  // (6.5 + 9) / 6.5 bits; a mean of the micro-batches' means would be 2.43, one without weights 2.
  expect(trainer.step(whole, crossEntropy)["train/loss"]).toBeCloseTo((15.5 / 6.5) * Math.LN2, 5);
  // Other ranks may hold the rest of the weight.
  const share = trainer.step({ ...whole, weightSum: 10 }, crossEntropy);
  expect(share["train/loss"]).toBeCloseTo(1.55 * Math.LN2, 5);
  expect(share["train/tokens"]).toBe(6);
});

test("the_gradient_of_a_step_is_that_of_its_weighted_mean", () => {
  const trainer = start({ optimizer: { clip: 0.125 } });
  const metrics = trainer.step(whole, crossEntropy);
  const { parameters } = trainer.model;
  const { offset } = parameters.range("lm_head.weight");
  const g = parameters.gradients!.read();
  // d loss / d lm_head[v][token] = Σ w·(p(v | token) − [v is the target]) / 6.5, the hidden state being one-hot.
  const at = (v: number, token: number) => g[offset + 4 * v + token]!;
  expect(at(0, 0)).toBeCloseTo((0.5 * (1 / 2 - 1) + 2 * (1 / 2)) / 6.5, 6);
  expect(at(1, 0)).toBeCloseTo((0.5 * (1 / 4) + 2 * (1 / 4 - 1)) / 6.5, 6);
  expect(at(0, 1)).toBeCloseTo((1 * (1 / 8) + 3 * (1 / 8 - 1)) / 6.5, 6);
  expect(at(2, 1)).toBeCloseTo((1 * (1 / 4 - 1) + 3 * (1 / 4)) / 6.5, 6);
  expect(at(2, 3)).toBe(0);
  // The reported norm is that of all gradients before the clip.
  expect(metrics["train/grad_norm"]).toBeCloseTo(Math.sqrt(g.reduce((s, x) => s + x * x, 0)), 5);
  expect(metrics["train/grad_norm"]).toBeGreaterThan(0.125);
});

test("the_moving_average_takes_a_fiftieth_of_each_loss_and_starts_at_the_first", () => {
  const trainer = start();
  const one = (15.5 / 6.5) * Math.LN2;
  const ema = [1, 4, 2].map((factor) => trainer.step(whole, times(factor))["train/loss_ema"]! / one);
  // 1; 0.98·1 + 0.02·4 = 1.06; 0.98·1.06 + 0.02·2 = 1.0788.
  expect(ema).toEqual([1, 1.06, 1.0788].map((x) => expect.closeTo(x, 5)));
  const resumed = start();
  resumed.load(trainer.save());
  // 0.98·1.0788 + 0.02·3 = 1.117224.
  expect(resumed.step(whole, times(3))["train/loss_ema"]! / one).toBeCloseTo(1.117224, 5);
});

test("the_learning_rate_of_a_step_counts_from_1", () => {
  const trainer = start({ optimizer: { lr: 0.08 }, schedule: { kind: "constant", warmupSteps: 4 } });
  const rates = Array.from({ length: 6 }, () => trainer.step(whole, crossEntropy)["train/lr"]);
  expect(rates).toEqual([0.02, 0.04, 0.06, 0.08, 0.08, 0.08].map((x) => expect.closeTo(x, 12)));
});

test("an_evaluation_weighs_every_target_over_all_batches", () => {
  const trainer = start();
  expect(trainer.evaluate([first, second])).toEqual({
    loss: expect.closeTo((15.5 / 6.5) * Math.LN2, 5),
    weight: 6.5,
  });
  expect(trainer.evaluate([second]).loss).toBeCloseTo(3 * Math.LN2, 5);
  expect(trainer.evaluate([])).toEqual({ loss: 0, weight: 0 });
});

/** A trainer whose last norms were 1, 2 … n: of 1 … 32 the mean is 16.5 and the deviation √((32² − 1)/12) = 9.2331. */
function withNorms(norms: number[], skipZScore: number) {
  const trainer = start({ skipZScore });
  const norm = trainer.step(whole, crossEntropy)["train/grad_norm"]!;
  trainer.load({ step: norms.length, lossEma: null, norms });
  return { trainer, step: (want: number) => trainer.step(whole, times(want / norm)) };
}
const upTo = (n: number) => Array.from({ length: n }, (_, i) => i + 1);

test("a_norm_is_an_outlier_above_the_mean_by_so_many_deviations_of_its_history", () => {
  // 16.5 + 2·9.2331 = 34.966; with n − 1 in the deviation it would be 35.26.
  const { trainer, step } = withNorms(upTo(32), 2);
  expect(step(35.1)["train/skipped"]).toBe(1);
  // A skipped norm leaves the history as it was, so its twin is skipped, too, however often it comes.
  for (let i = 0; i < 5; i++) expect(step(35.1)["train/skipped"]).toBe(1);
  expect(trainer.save().norms).toEqual(upTo(32));
  expect(trainer.save().step).toBe(38);
  expect(step(34.8)["train/skipped"]).toBe(0);
  expect(trainer.save().norms.at(-1)).toBeCloseTo(34.8, 3);
  // With 34.8 among them the limit is 17.0545 + 2·9.6181 = 36.291.
  expect(step(36.4)["train/skipped"]).toBe(1);
  expect(step(36.2)["train/skipped"]).toBe(0);
});

test("a_skipped_update_of_muon_leaves_the_weights_and_its_momentum", () => {
  const model = new Transformer(cpu, tinyConfig);
  model.parameters.init(3);
  const trainer = new Trainer(model, 9, { skipZScore: 2, optimizer: { kind: "muon", lr: 0.1 } });
  const step = stepOf(countingBatch(5, 0));
  const state = () => [...model.parameters.flat.read(), ...trainer.optimizer.buffers.m!.read()];
  const before = state();
  const changed = () => state().filter((x, i) => x !== before[i]).length;
  // Norms near 0 make any other an outlier.
  trainer.load({ step: 32, lossEma: null, norms: new Array<number>(32).fill(1e-6) });
  expect(trainer.step(step, crossEntropy)["train/skipped"]).toBe(1);
  expect(changed()).toBe(0);
  trainer.load({ step: 32, lossEma: null, norms: [] });
  expect(trainer.step(step, crossEntropy)["train/skipped"]).toBe(0);
  expect(changed()).toBeGreaterThan(before.length / 2);
});

test("nothing_is_skipped_before_32_norms_or_at_a_score_of_0", () => {
  const early = withNorms(upTo(31), 2);
  expect(early.step(1000)["train/skipped"]).toBe(0);
  expect(early.trainer.save().norms).toHaveLength(32);
  expect(withNorms(upTo(32), 0).step(1000)["train/skipped"]).toBe(0);
});

test("the_history_holds_the_last_128_norms", () => {
  const { trainer, step } = withNorms(upTo(128), 3);
  step(50);
  const { norms } = trainer.save();
  expect(norms).toHaveLength(128);
  expect([norms[0], norms[126], norms[127]]).toEqual([2, 128, expect.closeTo(50, 3)]);
});
