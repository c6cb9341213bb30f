// Updates of AdamW and Muon against values worked out by hand or by a few lines of fp64, tensor by tensor.

import { Device } from "@nsa/kernels";
import { Parameters, resolveModelConfig } from "@nsa/model";
import { afterAll, expect, test } from "vitest";
import { Optimizer, type OptimizerConfig, optimizerSchema } from "../src/index.ts";

const cpu = Device.open("cpu", { threads: 1 });
afterAll(() => cpu.close());

/** Untied, with biases and φ: every kind of weight. All sizes differ. */
const everyKind = resolveModelConfig({
  vocabSize: 5,
  dModel: 6,
  numLayers: 2,
  numHeads: 2,
  numKvHeads: 1,
  headDim: 4,
  valueHeadDim: 2,
  dFf: 7,
  blockSize: 4,
  stride: 2,
  selectionBlockSize: 4,
  numSelectedBlocks: 3,
  windowSize: 4,
  qkvBias: true,
  tieEmbeddings: false,
});

type Values = (name: string, i: number) => number;

/** Weights and gradients by name and index, and the optimizer over them. */
function start(config: Partial<OptimizerConfig>, p: Values, g: Values, model = everyKind) {
  const parameters = new Parameters(cpu, model).enableGradients();
  const set = (values: Values, into: Float32Array) => {
    for (const { name, shape } of parameters.names) {
      const { offset } = parameters.range(name);
      const n = shape.reduce((a, b) => a * b, 1);
      for (let i = 0; i < n; i++) into[offset + i] = values(name, i);
    }
    return into;
  };
  const numel = parameters.layout.numel;
  const setGradients = (values: Values) =>
    parameters.gradients!.write(set(values, new Float32Array(numel)), 0);
  parameters.flat.write(set(p, new Float32Array(numel)), 0);
  setGradients(g);
  const optimizer = new Optimizer(parameters, optimizerSchema.parse(config));
  const losses = cpu.from(Float32Array.of(1), [1], "f32");
  const step = (lr: number, step: number, limit = 0) => {
    optimizer.prepare(lr, step, losses, limit);
    optimizer.apply(lr);
    return optimizer.outcome();
  };
  return {
    parameters,
    optimizer,
    step,
    setGradients,
    read: (name: string) => [...parameters.readMaster(name)],
  };
}

const near = (x: number, digits = 6) => expect.closeTo(x, digits);

/** Names of weights without decay: norms, biases and φ's positions. */
const undecayed = (name: string) => /norm|bias|phi_[kv]\.pos$/.test(name);

test("two_steps_of_adamw_by_hand_with_decay_on_matrices_alone", () => {
  const run = start(
    { eps: 0.01, weightDecay: 0.1, clip: 0 },
    () => 0.5,
    () => 0.4,
  );
  // m = 0.04, v = 0.008; without bias m̂ = 0.4, v̂ = 0.16: u = 0.4/(0.4 + 0.01) = 0.97560976.
  // p = 0.5 − 0.1·(u + 0.1·0.5) = 0.39743902 with decay, 0.5 − 0.1·u = 0.40243902 without.
  run.step(0.1, 1);
  for (const { name } of run.parameters.names)
    for (const x of run.read(name)) expect(x, name).toEqual(near(undecayed(name) ? 0.40243902 : 0.39743902));

  // m = 0.9·0.04 − 0.1·0.2 = 0.016, v = 0.95·0.008 + 0.05·0.04 = 0.0096; m̂ = 0.016/0.19 = 0.08421053,
  // v̂ = 0.0096/0.0975 = 0.09846154, √v̂ = 0.31378582: u = 0.08421053/0.32378582 = 0.26008097.
  run.setGradients(() => -0.2);
  run.step(0.05, 2);
  const want = { decayed: 0.39743902 * (1 - 0.005) - 0.05 * 0.26008097, not: 0.40243902 - 0.05 * 0.26008097 };
  for (const { name } of run.parameters.names)
    for (const x of run.read(name)) expect(x, name).toEqual(near(undecayed(name) ? want.not : want.decayed));
  const [m, v] = [run.optimizer.buffers.m!, run.optimizer.buffers.v!];
  const { offset } = run.parameters.range("model.layers.1.mlp.down_proj.weight");
  expect(m.read()[offset]).toEqual(near(0.016));
  expect(v.read()[offset]).toEqual(near(0.0096));
});

test("positions_of_phi_have_no_decay_and_its_matrices_have", () => {
  const run = start(
    { weightDecay: 0.5, clip: 0 },
    () => 1,
    () => 0,
  );
  run.step(0.2, 1);
  const phi = "model.layers.0.self_attn.phi_v";
  expect(new Set(run.read(`${phi}.pos`))).toEqual(new Set([1]));
  for (const part of ["up", "down"])
    for (const x of run.read(`${phi}.${part}.weight`)) expect(x).toEqual(near(0.9));
});

