// Names, order, places, initial values and decay of all weights of a small model, written out.
import { Device } from "@nsa/kernels";
import { afterAll, expect, test } from "vitest";
import { layoutOf, type ModelConfigInput, Parameters, resolveModelConfig } from "../src/index.ts";

const cpu = Device.open("cpu", { threads: 1 });
afterAll(() => cpu.close());

const sizes: ModelConfigInput = {
  vocabSize: 5,
  dModel: 6,
  numLayers: 2,
  numHeads: 2,
  numKvHeads: 1,
  headDim: 4,
  valueHeadDim: 2,
  dFf: 7,
  attentionLayers: ["full", "nsa"],
  blockSize: 4,
  stride: 2,
  selectionBlockSize: 4,
  numSelectedBlocks: 3,
  windowSize: 4,
  qkvBias: true,
  qkNorm: true,
  tieEmbeddings: false,
  initStd: 0.06,
};
const layout = (change: ModelConfigInput = {}) => layoutOf(resolveModelConfig({ ...sizes, ...change }));
const weight = (key: string, change: ModelConfigInput = {}) => {
  const found = layout(change).weights.find((w) => w.key.endsWith(key));
  if (!found) throw new Error(key);
  return found;
};

test("matrices_come_first_each_at_a_multiple_of_16_and_no_vector_decays", () => {
  const { weights, numel, groups, parameterCount } = layout();
  const short = (key: string) => key.replace("model.layers.", "").replace("self_attn.", "");
  // Elements of each, and where it begins: the next multiple of 16.
  const matrices: [string, number, number][] = [
    ["embed", 30, 0],
    ["0.qkv", 14 * 6, 32],
    ["0.o", 6 * 4, 128],
    ["0.mlp.gate_up", 14 * 6, 160],
    ["0.mlp.down", 6 * 7, 256],
    ["1.qkv", 26 * 6, 304],
    ["1.gate", 6 * 6, 464],
    ["1.phi_k.up", 16 * 16, 512],
    ["1.phi_k.down", 4 * 16, 768],
    ["1.phi_v.up", 8 * 8, 832],
    ["1.phi_v.down", 2 * 8, 896],
    ["1.o", 6 * 4, 912],
    ["1.mlp.gate_up", 14 * 6, 944],
    ["1.mlp.down", 6 * 7, 1040],
    ["lm_head", 30, 1088],
  ];
  const vectors: [string, number, number][] = [
    ["0.norm1", 6, 1120],
    ["0.qkv_bias", 14, 1136],
    ["0.q_norm", 4, 1152],
    ["0.k_norm", 4, 1168],
    ["0.norm2", 6, 1184],
    ["1.norm1", 6, 1200],
    ["1.qkv_bias", 26, 1216],
    ["1.q_norm", 4, 1248],
    ["1.k_norm", 4, 1264],
    ["1.gate_bias", 6, 1280],
    ["1.phi_k.pos", 4 * 4, 1296],
    ["1.phi_v.pos", 4 * 2, 1312],
    ["1.norm2", 6, 1328],
    ["norm", 6, 1344],
  ];
  const found = weights.map((w) => [short(w.key), w.shape.reduce((a, b) => a * b, 1), w.offset]);
  expect(found).toEqual([...matrices, ...vectors]);
  expect(groups.map((g) => [g.name, g.from, g.decayTo, g.to])).toEqual([["default", 0, 1120, 1360]]);
  expect(numel).toBe(1360);
  expect(weights.map((w) => w.decay)).toEqual([...matrices.map(() => true), ...vectors.map(() => false)]);
  // φ's positions are computed as matrices are, though they do not decay.
  expect(weights.filter((w) => w.matrix !== w.decay).map((w) => short(w.key))).toEqual([
    "1.phi_k.pos",
    "1.phi_v.pos",
  ]);
  expect(parameterCount).toBe([...matrices, ...vectors].reduce((n, [, size]) => n + size, 0));
});

