// An optimizer from outside: one named state buffer, its update by hand, saved and restored with a checkpoint.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SafetensorsReader } from "@nsa/core";
import { Device } from "@nsa/kernels";
import { loadCheckpoint, saveCheckpoint, Transformer } from "@nsa/model";
import { afterAll, expect, test } from "vitest";
import { CountingSource, tinyConfig } from "../../model/test/training-fixture.ts";
import { crossEntropy, type OptimizerKind, optimizerKinds, Trainer } from "../src/index.ts";

const device = Device.open("cpu");
const root = mkdtempSync(join(tmpdir(), "nsa-optimizer-"));
afterAll(() => {
  device.close();
  rmSync(root, { recursive: true, force: true });
});

/** velocity = 0.5·velocity + clip·g; p −= lr·velocity. */
const heavyBall: OptimizerKind = {
  name: "test_heavy_ball",
  onDevice: false,
  buffers: (_config, master) => ({ velocity: master }),
  apply({ device: d, parameters, state, buffers }, lr) {
    const { flat, low, gradients } = parameters;
    const scaled = d.empty(flat.shape, flat.dtype);
    d.run("binary", { a: gradients!, b: state.view(2, [1]), y: scaled, kind: 2 });
    d.run("add", { a: buffers.velocity!, b: scaled, y: buffers.velocity!, alpha: 0.5, beta: 1 });
    d.run("add", { a: flat, b: buffers.velocity!, y: flat, alpha: 1, beta: -lr });
    if (low) d.run("copy", { x: flat, y: low });
  },
};
optimizerKinds.register(heavyBall);

function make() {
  const model = new Transformer(device, tinyConfig);
  model.parameters.init(4);
  const trainer = new Trainer(model, 8, {
    optimizer: { kind: "test_heavy_ball", lr: 0.5, clip: 0 },
    schedule: { kind: "constant" },
  });
  return { model, trainer };
}

test("two_steps_of_an_optimizer_from_outside_are_those_of_its_formula", () => {
  const { model, trainer } = make();
  const source = new CountingSource();
  const weights = () => model.parameters.flat.read();
  const start = weights();
  trainer.step(source.next(), crossEntropy);
  const first = weights();
  const g1 = model.parameters.gradients!.read();
  trainer.step(source.next(), crossEntropy);
  const second = weights();
  const g2 = model.parameters.gradients!.read();
  const i = g1.findIndex((g) => Math.abs(g) > 1e-3);
  expect(first[i]).toBeCloseTo(start[i]! - 0.5 * g1[i]!, 6);
  expect(second[i]).toBeCloseTo(first[i]! - 0.5 * (0.5 * g1[i]! + g2[i]!), 6);
  expect(Object.keys(trainer.optimizer.buffers)).toEqual(["velocity"]);
});

test("its_state_is_saved_by_parameter_and_name_and_goes_on_with_equal_bits", async () => {
  const whole = make();
  const source = new CountingSource();
  whole.trainer.step(source.next(), crossEntropy);
  const dir = join(root, "step-000001");
  const { optimizer } = whole.trainer;
  await saveCheckpoint(dir, { model: whole.model, optimizer, stateful: [whole.trainer, source], step: 1 });
  using saved = SafetensorsReader.open(join(dir, "optimizer.safetensors"));
  expect([...saved.entries.keys()]).toContain("model.norm.weight.velocity");
  expect(saved.entries.size).toBe(whole.model.parameters.names.length);
  const again = make();
  const resumed = new CountingSource();
  await loadCheckpoint(dir, {
    model: again.model,
    optimizer: again.trainer.optimizer,
    stateful: [again.trainer, resumed],
  });
  whole.trainer.step(source.next(), crossEntropy);
  again.trainer.step(resumed.next(), crossEntropy);
  expect(again.model.parameters.flat.read()).toEqual(whole.model.parameters.flat.read());
});