test("gradients_are_scaled_down_to_the_global_norm_of_all_weights_and_never_up", () => {
  const g: Values = (name, i) =>
    name === "lm_head.weight" && i === 3 ? 4 : name === "model.norm.weight" && i === 1 ? -3 : 0;
  const moments = (clip: number) => {
    const run = start({ clip }, () => 0, g);
    const { norm } = run.step(0.1, 1);
    const at = (name: string, i: number) => run.parameters.range(name).offset + i;
    const m = run.optimizer.buffers.m!.read();
    return { norm, m: [m[at("lm_head.weight", 3)], m[at("model.norm.weight", 1)]] };
  };
  // The norm of (4, −3) is 5; clipped to 2 they are (1.6, −1.2), of which m takes a tenth.
  expect(moments(2)).toEqual({ norm: near(5), m: [near(0.16), near(-0.12)] });
  expect(moments(20)).toEqual({ norm: near(5), m: [near(0.4), near(-0.3)] });
  expect(moments(0)).toEqual({ norm: near(5), m: [near(0.4), near(-0.3)] });
});

test("an_update_above_its_limit_leaves_weights_and_moments", () => {
  const run = start(
    { clip: 1 },
    () => 0.5,
    (name, i) => (name === "model.norm.weight" && i === 2 ? 3 : 0),
  );
  expect(run.step(0.1, 1, 2.999)).toEqual({ norm: near(3), skipped: "outlier" });
  expect(new Set(run.read("model.embed_tokens.weight"))).toEqual(new Set([0.5]));
  expect(new Set(run.optimizer.buffers.m!.read())).toEqual(new Set([0]));
  expect(run.step(0.1, 1, 3.001).skipped).toBe("no");
  expect(run.read("model.norm.weight")[2]).toEqual(near(0.4));
});

type Matrix = number[][];
const product = (a: Matrix, b: Matrix): Matrix =>
  a.map((row) => b[0]!.map((_, j) => row.reduce((s, x, k) => s + x * b[k]![j]!, 0)));
const turned = (a: Matrix): Matrix => a[0]!.map((_, j) => a.map((row) => row[j]!));

/** Newton–Schulz on X/‖X‖ in fp64: five times X ← a·X + (b·A + c·A²)·X with A = X·Xᵀ. */
function orthogonalised(x: Matrix): Matrix {
  if (x.length > x[0]!.length) return turned(orthogonalised(turned(x)));
  const norm = Math.sqrt(x.flat().reduce((s, v) => s + v * v, 0));
  let X = x.map((row) => row.map((v) => v / norm));
  for (let i = 0; i < 5; i++) {
    const A = product(X, turned(X));
    const AA = product(A, A);
    const B = A.map((row, r) => row.map((v, c) => -4.775 * v + 2.0315 * AA[r]![c]!));
    const BX = product(B, X);
    X = X.map((row, r) => row.map((v, c) => 3.4445 * v + BX[r]![c]!));
  }
  return X;
}

test("two_steps_of_muon_by_hand_for_hidden_matrices_and_of_adamw_for_the_others", () => {
  const p: Values = (name, i) => 0.3 * Math.cos(i + name.length);
  const gradients: Values[] = [
    (name, i) => 0.02 * Math.sin(1.7 * i + name.length),
    (name, i) => 0.05 * Math.cos(2.3 * i * i + name.length),
  ];
  const config = { kind: "muon", weightDecay: 0.2, eps: 0.01, clip: 0.1 } as const;
  const run = start(config, p, gradients[0]!);
  const lrs = [0.03, 0.02];
  const clips = gradients.map((g, k) => {
    if (k > 0) run.setGradients(g);
    const { norm } = run.step(lrs[k]!, k + 1);
    const sizes = run.parameters.names.map(({ name, shape }) => ({
      name,
      n: shape.reduce((a, b) => a * b, 1),
    }));
    const own = Math.sqrt(
      sizes.reduce((s, { name, n }) => {
        for (let i = 0; i < n; i++) s += g(name, i) ** 2;
        return s;
      }, 0),
    );
    expect(norm / own).toEqual(near(1));
    expect(own).toBeGreaterThan(0.1);
    return 0.1 / own;
  });

  const adamw = (name: string, i: number) => {
    let [x, m, v] = [p(name, i), 0, 0];
    for (const k of [0, 1]) {
      const g = clips[k]! * gradients[k]!(name, i);
      [m, v] = [0.9 * m + 0.1 * g, 0.95 * v + 0.05 * g * g];
      const u = m / (1 - 0.9 ** (k + 1)) / (Math.sqrt(v / (1 - 0.95 ** (k + 1))) + 0.01);
      x -= lrs[k]! * (u + (undecayed(name) ? 0 : 0.2) * x);
    }
    return x;
  };
  const muon = (name: string, [rows, cols]: readonly [number, number]) => {
    const make = (of: (i: number) => number): Matrix =>
      Array.from({ length: rows }, (_, r) => Array.from({ length: cols }, (_, c) => of(r * cols + c)));
    let [x, m] = [make((i) => p(name, i)), make(() => 0)];
    for (const k of [0, 1]) {
      const g = make((i) => clips[k]! * gradients[k]!(name, i));
      m = m.map((row, r) => row.map((v, c) => 0.95 * v + g[r]![c]!));
      // Nesterov's step ahead.
      const o = orthogonalised(m.map((row, r) => row.map((v, c) => g[r]![c]! + 0.95 * v)));
      const scale = 0.2 * Math.sqrt(Math.max(rows, cols));
      x = x.map((row, r) => row.map((v, c) => v - lrs[k]! * (scale * o[r]![c]! + 0.2 * v)));
    }
    return x.flat();
  };
  let orthogonal = 0;
  for (const { name, shape } of run.parameters.names) {
    const hidden = shape.length === 2 && !/embed_tokens|lm_head|\.pos$/.test(name);
    if (hidden) orthogonal++;
    const want = hidden
      ? muon(name, shape as [number, number])
      : run.read(name).map((_, i) => adamw(name, i));
    // A direction that the Gram matrix hardly holds is blown up by the iteration, and fp32's rounding with it.
    for (const [i, x] of run.read(name).entries())
      expect(x, `${name} ${i}`).toEqual(near(want[i]!, hidden ? 4 : 6));
  }
  // q, 3 k, 3 v, gate, up and down of two φ, o, gate, up and down in each of two layers.
  expect(orthogonal).toBe(2 * (7 + 1 + 4 + 1 + 3));
});

