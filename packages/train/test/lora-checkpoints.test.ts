// Checkpoints of adapters: what they hold, their base, chains of them, exact resume.
import { cpSync, mkdtempSync, renameSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SafetensorsReader } from "@nsa/core";
import {
  INFERENCE_ONLY,
  loadCheckpoint,
  loadModel,
  logprobs,
  rebaseCheckpoint,
  resolveModelConfig,
  saveCheckpoint,
  Transformer,
} from "@nsa/model";
import { afterAll, expect, test } from "vitest";
import { openBackend } from "../../kernels/test/backend.ts";
import { CountingSource, countingBatch, tinyConfig } from "../../model/test/training-fixture.ts";
import { crossEntropy, Trainer } from "../src/index.ts";

const cpu = openBackend({ threads: 1 });
const root = mkdtempSync(join(tmpdir(), "nsa-lora-"));
afterAll(() => {
  cpu.close();
  rmSync(root, { recursive: true, force: true });
});

const lora = { rank: 2, alpha: 6, targets: ["q_proj", "v_proj*", "up_proj"], scaling: "standard" as const };
const batch = countingBatch(5, 3);
const scores = (model: Transformer) => [...logprobs(model, batch).logp];
const distance = (a: readonly number[], b: readonly number[]) =>
  Math.max(...a.map((x, i) => Math.abs(x - b[i]!)));

/** A whole checkpoint with weights of its own. */
async function base(name: string, seed: number, dtype: "fp32" | "bf16" = "fp32"): Promise<string> {
  const dir = join(root, name);
  const config = resolveModelConfig({ ...tinyConfig, initStd: 0.15, dtype });
  const model = new Transformer(cpu, config);
  model.parameters.init(seed);
  await saveCheckpoint(dir, { model, step: 0 });
  return dir;
}

/** Trains new adapters on a checkpoint for some steps. */
async function adapted(from: string, steps = 3, settings = lora, more: { head?: string } = {}) {
  const model = await loadModel(cpu, from, { lora: settings, ...more }, undefined, 7);
  const trainer = new Trainer(model, 8, { optimizer: { lr: 0.02 } });
  const source = new CountingSource();
  for (let i = 0; i < steps; i++) trainer.step(source.next(), crossEntropy);
  return { model, trainer, source };
}

async function saved(name: string, run: Awaited<ReturnType<typeof adapted>>): Promise<string> {
  const dir = join(root, name);
  const { model, trainer, source } = run;
  const { optimizer, stepsDone: step } = trainer;
  await saveCheckpoint(dir, { model, optimizer, stateful: [trainer, source], step });
  return dir;
}

for (const dtype of ["fp32", "bf16"] as const) {
  test(`a_checkpoint_of_adapters_holds_them_alone_and_loads_with_equal_bits_${dtype}`, async () => {
    const from = await base(`holds-${dtype}`, 3, dtype);
    const run = await adapted(from);
    const dir = await saved(`holds-${dtype}-lora`, run);
    using file = SafetensorsReader.open(join(dir, "adapter.safetensors"));
    const wanted = ["q_proj", "v_proj_cmp", "v_proj_slc", "v_proj_win"].map((p) => `self_attn.${p}`);
    const names = [0, 1].flatMap((l) =>
      [...wanted, "mlp.up_proj"].flatMap((p) =>
        ["A", "B"].map((x) => `model.layers.${l}.${p}.lora_${x}.weight`),
      ),
    );
    expect([...file.entries.keys()].sort()).toEqual(names.sort());
    expect(() => statSync(join(dir, "model.safetensors"))).toThrow("ENOENT");
    for (const groups of [undefined, INFERENCE_ONLY])
      expect(scores(await loadModel(cpu, dir, {}, groups))).toEqual(scores(run.model));
    // Merged, the sum is rounded once.
    const merged = await loadModel(cpu, dir, { lora: undefined }, INFERENCE_ONLY);
    expect(merged.parameters.names.some(({ name }) => name.includes("lora"))).toBe(false);
    const apart = distance(scores(merged), scores(run.model));
    expect(apart).toBeLessThan(dtype === "fp32" ? 1e-5 : 0.1);
    expect(distance(scores(run.model), scores(await loadModel(cpu, from)))).toBeGreaterThan(0.2);
  });

  test(`a_run_on_adapters_resumes_with_equal_bits_${dtype}`, async () => {
    const from = await base(`resume-${dtype}`, 3, dtype);
    const whole = await adapted(from, 2);
    const dir = await saved(`resume-${dtype}-lora`, whole);
    const again = await adapted(from, 0);
    await loadCheckpoint(dir, {
      model: again.model,
      optimizer: again.trainer.optimizer,
      stateful: [again.trainer, again.source],
    });
    for (const { trainer, source } of [whole, again]) trainer.step(source.next(), crossEntropy);
    for (const { name } of whole.model.parameters.names)
      expect(again.model.parameters.readMaster(name), name).toEqual(whole.model.parameters.readMaster(name));
  });
}

