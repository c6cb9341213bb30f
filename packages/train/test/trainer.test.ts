// The trainer: learning, accumulation, determinism, memory, skipping, divergence, schedules, Muon.

import { logprobs, Transformer } from "@nsa/model";
import { afterAll, expect, test } from "vitest";
import { openBackend } from "../../kernels/test/backend.ts";
import { headLayout } from "../../model/src/heads/apply.ts";
import { CountingSource, countingBatch, stepOf, tinyConfig } from "../../model/test/training-fixture.ts";
import { crossEntropy, lrShare, scheduleSchema, Trainer } from "../src/index.ts";

const cpu = openBackend({ threads: 2 });
afterAll(() => cpu.close());

function start(device = cpu, config: ConstructorParameters<typeof Trainer>[2] = {}, total = 60) {
  const model = new Transformer(device, tinyConfig);
  model.parameters.init(7);
  return new Trainer(model, total, { optimizer: { lr: 0.01 }, ...config });
}

for (const kind of ["adamw", "muon"] as const) {
  test(`a_model_learns_to_count_with_${kind}`, () => {
    const trainer = start(cpu, { optimizer: { kind, lr: 0.01 } });
    const source = new CountingSource();
    const losses: number[] = [];
    for (let i = 0; i < 60; i++) losses.push(trainer.step(source.next(), crossEntropy)["train/loss"]!);
    expect(losses[0]).toBeGreaterThan(Math.log(17) - 0.3);
    expect(trainer.evaluate([countingBatch(99, 0)]).loss).toBeLessThan(0.6 * losses[0]!);
    trainer.model.free();
    trainer.free();
  });
}

test("bf16_storage_learns_nearly_as_fp32_and_keeps_its_copies_in_step_with_the_masters", () => {
  const losses = (["fp32", "bf16"] as const).map((dtype) => {
    const model = new Transformer(cpu, { ...tinyConfig, dtype });
    model.parameters.init(7);
    const trainer = new Trainer(model, 40, { optimizer: { lr: 0.01 } });
    const source = new CountingSource();
    for (let i = 0; i < 40; i++) trainer.step(source.next(), crossEntropy);
    const key = "model.layers.0.mlp.down";
    const { offset, shape } = model.parameters.range(`${key}_proj.weight`);
    const masters = model.parameters.flat.view(offset, shape).read();
    const used = model.parameters.weight(key).read();
    const worst = masters.reduce((w, x, i) => Math.max(w, Math.abs(x - used[i]!) / (Math.abs(x) + 1e-9)), 0);
    expect(worst).toBeLessThanOrEqual(dtype === "bf16" ? 2 ** -8 : 0);
    return trainer.evaluate([countingBatch(99, 0)]).loss;
  });
  expect(losses[0]).toBeLessThan(2.2);
  expect(Math.abs(losses[1]! - losses[0]!)).toBeLessThan(0.15);
});

test("splitting_a_step_into_micro_batches_changes_nothing_beyond_rounding", () => {
  const [a, b] = [countingBatch(5, 0, 1), countingBatch(5, 1, 1)];
  const joined = {
    ...a,
    tokens: Int32Array.of(...a.tokens, ...b.tokens),
    targets: Int32Array.of(...a.targets, ...b.targets),
    lossWeight: Float32Array.of(...a.lossWeight, ...b.lossWeight),
    positions: Int32Array.of(...a.positions, ...b.positions),
    cuSeqlens: Int32Array.of(0, 24, 48),
  };
  const gradients = [stepOf(joined), stepOf(a, b)].map((step) => {
    const trainer = start();
    const metrics = trainer.step(step, crossEntropy);
    return { loss: metrics["train/loss"]!, g: trainer.model.parameters.gradients!.read() };
  });
  const [whole, split] = gradients as [(typeof gradients)[0], (typeof gradients)[0]];
  expect(Math.abs(whole.loss - split.loss)).toBeLessThan(1e-6);
  const norm = Math.sqrt(whole.g.reduce((s, x) => s + x * x, 0));
  const distance = Math.sqrt(whole.g.reduce((s, x, i) => s + (x - split.g[i]!) ** 2, 0));
  expect(distance / norm).toBeLessThan(1e-6);
});

test("twenty_steps_have_the_same_bits_at_one_and_two_threads", () => {
  const weights = [1, 2].map((threads) => {
    const device = openBackend({ threads });
    const trainer = start(device);
    const source = new CountingSource();
    for (let i = 0; i < 20; i++) trainer.step(source.next(), crossEntropy);
    const values = [...trainer.model.parameters.flat.read()];
    device.close();
    return values;
  });
  expect(weights[1]).toEqual(weights[0]);
});

test("live_bytes_and_handles_stay_flat_over_steps", () => {
  const trainer = start();
  const source = new CountingSource();
  for (let i = 0; i < 3; i++) trainer.step(source.next(), crossEntropy);
  const before = cpu.stats();
  for (let i = 0; i < 200; i++) trainer.step(source.next(), crossEntropy);
  expect(cpu.stats().liveBytes).toBe(before.liveBytes);
  expect(cpu.stats().handles).toBe(before.handles);
});

