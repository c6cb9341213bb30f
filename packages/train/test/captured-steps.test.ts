// Captured training steps: the bits of plain ones, one memory for all shapes, and only for losses that are static.
//
// On the CPU the addon writes ops down and runs them again, so that all of this is tested without a GPU.
import { type Batch, Rng } from "@nsa/core";
import type { Device } from "@nsa/kernels";
import { type ModelConfig, resolveModelConfig, Transformer } from "@nsa/model";
import { expect, test } from "vitest";
import { needs } from "../../core/test/needs.ts";
import { isCpu, openBackend } from "../../kernels/test/backend.ts";
import { countingBatch, stepOf, tinyConfig } from "../../model/test/training-fixture.ts";
import { crossEntropy, type LossFunction, Trainer } from "../src/index.ts";

/** Packed documents of random lengths; with `masked`, prompts carry no target. */
function packed(step: number, tokens: number, masked: boolean): Batch {
  const rng = new Rng(3, 1);
  const borders = [0];
  while (borders.at(-1)! < tokens)
    borders.push(Math.min(tokens, borders.at(-1)! + 1 + rng.int(40, step, borders.length)));
  const batch: Batch = {
    tokens: Int32Array.from({ length: tokens }, (_, t) => rng.int(17, step, 1000 + t)),
    targets: Int32Array.from({ length: tokens }, (_, t) => (rng.int(17, step, 1000 + t) + 5) % 17),
    lossWeight: new Float32Array(tokens).fill(1),
    positions: new Int32Array(tokens),
    cuSeqlens: Int32Array.from(borders),
    sampleIds: new Float64Array(borders.length - 1),
  };
  if (!masked) return batch;
  for (let i = 0; i + 1 < borders.length; i++) {
    for (let t = borders[i]!; t < (borders[i]! + borders[i + 1]!) / 2; t++) {
      batch.targets[t] = -1;
      batch.lossWeight[t] = 0;
    }
  }
  return batch;
}

const models: Record<string, ModelConfig> = {
  nsa: tinyConfig,
  full: resolveModelConfig({ ...tinyConfig, attention: "full", dtype: "bf16" }),
  "nsa with weights": resolveModelConfig({ ...tinyConfig, compress: "weighted" }),
  "nsa with a mean": resolveModelConfig({ ...tinyConfig, compress: "mean" }),
};

function train(device: Device, config: ModelConfig, batches: Batch[][], recompute = false) {
  const model = new Transformer(device, config);
  model.parameters.init(7);
  const trainer = new Trainer(model, 40, { optimizer: { lr: 0.01 }, recompute });
  const metrics = batches.map((step) => trainer.step(stepOf(...step), crossEntropy));
  const result = {
    weights: [...model.parameters.flat.read()],
    metrics,
    captured: trainer.microSteps.captured,
  };
  trainer.free();
  model.free();
  return result;
}

for (const [name, config] of Object.entries(models)) {
  test(`a_replay_has_the_bits_of_a_plain_step_with_${name.replaceAll(" ", "_")}`, () => {
    for (const [masked, recompute] of [
      [false, false],
      [true, true],
    ] as const) {
      const steps = Array.from({ length: 6 }, (_, i) => [
        packed(2 * i, 150, masked),
        packed(2 * i + 1, 150, masked),
      ]);
      const device = openBackend({ threads: 1, recordOps: true });
      const captured = train(device, config, steps, recompute);
      const stop = device.profile();
      const plain = train(device, config, steps, recompute);
      stop();
      device.close();
      expect(captured.captured).toBeGreaterThan(0);
      expect(plain.captured).toBe(0);
      expect(captured.metrics).toEqual(plain.metrics);
      expect(captured.weights).toEqual(plain.weights);
      expect(captured.metrics.at(-1)!["train/loss"]).toBeLessThan(captured.metrics[0]!["train/loss"]!);
    }
  });
}

for (const name of ["nsa", "nsa with weights"]) {
  needs(isCpu, "a promise of the CPU backend only")(
    `padding_to_a_bucket_changes_nothing_beyond_rounding_with_${name.replaceAll(" ", "_")}`,
    () => {
      const steps = Array.from({ length: 4 }, (_, i) => [packed(i, 131 + 7 * i, true)]);
      const losses = [true, false].map((recordOps) => {
        const device = openBackend({ threads: 1, recordOps });
        const { metrics } = train(device, models[name]!, steps);
        device.close();
        return metrics.map((m) => [m["train/loss"]!, m["train/grad_norm"]!]);
      });
      for (const [i, [loss, norm]] of losses[0]!.entries()) {
        expect(Math.abs(loss! - losses[1]![i]![0]!)).toBeLessThan(1e-4);
        expect(norm! / losses[1]![i]![1]!).toBeCloseTo(1, 3);
      }
    },
  );
}