test("new_adapters_depend_on_the_seed_alone", async () => {
  const from = await base("seeds", 3);
  const a = async (seed: number) =>
    (await loadModel(cpu, from, { lora }, undefined, seed)).parameters.readMaster(
      "model.layers.0.mlp.up_proj.lora_A.weight",
    );
  expect(await a(1)).toEqual(await a(1));
  expect(await a(1)).not.toEqual(await a(2));
});

test("a_base_that_changed_is_refused_and_one_that_moved_is_found_when_named", async () => {
  const from = await base("moves", 3);
  const run = await adapted(from);
  const dir = await saved("moves-lora", run);
  const away = join(root, "moved");
  renameSync(from, away);
  await expect(loadModel(cpu, dir)).rejects.toMatchObject({ code: "base_missing", exitCode: 3 });
  const other = await base("other", 4);
  await expect(rebaseCheckpoint(dir, other)).rejects.toMatchObject({ code: "base_changed", exitCode: 3 });
  await rebaseCheckpoint(dir, away);
  expect(scores(await loadModel(cpu, dir))).toEqual(scores(run.model));
  // Other weights in the place of the base.
  rmSync(away, { recursive: true });
  cpSync(other, away, { recursive: true });
  await expect(loadModel(cpu, dir)).rejects.toMatchObject({
    code: "base_changed",
    what: expect.stringContaining(away),
  });
  // A run whose init is another model does not take the checkpoint up.
  const model = await loadModel(cpu, other, { lora });
  await expect(loadCheckpoint(dir, { model })).rejects.toMatchObject({ code: "base_changed" });
  // Whole weights are no adapters.
  await expect(rebaseCheckpoint(other, away)).rejects.toMatchObject({ code: "no_adapter", exitCode: 3 });
  await expect(loadCheckpoint(other, { model })).rejects.toMatchObject({ code: "checkpoint_mismatch" });
});

test("adapters_on_adapters_begin_with_the_first_ones_merged", async () => {
  const from = await base("chain", 3);
  const first = await saved("chain-1", await adapted(from));
  const others = { ...lora, rank: 3, alpha: 4, targets: ["q_proj", "down_proj"] };
  const fresh = await loadModel(cpu, first, { lora: others }, undefined, 5);
  const mergedFirst = await loadModel(cpu, first, { lora: undefined });
  expect(scores(fresh)).toEqual(scores(mergedFirst));
  const second = await adapted(first, 3, others);
  const dir = await saved("chain-2", second);
  expect(scores(await loadModel(cpu, dir))).toEqual(scores(second.model));
  const merged = await loadModel(cpu, dir, { lora: undefined });
  expect(distance(scores(merged), scores(second.model))).toBeLessThan(1e-5);
  expect(distance(scores(merged), scores(mergedFirst))).toBeGreaterThan(0.01);
  // The first level's files are vouched for, too.
  rmSync(first, { recursive: true });
  await expect(loadModel(cpu, dir)).rejects.toMatchObject({ code: "base_missing" });
});

test("a_reward_model_on_adapters_has_its_head_in_the_checkpoint", async () => {
  const from = await base("scalar", 3);
  const model = await loadModel(cpu, from, { lora, head: "scalar" }, undefined, 7);
  const { offset, shape } = model.parameters.range("score.weight");
  expect(shape).toEqual([1, 16]);
  expect(
    model.parameters.layout.groups.find((g) => g.weights.some(({ key }) => key === "score"))?.trainable,
  ).toBe(true);
  model.parameters.flat.write(
    Float64Array.from({ length: 16 }, (_, i) => i / 16),
    offset,
  );
  const dir = join(root, "scalar-lora");
  await saveCheckpoint(dir, { model, step: 1 });
  const read = async (overrides: object) =>
    (await loadModel(cpu, dir, { head: "scalar", ...overrides })).parameters.readMaster("score.weight")[5];
  expect(await read({})).toBe(5 / 16);
  expect(await read({ lora: undefined })).toBe(5 / 16);
  await expect(loadModel(cpu, dir)).rejects.toMatchObject({ code: "head_without_logits" });
});
