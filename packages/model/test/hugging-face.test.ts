// Import and export of Llama, Qwen2 and Qwen3 folders against a forward of our own from their names and config.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SafetensorsReader, writeSafetensors } from "@nsa/core";
import { afterAll, expect, test } from "vitest";
import { openBackend } from "../../kernels/test/backend.ts";
import {
  Engine,
  exportHuggingFace,
  fromHfConfig,
  importHuggingFace,
  logprobs,
  type ModelConfigInput,
  plainSampling,
  resolveModelConfig,
  Transformer,
  toHfConfig,
} from "../src/index.ts";
import { naiveLlama } from "./naive-llama.ts";

const cpu = openBackend({ threads: 1 });
const root = mkdtempSync(join(tmpdir(), "nsa-hf-"));
afterAll(() => {
  cpu.close();
  rmSync(root, { recursive: true });
});

const base: ModelConfigInput = {
  vocabSize: 13,
  dModel: 16,
  numLayers: 2,
  numHeads: 4,
  numKvHeads: 2,
  dFf: 20,
  attention: "full",
  initStd: 0.4,
  maxSeqLen: 32,
  ropeTheta: 500,
};
const families: [string, ModelConfigInput][] = [
  ["llama", { ...base, tieEmbeddings: false }],
  ["qwen2", { ...base, qkvBias: true }],
  ["qwen3", { ...base, qkNorm: true, headDim: 6 }],
];

for (const [type, config] of families) {
  test(`an_exported_${type}_computes_what_its_names_and_config_say_and_comes_back_bit_for_bit`, async () => {
    const model = new Transformer(cpu, resolveModelConfig(config));
    model.parameters.init(5);
    // Biases and norms start constant: random ones show whether they are used.
    for (const { name, shape } of model.parameters.names) {
      if (shape.length > 1) continue;
      const values = Float32Array.from({ length: shape[0]! }, (_, i) => 1 + 0.3 * Math.sin(i + name.length));
      model.parameters.flat.write(values, model.parameters.range(name).offset);
    }
    const folder = join(root, type);
    await exportHuggingFace(model, folder);
    const hf = JSON.parse(readFileSync(join(folder, "config.json"), "utf8"));
    expect(hf.model_type).toBe(type);
    using file = SafetensorsReader.open(join(folder, "model.safetensors"));
    const tokens = [3, 1, 4, 1, 5, 9, 2, 6];
    const expected = naiveLlama(hf, (name) => file.floats(name), tokens);

    const back = importHuggingFace(cpu, folder);
    expect([...back.parameters.flat.read()]).toEqual([...model.parameters.flat.read()]);
    const targets = Int32Array.from([...tokens.slice(1), 7]);
    const batch = { tokens: Int32Array.from(tokens), targets, cuSeqlens: Int32Array.of(0, 8) };
    const { logp } = logprobs(back, batch);
    for (const [t, target] of targets.entries()) expect(logp[t]).toBeCloseTo(expected[t]![target]!, 4);
  });
}

/** Settings of config.json that change the computation of the same weights, by family. */
const settings: [string, string, Record<string, unknown>][] = [
  ["llama", "partial_rotary", { partial_rotary_factor: 0.5 }],
  [
    "qwen3",
    "partial_rotary_behind_a_norm",
    { rope_parameters: { partial_rotary_factor: 0.7, rope_theta: 90 } },
  ],
  ["llama", "linear", { rope_scaling: { type: "linear", factor: 3 } }],
  ["llama", "yarn_without_original", { rope_scaling: { type: "yarn", factor: 4 } }],
  [
    "qwen2",
    "yarn_with_mscale",
    {
      rope_scaling: {
        rope_type: "yarn",
        factor: 4,
        original_max_position_embeddings: 8,
        mscale: 0.5,
        mscale_all_dim: 0.7,
      },
    },
  ],
  [
    "llama",
    "yarn_untruncated_on_a_part",
    {
      partial_rotary_factor: 0.5,
      rope_scaling: {
        rope_type: "yarn",
        factor: 4,
        original_max_position_embeddings: 8,
        beta_fast: 2,
        truncate: false,
      },
    },
  ],
  [
    "llama",
    "llama3",
    {
      rope_parameters: {
        rope_type: "llama3",
        factor: 8,
        low_freq_factor: 1,
        high_freq_factor: 4,
        original_max_position_embeddings: 16,
        rope_theta: 300,
      },
    },
  ],
  ["llama", "windows_of_a_mistral", { model_type: "mistral", sliding_window: 3 }],
  ["qwen2", "windows_of_upper_layers", { use_sliding_window: true, sliding_window: 3, max_window_layers: 1 }],
  [
    "qwen3",
    "windows_by_type",
    {
      use_sliding_window: true,
      sliding_window: 2,
      layer_types: ["sliding_attention", "full_attention"],
    },
  ],
];

