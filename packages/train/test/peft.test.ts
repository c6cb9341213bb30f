// Merging, and the folders of PEFT: there and back with equal bits; what is not served is refused by name.
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SafetensorsReader, writeSafetensors } from "@nsa/core";
import { linear, Tape } from "@nsa/kernels";
import {
  exportHuggingFace,
  exportPeft,
  importPeft,
  loadModel,
  logprobs,
  type ModelConfigInput,
  mergeAdapters,
  resolveModelConfig,
  saveCheckpoint,
  Transformer,
  unmergeAdapters,
} from "@nsa/model";
import { afterAll, expect, test } from "vitest";
import { needs } from "../../core/test/needs.ts";
import { openBackend } from "../../kernels/test/backend.ts";
import { CountingSource, countingBatch, tinyConfig } from "../../model/test/training-fixture.ts";
import { crossEntropy, Trainer } from "../src/index.ts";

const cpu = openBackend({ threads: 1 });
const root = mkdtempSync(join(tmpdir(), "nsa-peft-"));
afterAll(() => {
  cpu.close();
  rmSync(root, { recursive: true, force: true });
});

const batch = countingBatch(5, 3);
const scores = (model: Transformer) => [...logprobs(model, batch).logp];
const distance = (a: readonly number[], b: readonly number[]) =>
  Math.max(...a.map((x, i) => Math.abs(x - b[i]!)));

/** A base and adapters trained on it, as checkpoints. */
async function trained(name: string, lora: object, more: Partial<ModelConfigInput> = {}) {
  const config = resolveModelConfig({ ...tinyConfig, initStd: 0.15, ...more } as ModelConfigInput);
  const whole = new Transformer(cpu, config);
  whole.parameters.init(3);
  const [base, dir] = [join(root, `${name}-base`), join(root, name)];
  await saveCheckpoint(base, { model: whole, step: 0 });
  const settings = resolveModelConfig({ ...config, lora } as ModelConfigInput).lora;
  const model = await loadModel(cpu, base, { lora: settings }, undefined, 7);
  const trainer = new Trainer(model, 8, { optimizer: { lr: 0.02 } });
  const source = new CountingSource();
  for (let i = 0; i < 4; i++) trainer.step(source.next(), crossEntropy);
  await saveCheckpoint(dir, { model, step: 4 });
  return { base, dir, model, whole };
}

const mixed = {
  rank: 2,
  alpha: 6,
  targets: [
    { name: "layers.1.self_attn.q_proj", rank: 3, alpha: 3 },
    "q_proj",
    "v_proj",
    "mlp.gate_proj",
    "o_proj",
  ],
};
const full = { attention: "full" } as const;

test("merged_weights_give_the_logits_of_the_adapters_and_are_taken_apart_again", async () => {
  const { base, dir, model } = await trained("merge", { rank: 4, alpha: 8 });
  const merged = await mergeAdapters(cpu, dir);
  expect(merged.step).toBe(4);
  expect(merged.model.config.lora).toBeUndefined();
  expect(distance(scores(merged.model), scores(model))).toBeLessThan(1e-5);
  const whole = join(root, "merge-whole");
  await saveCheckpoint(whole, { model: merged.model, step: 4 });
  const apart = await unmergeAdapters(cpu, whole, dir);
  const first = await loadModel(cpu, base);
  let moved = 0;
  for (const { name } of first.parameters.names) {
    const [w, back] = [first.parameters.readMaster(name), apart.parameters.readMaster(name)];
    const gap = Math.max(...w.map((x, i) => Math.abs(x - back[i]!)));
    expect(gap, name).toBeLessThan(1e-7);
    moved = Math.max(moved, ...w.map((x, i) => Math.abs(x - merged.model.parameters.readMaster(name)[i]!)));
  }
  expect(moved).toBeGreaterThan(1e-3);
  await expect(mergeAdapters(cpu, base)).rejects.toMatchObject({ code: "no_adapter", exitCode: 3 });
  // A wider model, one with more layers, and one of equal shapes that computes otherwise.
  for (const [key, value] of Object.entries({
    dModel: 32,
    numLayers: 3,
    ropeTheta: 500,
    attention: "full",
  })) {
    const other = await trained(`merge-${key}`, { rank: 1 }, { [key]: value });
    await expect(unmergeAdapters(cpu, other.base, dir), key).rejects.toMatchObject({
      code: "checkpoint_mismatch",
      why: expect.stringContaining(`${key} is`),
      exitCode: 3,
    });
  }
});

