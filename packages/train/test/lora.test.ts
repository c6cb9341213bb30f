// Low-rank adapters in a model: their gradients, what they change and what they leave, in training and in generation.
import { Device, Tape } from "@nsa/kernels";
import {
  adapterReference,
  Engine,
  INFERENCE_ONLY,
  layoutOf,
  logprobs,
  type ModelConfigInput,
  type ParameterGroup,
  resolveModelConfig,
  Transformer,
} from "@nsa/model";
import { afterAll, expect, test } from "vitest";
import { openBackend } from "../../kernels/test/backend.ts";
import { CountingSource, countingBatch, stepOf, tinyConfig } from "../../model/test/training-fixture.ts";
import { crossEntropy, Trainer } from "../src/index.ts";

const cpu = openBackend({ threads: 1 });
const exact = Device.open("reference");
afterAll(() => {
  cpu.close();
  exact.close();
});

/** Ranks and scales differ between projections; some have no adapter. */
const lora = {
  rank: 3,
  alpha: 6,
  targets: [{ name: "q_proj", rank: 2, alpha: 5 }, "v_proj*", "o_proj", "mlp.gate_proj", "down_proj"],
};
const configOf = (more: Partial<ModelConfigInput> = {}) =>
  resolveModelConfig({ ...tinyConfig, initStd: 0.15, lora, ...more } as ModelConfigInput);

/** A model whose B is drawn, too, so that adapters change what is computed. */
function drawn(config: ReturnType<typeof configOf>, device = cpu, dtype?: "f64", groups?: ParameterGroup[]) {
  const model = new Transformer(device, config, dtype, groups);
  const { parameters } = model;
  parameters.init(3);
  const b = parameters.tensors.filter(({ name }) => name.endsWith("lora_B.weight"));
  for (const [i, { buffer, offset, shape }] of b.entries()) {
    const n = shape[0]! * shape[1]!;
    buffer.write(
      Float64Array.from({ length: n }, (_, j) => 0.1 * Math.sin(1 + j + 7 * i)),
      offset,
    );
  }
  parameters.refreshLow();
  return model;
}

const values = (model: Transformer, name: string) => model.parameters.readMaster(name);

/** The same model without adapters: W + s·B·A in their place, summed by hand in double precision. */
function merged(model: Transformer, scaleOf: (path: string) => number): Transformer {
  const whole = new Transformer(model.device, { ...model.config, lora: undefined });
  const names = new Set(model.parameters.names.map(({ name }) => name));
  for (const { name, shape, buffer, offset } of whole.parameters.tensors) {
    const w = values(model, name);
    const path = name.replace(/\.weight$/, "");
    if (names.has(`${path}.lora_A.weight`)) {
      const [a, b] = [values(model, `${path}.lora_A.weight`), values(model, `${path}.lora_B.weight`)];
      const [rows, cols] = shape as [number, number];
      const r = a.length / cols;
      for (let i = 0; i < rows; i++)
        for (let k = 0; k < cols; k++)
          for (let j = 0; j < r; j++) w[i * cols + k]! += scaleOf(path) * b[i * r + j]! * a[j * cols + k]!;
    }
    buffer.write(w, offset);
  }
  whole.parameters.refreshLow();
  return whole;
}

/** α/r of the recipe above. */
const scaleOf = (path: string) => (path.endsWith("q_proj") ? 5 / 2 : 6 / 3);

const batch = countingBatch(5, 3);
const scores = (model: Transformer) => [...logprobs(model, batch).logp];
const distance = (a: readonly number[], b: readonly number[]) =>
  Math.max(...a.map((x, i) => Math.abs(x - b[i]!)));

for (const attention of ["nsa", "full"] as const)
  test(`adapters_compute_what_the_sum_of_both_weights_computes_${attention}`, () => {
    const model = drawn(configOf({ attention }));
    expect(distance(scores(model), scores(merged(model, scaleOf)))).toBeLessThan(1e-6);
    // rsLoRA scales by α/√r.
    const rooted = drawn(configOf({ attention, lora: { ...lora, scaling: "rslora" } }));
    const root = (path: string) => (path.endsWith("q_proj") ? 5 / Math.sqrt(2) : 6 / Math.sqrt(3));
    expect(distance(scores(rooted), scores(merged(rooted, root)))).toBeLessThan(1e-6);
    expect(distance(scores(rooted), scores(model))).toBeGreaterThan(1e-3);
  });

test("new_adapters_change_no_bit", () => {
  const [model, whole] = [
    new Transformer(cpu, configOf()),
    new Transformer(cpu, configOf({ lora: undefined })),
  ];
  model.parameters.init(3);
  whole.parameters.init(3);
  expect(scores(model)).toEqual(scores(whole));
  // A is drawn with the variance of a uniform distribution on ±1/√in.
  const a = values(model, "model.layers.1.mlp.gate_proj.lora_A.weight");
  expect(a).toHaveLength(3 * 16);
  const variance = a.reduce((sum, x) => sum + x * x, 0) / a.length;
  expect(variance).toBeGreaterThan(0.5 / 48);
  expect(variance).toBeLessThan(2 / 48);
});