test.each(settings)("%s_with_%s_computes_it_in_training_and_decoding", async (family, name, change) => {
  const model = new Transformer(cpu, resolveModelConfig(families.find(([type]) => type === family)![1]));
  model.parameters.init(7);
  const folder = join(root, name);
  await exportHuggingFace(model, folder);
  const path = join(folder, "config.json");
  const plain = JSON.parse(readFileSync(path, "utf8"));
  const hf = { ...plain, ...change };
  writeFileSync(path, JSON.stringify(hf));
  using file = SafetensorsReader.open(join(folder, "model.safetensors"));
  const weight = (tensor: string) => file.floats(tensor);
  const tokens = [3, 1, 4, 1, 5, 9, 2, 6, 5, 3];
  const expected = naiveLlama(hf, weight, tokens);
  const without = naiveLlama(plain, weight, tokens);
  const gap = Math.max(...expected[9]!.map((x, i) => Math.abs(x - without[9]![i]!)));
  expect(gap, "the setting matters").toBeGreaterThan(1e-3);

  const back = importHuggingFace(cpu, folder);
  const targets = Int32Array.from([...tokens.slice(1), 7]);
  const batch = { tokens: Int32Array.from(tokens), targets, cuSeqlens: Int32Array.of(0, 10) };
  const { logp } = logprobs(back, batch);
  for (const [t, target] of targets.entries()) expect(logp[t]).toBeCloseTo(expected[t]![target]!, 4);
  // Greedy decoding goes through the cache.
  const request = { prompt: tokens, n: 1, maxTokens: 6, seed: 1, id: 0, stopIds: [] };
  const engine = new Engine(back, { maxSequences: 2, cacheTokens: 64, prefillTokens: 64 });
  const [greedy] = engine.generate([{ ...request, sampling: { ...plainSampling, temperature: 0 } }])[0]!;
  const text = [...tokens];
  for (const id of greedy!.ids) {
    const row = naiveLlama(hf, weight, text).at(-1)!;
    expect(id).toBe(row.indexOf(Math.max(...row)));
    text.push(id);
  }
  expect(greedy!.ids).toHaveLength(6);
});

test("sharded_bf16_weights_are_read_through_their_index", async () => {
  const config = toHfConfig(resolveModelConfig(base));
  const names = new Transformer(cpu, resolveModelConfig(base)).parameters.names;
  const folder = mkdtempSync(join(root, "sharded-"));
  writeFileSync(join(folder, "config.json"), JSON.stringify(config));
  const map: Record<string, string> = {};
  for (const [i, shard] of ["a.safetensors", "b.safetensors"].entries()) {
    const part = names.filter((_, j) => j % 2 === i);
    for (const { name } of part) map[name] = shard;
    // 0x3fc0 is 1.5 in bf16.
    const entry = (n: number) => () => new Uint16Array(n).fill(0x3fc0);
    writeSafetensors(
      join(folder, shard),
      part.map(({ name, shape }) => ({
        name,
        shape,
        dtype: "BF16" as const,
        data: entry(shape.reduce((a, b) => a * b, 1)),
      })),
    );
  }
  writeFileSync(join(folder, "model.safetensors.index.json"), JSON.stringify({ weight_map: map }));
  const model = importHuggingFace(cpu, folder);
  for (const { name } of names)
    expect(new Set(model.parameters.readMaster(name)), name).toEqual(new Set([1.5]));
});

test("llama3_scaling_survives_the_round_trip_and_other_architectures_are_refused", () => {
  const ropeScaling = {
    type: "llama3" as const,
    factor: 8,
    lowFreqFactor: 1,
    highFreqFactor: 4,
    originalMaxPositionEmbeddings: 8192,
  };
  const config = resolveModelConfig({ ...base, ropeScaling });
  expect(fromHfConfig(toHfConfig(config)).ropeScaling).toEqual(ropeScaling);
  const refused = expect.objectContaining({ code: "hf_unsupported", exitCode: 4 });
  expect(() => fromHfConfig({ ...toHfConfig(config), model_type: "gpt2" })).toThrowError(refused);
  expect(() => fromHfConfig({ ...toHfConfig(config), attention_bias: true })).toThrowError(refused);
  const scaledNsa = resolveModelConfig({ ...base, ropeScaling, attention: "nsa" });
  expect(() => toHfConfig(scaledNsa)).toThrowError(refused);
});