test("the_newton_schulz_of_this_file_brings_singular_values_near_1", () => {
  const o = orthogonalised([
    [3, 0, 0],
    [0, 0.4, 0],
  ]);
  for (const s of [o[0]![0]!, o[1]![1]!]) expect(Math.abs(s - 1)).toBeLessThan(0.35);
  expect([o[0]![1], o[0]![2], o[1]![0], o[1]![2]]).toEqual([0, 0, 0, 0]);
});

const wide = resolveModelConfig({ vocabSize: 5, dModel: 32, numLayers: 2, dFf: 64, attention: "full" });
const bits = (run: ReturnType<typeof start>, layer: number, name = "mlp.down_proj.weight") => {
  const { offset, shape } = run.parameters.range(`model.layers.${layer}.${name}`);
  const n = shape.reduce((a, b) => a * b, 1);
  return [...run.optimizer.buffers.m!.read().subarray(offset, offset + n)];
};

test("bf16_moments_are_rounded_at_random_by_a_stream_of_each_tensor", () => {
  const run = () => {
    const r = start(
      { stateDtype: "bf16", clip: 0 },
      () => 0.5,
      () => 0.3,
      wide,
    );
    r.step(0.1, 1);
    return r;
  };
  const [once, twice] = [run(), run()];
  const [a, b] = [bits(once, 0), bits(once, 1)];
  // 0.03 lies between the bf16 values 0.02990723 (245·2⁻¹³) and 0.03002930 (246·2⁻¹³), 76 % of the way up.
  const [low, high] = [245 / 8192, 246 / 8192];
  expect(new Set(a)).toEqual(new Set([low, high]));
  const share = a.filter((x) => x === high).length / a.length;
  expect(Math.abs(share - (0.03 - low) / (high - low))).toBeLessThan(5 * Math.sqrt(0.25 / a.length));
  // Two tensors of equal content agree as often as chance has it: 0.76² + 0.24² = 64 %.
  const equal = a.filter((x, i) => x === b[i]).length / a.length;
  expect(equal).toBeGreaterThan(0.54);
  expect(equal).toBeLessThan(0.74);
  expect(bits(twice, 0)).toEqual(a);
  expect(bits(twice, 1)).toEqual(b);
  // Another step's rounding takes other random numbers.
  const later = start(
    { stateDtype: "bf16", clip: 0 },
    () => 0.5,
    () => 0.3,
    wide,
  );
  later.step(0.1, 2);
  expect(new Set(bits(later, 0))).toEqual(new Set([low, high]));
  expect(bits(later, 0)).not.toEqual(a);
});

test("bf16_moments_change_the_moments_alone_and_decay_as_fp32_ones_do", () => {
  const run = start(
    { stateDtype: "bf16", weightDecay: 0.1, eps: 0.01, clip: 0 },
    () => 0.5,
    () => 0.4,
  );
  run.step(0.1, 1);
  // The first test's values: the update is computed before the moments are rounded, or from them within 2⁻⁸.
  for (const { name } of run.parameters.names)
    for (const x of run.read(name))
      expect(Math.abs(x - (undecayed(name) ? 0.40243902 : 0.39743902)), name).toBeLessThan(0.1 * 2 ** -7);
});