/** Gradients by name of Σ w·logp over the batch. */
function gradients(model: Transformer): Map<string, Float64Array> {
  const trainer = new Trainer(model, 1, { optimizer: { lr: 0, clip: 0 } });
  trainer.step(stepOf(batch), crossEntropy);
  const { parameters } = model;
  const all = parameters.gradients!.read();
  const out = new Map<string, Float64Array>();
  for (const { name, shape, offset } of parameters.tensorsIn(parameters.gradients!))
    out.set(name, all.slice(offset, offset + shape.reduce((p, q) => p * q, 1)));
  trainer.free();
  return out;
}

for (const attention of ["nsa", "full"] as const)
  test(`gradients_of_adapters_are_those_of_double_precision_and_of_differences_${attention}`, () => {
    const config = configOf({ attention });
    const precise = drawn(config, exact, "f64");
    const [own, single] = [gradients(precise), gradients(drawn(config))];
    expect([...own.keys()].every((name) => /lora_[AB]\.weight$/.test(name))).toBe(true);
    expect(own.size).toBe(2 * 2 * (attention === "nsa" ? 7 : 5));
    const { parameters } = precise;
    const lossOf = () => -scores(precise).reduce((sum, x, t) => sum + x * batch.lossWeight[t]!, 0) / 46;
    for (const [name, gradient] of own) {
      const norm = Math.hypot(...gradient);
      expect(norm, name).toBeGreaterThan(1e-6);
      expect(Math.hypot(...gradient.map((x, i) => x - single.get(name)![i]!)) / norm, name).toBeLessThan(
        1e-3,
      );
      // One element of each by central differences.
      const i = gradient.length - 2;
      const { offset } = parameters.range(name);
      const x = parameters.flat.read()[offset + i]!;
      const at = (value: number) => {
        parameters.flat.write(Float64Array.of(value), offset + i);
        return lossOf();
      };
      const numeric = (at(x + 1e-5) - at(x - 1e-5)) / 2e-5;
      at(x);
      expect(Math.abs(numeric - gradient[i]!), name).toBeLessThan(1e-6 + 1e-4 * Math.abs(numeric));
    }
  });

for (const dtype of ["fp32", "bf16"] as const)
  test(`training_moves_adapters_alone_${dtype}`, () => {
    const model = new Transformer(cpu, configOf({ dtype }));
    model.parameters.init(3);
    const trainer = new Trainer(model, 3, { optimizer: { lr: 0.01 } });
    const names = model.parameters.names.map(({ name }) => name);
    const before = new Map(names.map((name) => [name, values(model, name)]));
    const source = new CountingSource();
    const first = scores(model);
    for (let i = 0; i < 3; i++) trainer.step(source.next(), crossEntropy);
    for (const name of names) {
      const same = values(model, name).every((x, i) => x === before.get(name)![i]);
      expect(same, name).toBe(!/lora_[AB]/.test(name));
    }
    expect(scores(model)).not.toEqual(first);
    // Gradients and moments are as long as the adapters, each padded to 16 numbers.
    const { layout, gradients: g } = model.parameters;
    const adapters = layout.weights.filter(({ key }) => /lora_[ab]$/.test(key));
    const numbers = adapters.reduce((n, { shape }) => n + Math.ceil((shape[0]! * shape[1]!) / 16) * 16, 0);
    expect(g!.numel).toBe(numbers);
    for (const buffer of Object.values(trainer.optimizer.buffers)) expect(buffer.numel).toBe(numbers);
    // Frozen matrices of bf16 have no masters.
    const frozen = layout.weights.filter((w) => w.matrix && !adapters.includes(w));
    expect(frozen.every((w) => w.lowOnly === (dtype === "bf16"))).toBe(true);
  });

test("a_projection_without_an_adapter_keeps_its_rows_and_blocks_do_not_mix", () => {
  const model = drawn(configOf({ attention: "full" }));
  const whole = merged(model, scaleOf);
  const path = "model.layers.0.self_attn";
  expect(values(whole, `${path}.k_proj.weight`)).toEqual(values(model, `${path}.k_proj.weight`));
  // What v_proj computes does not depend on the adapter of q_proj.
  const { parameters } = model;
  const tape = new Tape(false);
  using _ = cpu.scope();
  const x = cpu.from(
    Float64Array.from({ length: 2 * 16 }, (_x, i) => Math.cos(i)),
    [2, 16],
    "f32",
  );
  const fused = () => model.layers[0]!.linear(tape, x, "self_attn.qkv").read();
  const before = fused();
  const { offset, shape } = parameters.range(`${path}.q_proj.lora_B.weight`);
  parameters.flat.write(new Float64Array(shape[0]! * shape[1]!).fill(9), offset);
  const after = fused();
  const width = before.length / 2;
  const q = 16;
  for (let i = 0; i < before.length; i++)
    if (i % width < q) expect(after[i]).not.toBe(before[i]);
    else expect(after[i]).toBe(before[i]);
});