test("logprobs_equal_what_the_loss_sees_at_the_same_temperature", () => {
  const trainer = start();
  const batch = countingBatch(5, 3);
  const host = logprobs(trainer.model, batch, { temperature: 0.7 });
  trainer.step(
    stepOf(batch),
    (b, context) => {
      expect([...context.logp.read()]).toEqual([...host.logp]);
      return crossEntropy(b, context);
    },
    { temperature: 0.7 },
  );
  expect(host.logp[23]).toBe(0);
});

test("a_micro_batch_without_a_target_adds_nothing", () => {
  const [with_, without] = [start(), start()];
  const batch = countingBatch(5, 3);
  const none = countingBatch(6, 3);
  none.targets.fill(-1);
  none.lossWeight.fill(0);
  const { microBatches, weightSum } = stepOf(batch);
  for (let i = 0; i < 3; i++) {
    const figures = with_.step({ microBatches: [...microBatches, none], weightSum }, crossEntropy);
    expect(figures["train/loss"]).toBe(without.step({ microBatches, weightSum }, crossEntropy)["train/loss"]);
  }
  expect([...with_.model.parameters.flat.read()]).toEqual([...without.model.parameters.flat.read()]);
  expect([...logprobs(with_.model, none).logp].every((x) => x === 0)).toBe(true);
  // An empty tensor has room for one entry, which nobody would have written.
  expect(headLayout(none.targets)).toEqual({ targets: Int32Array.of(-1), rows: Int32Array.of(-1) });
});

test("bf16_moments_learn_as_fp32_ones_in_half_the_memory_with_equal_bits_twice", () => {
  const run = (stateDtype: "fp32" | "bf16") => {
    const trainer = start(cpu, { optimizer: { lr: 0.01, stateDtype } });
    const source = new CountingSource();
    for (let i = 0; i < 60; i++) trainer.step(source.next(), crossEntropy);
    const out = {
      loss: trainer.evaluate([countingBatch(99, 0)]).loss,
      weights: [...trainer.model.parameters.flat.read()],
      dtype: trainer.optimizer.buffers.v!.dtype,
    };
    trainer.free();
    trainer.model.free();
    return out;
  };
  const [whole, half, again] = [run("fp32"), run("bf16"), run("bf16")];
  expect([whole.dtype, half.dtype]).toEqual(["f32", "bf16"]);
  expect(Math.abs(half.loss - whole.loss)).toBeLessThan(0.15);
  expect(half.weights).not.toEqual(whole.weights);
  expect(again.weights).toEqual(half.weights);
  expect(() => start(cpu, { optimizer: { kind: "muon", stateDtype: "bf16" } })).toThrowError(
    expect.objectContaining({ code: "state_dtype", exitCode: 2 }),
  );
});

test("a_gradient_outlier_is_skipped_and_leaves_the_weights", () => {
  const trainer = start(cpu, { skipZScore: 6, optimizer: { lr: 0.001 } });
  const source = new CountingSource();
  for (let i = 0; i < 40; i++) trainer.step(source.next(), crossEntropy);
  const before = [...trainer.model.parameters.flat.read()];
  const metrics = trainer.step(source.next(), (b, c) => ({
    loss: c.math.mul(crossEntropy(b, c).loss, 1e4),
  }));
  expect(metrics["train/skipped"]).toBe(1);
  expect([...trainer.model.parameters.flat.read()]).toEqual(before);
});

test("a_loss_that_is_not_finite_stops_with_exit_5_and_leaves_the_weights", () => {
  const trainer = start();
  const before = [...trainer.model.parameters.flat.read()];
  const bad = () =>
    trainer.step(stepOf(countingBatch(5, 0)), (b, c) => ({
      loss: c.math.mul(crossEntropy(b, c).loss, Number.NaN),
    }));
  expect(bad).toThrowError(expect.objectContaining({ code: "diverged", exitCode: 5 }));
  expect([...trainer.model.parameters.flat.read()]).toEqual(before);
});

test("schedules_take_their_published_values", () => {
  const schedule = (s: object) => scheduleSchema.parse(s);
  const multi = schedule({ kind: "multi_step", warmupSteps: 10 });
  expect([5, 80, 81, 90, 91].map((s) => lrShare(multi, s, 100))).toEqual([
    0.5,
    1,
    Math.sqrt(0.1),
    Math.sqrt(0.1),
    0.1,
  ]);
  const cosine = schedule({ kind: "cosine", minRatio: 0.1 });
  expect(lrShare(cosine, 50, 100)).toBeCloseTo(0.55, 12);
  expect(lrShare(cosine, 100, 100)).toBeCloseTo(0.1, 12);
  const wsd = schedule({ kind: "wsd", minRatio: 0, decayShare: 0.2 });
  expect([10, 80, 90, 100].map((s) => lrShare(wsd, s, 100))).toEqual([
    1,
    expect.closeTo(1, 9),
    expect.closeTo(0.5, 9),
    0,
  ]);
});