for (const scaling of ["standard", "rslora"] as const)
  for (const [kind, lora, more] of [
    ["mixed", mixed, full],
    ["all", { rank: 2, alpha: 5 }, {}],
  ] as const)
    test(`a_peft_folder_goes_out_and_comes_back_with_equal_bits_${kind}_${scaling}`, async () => {
      const name = `round-${kind}-${scaling}`;
      const { base, dir, model } = await trained(name, { ...lora, scaling }, more);
      const folder = join(root, `${name}-peft`);
      await exportPeft(dir, folder, "some/model");
      const json = JSON.parse(readFileSync(join(folder, "adapter_config.json"), "utf8"));
      expect(json).toMatchObject({
        peft_type: "LORA",
        base_model_name_or_path: "some/model",
        r: 2,
        use_rslora: scaling === "rslora",
      });
      if (kind === "mixed") {
        expect(json.target_modules.sort()).toEqual(["gate_proj", "o_proj", "q_proj", "v_proj"]);
        expect(json.rank_pattern).toEqual({ "model.layers.1.self_attn.q_proj": 3 });
        expect(json.alpha_pattern).toEqual({ "model.layers.1.self_attn.q_proj": 3 });
      }
      using file = SafetensorsReader.open(join(folder, "adapter_model.safetensors"));
      const key = "base_model.model.model.layers.0.self_attn.q_proj.lora_B.weight";
      expect(file.entries.get(key)?.shape).toEqual([16, 2]);
      expect(Float64Array.from(file.floats(key))).toEqual(
        model.parameters.readMaster("model.layers.0.self_attn.q_proj.lora_B.weight"),
      );
      const back = await importPeft(cpu, folder, base);
      expect(scores(back)).toEqual(scores(model));
      expect(back.base).toEqual(model.base);
    });

/** A PEFT folder with one adapter of q_proj in layer 0, [1, 16] and [16, 1]. */
function peftFolder(name: string, settings: object, tensor = "model.layers.0.self_attn.q_proj"): string {
  const folder = mkdtempSync(join(root, name));
  const json = { peft_type: "LORA", r: 1, lora_alpha: 2, target_modules: ["q_proj"], ...settings };
  writeFileSync(join(folder, "adapter_config.json"), JSON.stringify(json));
  const ones = (n: number) => () => new Float32Array(n).fill(0.5);
  writeSafetensors(join(folder, "adapter_model.safetensors"), [
    { name: `base_model.model.${tensor}.lora_A.weight`, dtype: "F32", shape: [1, 16], data: ones(16) },
    { name: `base_model.model.${tensor}.lora_B.weight`, dtype: "F32", shape: [16, 1], data: ones(16) },
  ]);
  return folder;
}

test("settings_of_peft_are_served_or_refused_by_name", async () => {
  const { base } = await trained("settings", { rank: 1 }, full);
  const scaleOf = async (settings: object) => {
    const { config } = await importPeft(cpu, peftFolder("ok", settings), base);
    return config.lora;
  };
  // One layer of two: the path says which.
  expect(
    await scaleOf({ lora_dropout: 0.1, inference_mode: true, bias: "none", revision: null }),
  ).toMatchObject({
    targets: ["layers.0.self_attn.q_proj"],
    rank: 1,
    alpha: 2,
    scaling: "standard",
  });
  // What PEFT 0.19 writes where nothing is set.
  const unset = {
    ...{
      alora_invocation_tokens: null,
      alpha_pattern: {},
      arrow_config: null,
      auto_mapping: null,
      bias: "none",
    },
    ...{ base_model_name_or_path: "x/y", corda_config: null, ensure_weight_tying: false, eva_config: null },
    ...{ exclude_modules: null, fan_in_fan_out: false, inference_mode: true, init_lora_weights: true },
    ...{ layer_replication: null, layers_pattern: null, layers_to_transform: null, loftq_config: {} },
    ...{ lora_bias: false, lora_dropout: 0.05, lora_ga_config: null, megatron_config: null },
    ...{
      megatron_core: "megatron.core",
      modules_to_save: null,
      peft_version: "0.19.1",
      qalora_group_size: 16,
    },
    ...{ rank_pattern: {}, revision: null, target_parameters: null, task_type: "CAUSAL_LM" },
    ...{
      trainable_token_indices: null,
      use_bdlora: null,
      use_dora: false,
      use_qalora: false,
      use_rslora: false,
    },
  };
  expect(await scaleOf(unset)).toMatchObject({ rank: 1, alpha: 2, scaling: "standard" });
  // Which layers have adapters is in the tensors.
  expect(await scaleOf({ ...unset, layers_to_transform: [0], layers_pattern: "layers" })).toMatchObject({
    rank: 1,
  });
  expect(await scaleOf({ use_rslora: true })).toMatchObject({ scaling: "rslora" });
  expect(
    await scaleOf({ r: 8, rank_pattern: { "layers.0.*q_proj": 1 }, alpha_pattern: { q_proj: 5 } }),
  ).toMatchObject({
    targets: [{ name: "layers.0.self_attn.q_proj", rank: 1, alpha: 5 }],
  });
  for (const [settings, key] of [
    [{ use_dora: true }, "use_dora"],
    [{ bias: "all" }, "bias"],
    [{ modules_to_save: ["lm_head"] }, "modules_to_save"],
    [{ fan_in_fan_out: true }, "fan_in_fan_out"],
    [{ lora_bias: true }, "lora_bias"],
    [{ alora_invocation_tokens: [3, 4] }, "alora_invocation_tokens"],
    [{ trainable_token_indices: [3] }, "trainable_token_indices"],
    [{ target_parameters: ["mlp.experts"] }, "target_parameters"],
    [{ layer_replication: [[0, 2]] }, "layer_replication"],
    [{ use_a_key_of_tomorrow: 3 }, "use_a_key_of_tomorrow"],
    [{ init_lora_weights: "pissa_niter_16" }, "pissa_niter_16"],
    [{ peft_type: "LOHA" }, "LOHA"],
  ] as const)
    await expect(scaleOf(settings), key).rejects.toMatchObject({
      code: "peft_unsupported",
      exitCode: 4,
      what: expect.stringContaining(key),
    });
  // Python's named groups; the first pattern that matches counts.
  const named = { "(?P<part>q|v)_proj": 7, "self_a(?P<a>t)(?P=a)n.q_proj": 8, q_proj: 9 };
  expect(await scaleOf({ alpha_pattern: named })).toMatchObject({ targets: [{ alpha: 7 }] });
  const { "(?P<part>q|v)_proj": _, ...later } = named;
  expect(await scaleOf({ alpha_pattern: later })).toMatchObject({ targets: [{ alpha: 8 }] });
  for (const [settings, what] of [
    [{ alpha_pattern: { v_proj: "7" } }, '"v_proj"'],
    [{ alpha_pattern: { q_proj: 0 } }, '"q_proj"'],
    [{ alpha_pattern: { q_proj: null } }, '"q_proj"'],
    [{ alpha_pattern: [3] }, "alpha_pattern"],
    [{ alpha_pattern: "q_proj" }, "alpha_pattern"],
    [{ rank_pattern: { q_proj: 1.5 } }, '"q_proj"'],
    [{ rank_pattern: { q_proj: -1 } }, '"q_proj"'],
    // Not closed, closes the group around it, only Python's, or another meaning there.
    [{ alpha_pattern: { "(q_proj": 3 } }, '"(q_proj"'],
    [{ alpha_pattern: { "a)|(q_proj": 3 } }, '"a)|(q_proj"'],
    [{ alpha_pattern: { "(?i)Q_proj": 3 } }, '"(?i)Q_proj"'],
    [{ alpha_pattern: { "q_proj\\Z": 3 } }, "Z"],
    [{ rank_pattern: { "q++_proj": 3 } }, '"q++_proj"'],
  ] as const)
    await expect(scaleOf(settings), JSON.stringify(settings)).rejects.toMatchObject({
      code: "peft_invalid",
      exitCode: 3,
      what: expect.stringContaining(what),
    });
  await expect(scaleOf({ r: 3 })).rejects.toMatchObject({ code: "peft_invalid", exitCode: 3 });
  await expect(scaleOf({ lora_alpha: "x" })).rejects.toMatchObject({ code: "peft_invalid" });
  for (const tensor of ["lm_head", "model.layers.7.self_attn.q_proj", "model.layers.0.self_attn.q_norm"])
    await expect(importPeft(cpu, peftFolder("no", {}, tensor), base)).rejects.toMatchObject({
      what: expect.stringContaining(tensor),
      exitCode: 4,
    });
});