test("a_loss_that_is_not_static_is_never_captured", () => {
  const device = openBackend({ threads: 1, recordOps: true });
  const model = new Transformer(device, tinyConfig);
  model.parameters.init(7);
  const trainer = new Trainer(model, 10);
  const looking: LossFunction = (batch, context) => {
    const seen = context.logp.read().length;
    return { loss: crossEntropy(batch, context).loss, metrics: { seen } };
  };
  for (let i = 0; i < 3; i++) expect(trainer.step(stepOf(countingBatch(5, i)), looking).seen).toBe(48);
  expect(trainer.microSteps.captured).toBe(0);
  device.close();
});

test("a_static_loss_that_reads_on_the_host_fails_when_it_is_recorded", () => {
  const device = openBackend({ threads: 1, recordOps: true });
  const model = new Transformer(device, tinyConfig);
  model.parameters.init(7);
  const trainer = new Trainer(model, 10);
  const liar: LossFunction = Object.assign(
    (batch: Batch, context: Parameters<LossFunction>[1]) => {
      context.logp.read();
      return crossEntropy(batch, context);
    },
    { static: true as const },
  );
  trainer.step(stepOf(countingBatch(5, 0)), liar);
  expect(() => trainer.step(stepOf(countingBatch(5, 1)), liar)).toThrow(/recorded step|captured step/);
  // Nothing is left half recorded.
  expect(trainer.step(stepOf(countingBatch(5, 2)), crossEntropy)["train/loss"]).toBeGreaterThan(0);
  device.close();
});

test("shapes_share_one_memory_and_old_ones_are_let_go", () => {
  const device = openBackend({ threads: 1, recordOps: true });
  const model = new Transformer(device, tinyConfig);
  model.parameters.init(7);
  const trainer = new Trainer(model, 1000);
  const run = (tokens: number) => {
    for (let i = 0; i < 3; i++) trainer.step(stepOf(packed(i, tokens, true)), crossEntropy);
  };
  run(900);
  const one = device.stats();
  for (let tokens = 300; tokens < 880; tokens += 20) run(tokens);
  const many = device.stats();
  expect(trainer.microSteps.captured).toBeLessThanOrEqual(24);
  // Inputs and results of the shapes are all that is added.
  expect(many.peakBytes - one.peakBytes).toBeLessThan(0.2 * one.peakBytes);
  const before = many.handles;
  for (let tokens = 300; tokens < 880; tokens += 20) run(tokens);
  expect(device.stats().handles).toBe(before);
  trainer.free();
  model.free();
  expect(device.stats().liveBytes).toBe(0);
  device.close();
});

test("a_captured_update_skips_an_outlier_and_a_loss_that_is_not_finite", () => {
  const device = openBackend({ threads: 1, recordOps: true });
  const model = new Transformer(device, tinyConfig);
  model.parameters.init(7);
  const trainer = new Trainer(model, 100, { skipZScore: 6, optimizer: { lr: 0.001 } });
  const scaled = (by: number): LossFunction =>
    Object.assign(
      (b: Batch, c: Parameters<LossFunction>[1]) => ({ loss: c.math.mul(crossEntropy(b, c).loss, by) }),
      { static: true as const },
    );
  for (let i = 0; i < 40; i++) trainer.step(stepOf(countingBatch(5, i)), crossEntropy);
  const before = [...model.parameters.flat.read()];
  expect(trainer.step(stepOf(countingBatch(5, 41)), scaled(1e4))["train/skipped"]).toBe(1);
  expect(() => trainer.step(stepOf(countingBatch(5, 42)), scaled(Number.NaN))).toThrowError(
    expect.objectContaining({ code: "diverged", exitCode: 5 }),
  );
  expect([...model.parameters.flat.read()]).toEqual(before);
  expect(trainer.step(stepOf(countingBatch(5, 43)), crossEntropy)["train/skipped"]).toBe(0);
  device.close();
});