test("parts_of_a_fused_projection_lie_below_one_another", () => {
  const parts = weight("1.self_attn.qkv").parts.map(({ name, shape, offset }) => [
    name.replace("model.layers.1.self_attn.", ""),
    shape[0],
    offset,
  ]);
  expect(parts).toEqual([
    ["q_proj.weight", 8, 0],
    ["k_proj_cmp.weight", 4, 48],
    ["v_proj_cmp.weight", 2, 72],
    ["k_proj_slc.weight", 4, 84],
    ["v_proj_slc.weight", 2, 108],
    ["k_proj_win.weight", 4, 120],
    ["v_proj_win.weight", 2, 144],
  ]);
  expect(weight("0.mlp.gate_up").parts.map((p) => [p.name, p.offset])).toEqual([
    ["model.layers.0.mlp.gate_proj.weight", 0],
    ["model.layers.0.mlp.up_proj.weight", 42],
  ]);
  expect(weight("1.self_attn.qkv_bias").parts.map((p) => p.offset)).toEqual([0, 8, 12, 14, 18, 20, 24]);
});

test("residual_outputs_start_smaller_by_the_root_of_twice_the_layers_and_phi_by_its_inputs", () => {
  const std = (key: string, change: ModelConfigInput = {}) => {
    const { init } = weight(key, change);
    return init.kind === "normal" ? init.std : undefined;
  };
  for (const key of ["embed", "lm_head", "0.self_attn.qkv", "1.self_attn.gate", "0.mlp.gate_up", "phi_k.pos"])
    expect(std(key), key).toBe(0.06);
  // 0.06/√(2·2) = 0.03, and with 8 layers 0.06/4.
  for (const key of ["0.self_attn.o", "1.self_attn.o", "0.mlp.down", "1.mlp.down"])
    expect(std(key), key).toBeCloseTo(0.03, 12);
  expect(std("0.mlp.down", { numLayers: 8, attentionLayers: undefined })).toBeCloseTo(0.015, 12);
  // φ maps 4 tokens of d channels to 4·d and back to d: 1/√(4·d) and 1/√(4·d) of its inputs.
  expect([std("phi_k.up"), std("phi_k.down")]).toEqual([1 / 4, 1 / 4]);
  expect(std("phi_v.up")).toBeCloseTo(1 / Math.sqrt(8), 12);
  expect(std("phi_v.down", { blockSize: 16, selectionBlockSize: 16 })).toBeCloseTo(1 / Math.sqrt(8), 12);
  expect(std("phi_v.up", { blockSize: 16, selectionBlockSize: 16 })).toBeCloseTo(1 / Math.sqrt(32), 12);
});

test("norms_start_at_1_biases_at_0_and_pooling_at_the_mean", () => {
  const value = (key: string, change: ModelConfigInput = {}) => {
    const { init } = weight(key, change);
    return init.kind === "constant" ? init.value : undefined;
  };
  for (const key of ["norm1", "norm2", "q_norm", "k_norm", "norm"]) expect(value(key), key).toBe(1);
  for (const key of ["0.self_attn.qkv_bias", "gate_bias"]) expect(value(key), key).toBe(0);
  expect(value("phi_k", { compress: "weighted" })).toBe(0.25);
  expect(weight("phi_k", { compress: "weighted" }).shape).toEqual([4]);
});

test("drawn_values_have_their_deviation_and_their_own_stream", () => {
  const config = {
    dModel: 64,
    numLayers: 8,
    numHeads: 4,
    dFf: 64,
    vocabSize: 50,
    tieEmbeddings: false,
  } as const;
  const p = new Parameters(cpu, resolveModelConfig({ ...config, attention: "full", initStd: 0.1 })).init(3);
  const std = (name: string) => {
    const values = p.readMaster(name);
    return Math.sqrt(values.reduce((s, x) => s + x * x, 0) / values.length);
  };
  // 4096 draws: the deviation is right to 1.1 %.
  expect(std("model.layers.2.self_attn.q_proj.weight") / 0.1).toBeCloseTo(1, 1);
  expect(std("model.layers.2.self_attn.o_proj.weight") / (0.1 / 4)).toBeCloseTo(1, 1);
  expect(std("model.layers.7.mlp.down_proj.weight") / (0.1 / 4)).toBeCloseTo(1, 1);
  const [a, b] = [3, 4].map((i) => p.readMaster(`model.layers.${i}.mlp.up_proj.weight`));
  expect(Math.abs(a!.reduce((s, x, i) => s + x * b![i]!, 0) / 4096 / 0.01)).toBeLessThan(5 / 64);
  expect(new Set(p.readMaster("model.layers.2.input_layernorm.weight"))).toEqual(new Set([1]));
});