const has = (python: string, module: string) => spawnSync(python, ["-c", `import ${module}`]).status === 0;
const python = [process.env.NSA_PYTHON, "python3", "/usr/bin/python3"].find(
  (p) => p !== undefined && ["torch", "transformers", "peft"].every((module) => has(p, module)),
);

/** Logits [T, V] of a model here. */
function logitsOf(model: Transformer, ids: readonly number[]): number[] {
  using _ = cpu.scope();
  const tape = new Tape(false);
  const at = { tokens: Int32Array.from(ids), cuSeqlens: Int32Array.of(0, ids.length) };
  return [...linear(tape, model.forward(tape, model.upload(at)), model.headWeight).read()];
}

needs(python !== undefined, "no Python with torch, transformers and peft").each([["standard"], ["rslora"]])(
  "peft_computes_equal_logits_and_its_own_folders_are_read_%s",
  async (scaling) => {
    const { base, dir, model, whole } = await trained(`python-${scaling}`, { ...mixed, scaling }, full);
    const [hf, ours, theirs] = ["hf", "ours", "theirs"].map((x) => join(root, `python-${scaling}-${x}`));
    await exportHuggingFace(whole, hf!);
    await exportPeft(dir, ours!, hf);
    const ids = Array.from({ length: 21 }, (_, t) => (t * 7) % 17);
    const script = join(import.meta.dirname, "peft-logits.py");
    const run = spawnSync(python!, [script, hf!, ours!, theirs!, ...ids.map(String)], { encoding: "utf8" });
    expect(run.status, run.stderr).toBe(0);
    const out = JSON.parse(run.stdout.trim().split("\n").at(-1)!) as { ours: number[]; theirs: number[] };
    expect(distance(logitsOf(model, ids), out.ours)).toBeLessThan(1e-4);
    // Adapters that PEFT made and saved itself.
    const read = await importPeft(cpu, theirs!, base);
    expect(distance(logitsOf(read, ids), out.theirs)).toBeLessThan(1e-4);
    expect(distance(out.ours, out.theirs)).toBeGreaterThan(0.01);
  },
  120_000,
);
