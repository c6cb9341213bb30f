// Checkpoints: exact resume, integrity, what is kept.
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { Device } from "../../kernels/src/index.ts";
import { openBackend } from "../../kernels/test/backend.ts";
import {
  CheckpointStore,
  crossEntropy,
  loadCheckpoint,
  loadModel,
  resumeCheckpoint,
  saveCheckpoint,
  Trainer,
  Transformer,
} from "../src/index.ts";
import { CountingSource, tinyConfig } from "./training-fixture.ts";

const cpu = openBackend({ threads: 1 });
const folder = mkdtempSync(join(tmpdir(), "nsa-checkpoint-"));
afterAll(() => {
  cpu.close();
  rmSync(folder, { recursive: true });
});

function start(seed: number, stateDtype: "fp32" | "bf16" = "fp32") {
  const model = new Transformer(cpu, tinyConfig);
  model.parameters.init(seed);
  const trainer = new Trainer(model, 12, {
    optimizer: { lr: 0.01, stateDtype },
    schedule: { warmupSteps: 3 },
  });
  const source = new CountingSource();
  const run = (n: number) =>
    Array.from({ length: n }, () => trainer.step(source.next(), crossEntropy)["train/loss_ema"]);
  const save = (dir: string) =>
    saveCheckpoint(dir, {
      model,
      optimizer: trainer.optimizer,
      stateful: [trainer, source],
      step: trainer.stepsDone,
    });
  const load = (dir: string) =>
    loadCheckpoint(dir, { model, optimizer: trainer.optimizer, stateful: [trainer, source] });
  return { model, trainer, run, save, load };
}

test.each(["fp32", "bf16"] as const)(
  "two_resumes_give_the_bits_of_an_unbroken_run_with_%s_moments",
  async (dtype) => {
    const whole = start(1, dtype);
    const losses = whole.run(12);
    const parts = [];
    const first = start(1, dtype);
    parts.push(...first.run(5));
    await first.save(join(folder, "a"));
    const second = start(2, dtype);
    await second.load(join(folder, "a"));
    parts.push(...second.run(4));
    await second.save(join(folder, "b"));
    const third = start(3, dtype);
    await third.load(join(folder, "b"));
    parts.push(...third.run(3));
    expect(parts).toEqual(losses);
    expect([...third.model.parameters.flat.read()]).toEqual([...whole.model.parameters.flat.read()]);
    expect([...third.trainer.optimizer.v.read()]).toEqual([...whole.trainer.optimizer.v.read()]);
  },
);

test("a_model_loads_by_its_folder_alone", async () => {
  const run = start(4);
  await run.save(join(folder, "c"));
  const model = loadModel(cpu, join(folder, "c"));
  expect(model.config).toEqual(tinyConfig);
  expect([...model.parameters.flat.read()]).toEqual([...run.model.parameters.flat.read()]);
});

test("truncated_and_bit_flipped_files_are_refused_with_exit_3", async () => {
  const dir = join(folder, "d");
  const run = start(5);
  await run.save(dir);
  const file = join(dir, "model.safetensors");
  const bytes = readFileSync(file);
  const corrupt = expect.objectContaining({ code: "checkpoint_corrupt", exitCode: 3 });
  const flipped = Buffer.from(bytes);
  flipped[bytes.length - 9]! ^= 4;
  writeFileSync(file, flipped);
  await expect(run.load(dir)).rejects.toThrowError(corrupt);
  writeFileSync(file, bytes);
  truncateSync(file, bytes.length - 100);
  await expect(run.load(dir)).rejects.toThrowError(corrupt);
});

test("a_checkpoint_of_another_architecture_is_refused_by_the_name_that_differs", async () => {
  const dir = join(folder, "e");
  await start(6).save(dir);
  const wider = new Transformer(cpu, { ...tinyConfig, dFf: 32 });
  await expect(loadCheckpoint(dir, { model: wider })).rejects.toThrowError(/mlp\.gate_proj\.weight/);
});

test("the_store_keeps_the_last_ones_and_the_best", async () => {
  const dir = mkdtempSync(join(folder, "store-"));
  const store = new CheckpointStore(dir, 2);
  const { model } = start(7);
  // Left by a process that was killed while it saved.
  mkdirSync(join(dir, "step-000001.tmp-4194305"));
  for (const [step, valLoss] of [
    [1, 3],
    [2, 1],
    [3, 2],
    [4, 2],
    [5, 4],
  ] as const) {
    await store.save({ model, step, valLoss });
  }
  expect(readdirSync(dir).sort()).toEqual(["best.json", "step-000002", "step-000004", "step-000005"]);
  expect(store.best()).toEqual({ step: 2, valLoss: 1 });
});

test("a_run_taken_up_on_another_machine_is_told_that_its_bits_differ", async () => {
  const dir = join(folder, "f");
  const device = Device.open("cpu", { threads: 1 });
  const model = new Transformer(device, tinyConfig);
  await saveCheckpoint(dir, { model, step: 8 });
  const heard: unknown[] = [];
  const context = {
    log: (...said: unknown[]) => void heard.push(...said),
    rewind: (step: number) => void heard.push(step),
  };
  const { machine } = await resumeCheckpoint(dir, { model }, context);
  expect(machine).toBe(`cpu, ${device.info.isa}`);
  expect(heard.splice(0)).toEqual([8]);
  const file = join(dir, "state.json");
  const state = readFileSync(file, "utf8");
  writeFileSync(file, state.replace(`"${machine}"`, '"cpu, avx1024"'));
  await resumeCheckpoint(dir, { model }, context);
  expect(heard.splice(0)).toEqual([8, expect.stringMatching(/avx1024, and .*NSA_CPU_ISA=avx1024/), "warn"]);
  writeFileSync(file, state.replace(`"${machine}"`, '"cuda, NVIDIA H100"'));
  await resumeCheckpoint(dir, { model }, context);
  expect(heard.splice(0)).toEqual([8, expect.not.stringContaining("NSA_CPU_ISA"), "warn"]);
  // A checkpoint of before this was written down.
  writeFileSync(file, state.replace(/^ "machine".*\n/m, ""));
  await resumeCheckpoint(dir, { model }, context);
  expect(heard).toEqual([8]);
  device.close();
});