for (const attention of ["nsa", "full", "window"] as const)
  test(`generation_has_the_log_probabilities_of_training_with_adapters_${attention}`, () => {
    const model = drawn(configOf({ attention }));
    const sampling = { temperature: 1, topP: 1, minP: 0, topK: 0 };
    const request = { prompt: [1, 2, 3, 4, 5], n: 2, maxTokens: 20, sampling, seed: 5, id: 0, stopIds: [] };
    const options = { maxSequences: 4, cacheTokens: 1024, prefillTokens: 256 };
    const [outputs] = new Engine(model, options).generate([request]);
    for (const { ids, logp } of outputs!) {
      const all = [...request.prompt, ...ids];
      const targets = Int32Array.from(all.slice(1), (id, t) => (t < 4 ? -1 : id));
      const tokens = Int32Array.from(all.slice(0, -1));
      const forward = logprobs(model, { tokens, targets, cuSeqlens: Int32Array.of(0, tokens.length) });
      expect(distance([...logp], [...forward.logp.slice(4)])).toBeLessThan(1e-4);
    }
  });

test("recomputed_layers_give_the_adapters_equal_gradients", () => {
  const [plain, again] = [false, true].map((recompute) => {
    const model = drawn(configOf());
    const trainer = new Trainer(model, 1, { optimizer: { lr: 0.01 }, recompute });
    trainer.step(stepOf(batch), crossEntropy);
    return model.parameters.gradients!.read();
  });
  expect(again).toEqual(plain);
});

test("the_reference_of_new_adapters_is_the_model_without_them", () => {
  const config = configOf();
  const model = new Transformer(cpu, config);
  model.parameters.init(3);
  const start = scores(model);
  const reference = adapterReference(model);
  const trainer = new Trainer(model, 4, { optimizer: { lr: 0.01 } });
  const source = new CountingSource();
  trainer.step(source.next(), crossEntropy);
  const moved = scores(model);
  expect(moved).not.toEqual(start);
  expect([...reference.logprobs(batch).logp]).toEqual(start);
  expect(scores(model)).toEqual(moved);
  // A renewed one is the policy as it was then, and leaves the policy's bits.
  reference.renew(model);
  trainer.step(source.next(), crossEntropy);
  const later = scores(model);
  expect(later).not.toEqual(moved);
  expect([...reference.logprobs(batch).logp]).toEqual(moved);
  expect(scores(model)).toEqual(later);
});

test("where_more_than_adapters_is_trained_the_reference_is_still_the_start", () => {
  for (const dtype of ["fp32", "bf16"] as const) {
    const groups = [
      {
        name: "norms",
        weights: ["*norm.weight", "model.layers.1.mlp.up_proj.weight", "*layers.1.mlp.gate_proj.weight"],
      },
    ];
    const model = drawn(configOf({ dtype }), cpu, undefined, groups);
    const start = scores(model);
    const reference = adapterReference(model);
    const trainer = new Trainer(model, 4, { optimizer: { lr: 0.01 } });
    trainer.step(new CountingSource().next(), crossEntropy);
    expect(scores(model)).not.toEqual(start);
    expect([...reference.logprobs(batch).logp]).toEqual(start);
  }
});

test("targets_are_found_by_the_ends_of_paths_and_unknown_ones_are_refused", () => {
  const count = (targets: string[], more: Partial<ModelConfigInput> = {}) =>
    layoutOf(configOf({ lora: { targets }, ...more })).weights.filter(({ key }) => key.endsWith(".lora_b"))
      .length;
  // NSA: q, three k, three v, o, gates; and the MLP's three.
  expect(count(["all-linear"])).toBe(2 * 12);
  expect(count(["all-linear"], { attention: "full" })).toBe(2 * 7);
  expect(count(["gate_proj"])).toBe(2 * 2);
  expect(count(["self_attn.gate_proj"])).toBe(2);
  expect(count(["layers.1.self_attn.k_proj*"])).toBe(3);
  expect(() => count(["q_prj"])).toThrow(
    expect.objectContaining({ code: "adapter_target_unknown", why: expect.stringContaining("q_proj?") }),
  );
  // φ and norms are no linear layers.
  expect(() => count(["phi_k.up"])).toThrow(expect.objectContaining({ exitCode: 2 }));
});

test("a_model_for_inference_holds_adapters_in_the_dtype_of_computation", () => {
  const config = configOf({ dtype: "bf16" });
  const model = new Transformer(cpu, config, undefined, INFERENCE_ONLY);
  expect(model.parameters.layout.weights.filter((w) => w.matrix).every((w) => w.lowOnly)).toBe(true);
});
