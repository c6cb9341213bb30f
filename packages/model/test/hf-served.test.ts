// config.json of the families as their own files have it, at small size, and what is read from it.
import { expect, test } from "vitest";
import { fromHfConfig, type HfConfig } from "../src/index.ts";
import { common, llama, llama3, qwen, sizes, yarn } from "./hf-configs.ts";

/** Keys as in the models' own files, sizes small. */
const served: Record<string, [HfConfig, object]> = {
  "Llama 2": [
    { ...llama, rope_scaling: null, pad_token_id: 0, _name_or_path: "meta-llama/Llama-2-7b-hf" },
    { attention: "full", ropeTheta: 10000, maxSeqLen: 4096, tieEmbeddings: false, normEps: 1e-5 },
  ],
  "Llama 3": [
    { ...llama, rope_theta: 500000.0 },
    { ropeTheta: 500000, ropeScaling: undefined },
  ],
  "Llama 3.1": [
    { ...llama, max_position_embeddings: 131072, rope_theta: 500000.0, rope_scaling: llama3 },
    {
      maxSeqLen: 131072,
      ropeScaling: {
        type: "llama3",
        factor: 8,
        lowFreqFactor: 1,
        highFreqFactor: 4,
        originalMaxPositionEmbeddings: 8192,
      },
    },
  ],
  "Llama 3.2": [
    { ...llama, head_dim: 16, tie_word_embeddings: true, rope_scaling: { ...llama3, factor: 32.0 } },
    { headDim: 16, tieEmbeddings: true, ropeScaling: expect.objectContaining({ factor: 32 }) },
  ],
  "DeepSeekMath 7B": [{ ...llama, rope_scaling: null, rope_theta: 10000 }, { ropeScaling: undefined }],
  "DeepSeek-Coder": [
    {
      ...llama,
      max_position_embeddings: 16384,
      rope_theta: 100000,
      rope_scaling: { factor: 4.0, type: "linear" },
    },
    { ropeTheta: 100000, ropeScaling: { type: "linear", factor: 4 } },
  ],
  "R1-Distill-Llama": [
    { ...llama, bos_token_id: 128000, rope_theta: 500000.0, rope_scaling: llama3 },
    { ropeScaling: expect.objectContaining({ type: "llama3" }) },
  ],
  SmolLM2: [
    {
      ...llama,
      is_llama_config: true,
      rope_interleaved: false,
      tie_word_embeddings: true,
      "transformers.js_config": {},
    },
    { tieEmbeddings: true, ropeScaling: undefined },
  ],
  "Yi, Vicuna and TinyLlama": [
    {
      ...llama,
      max_sequence_length: 2048,
      rope_theta: 5000000.0,
      pretraining_tp: 1,
      tokenizer_class: "LlamaTokenizer",
    },
    { ropeTheta: 5e6 },
  ],
  "Phi-3 of 4K": [
    {
      ...llama,
      model_type: "phi3",
      architectures: ["Phi3ForCausalLM"],
      auto_map: {
        AutoConfig: "configuration_phi3.Phi3Config",
        AutoModelForCausalLM: "modeling_phi3.Phi3ForCausalLM",
      },
      embd_pdrop: 0.0,
      resid_pdrop: 0.0,
      original_max_position_embeddings: 4096,
      rope_scaling: null,
      sliding_window: 2047,
    },
    { attention: "window", windowSize: 2047, qkNorm: false, qkvBias: false },
  ],
  "Phi-4": [
    {
      ...llama,
      model_type: "phi3",
      architectures: ["Phi3ForCausalLM"],
      rope_theta: 250000,
      sliding_window: null,
    },
    { attention: "full", ropeTheta: 250000 },
  ],
  Qwen2: [
    { ...common, ...qwen, model_type: "qwen2", architectures: ["Qwen2ForCausalLM"], rope_theta: 1e6 },
    { qkvBias: true, qkNorm: false, attention: "full", ropeTheta: 1e6, headDim: 8 },
  ],
  "Qwen2.5": [
    { ...common, ...qwen, model_type: "qwen2", tie_word_embeddings: true, sliding_window: 131072 },
    { attention: "full", tieEmbeddings: true },
  ],
  "Qwen2.5-Math and R1-Distill-Qwen": [
    { ...common, ...qwen, model_type: "qwen2", use_mrope: false, rope_theta: 10000 },
    { attention: "full", ropeTheta: 10000 },
  ],
  "Qwen2.5 stretched": [
    {
      ...common,
      ...qwen,
      model_type: "qwen2",
      max_position_embeddings: 32768,
      rope_scaling: { factor: 4.0, original_max_position_embeddings: 32768, type: "yarn" },
    },
    {
      ropeScaling: {
        type: "yarn",
        factor: 4,
        originalMaxPositionEmbeddings: 32768,
        betaFast: 32,
        betaSlow: 1,
      },
    },
  ],
  Qwen3: [
    {
      ...common,
      ...qwen,
      model_type: "qwen3",
      attention_bias: false,
      head_dim: 16,
      rope_scaling: null,
      sliding_window: null,
    },
    { qkNorm: true, qkvBias: false, headDim: 16, attention: "full" },
  ],
  "Qwen3 as transformers 5 writes it": [
    {
      ...sizes,
      architectures: ["Qwen3ForCausalLM"],
      model_type: "qwen3",
      dtype: "bfloat16",
      head_dim: 16,
      layer_types: new Array(4).fill("full_attention"),
      max_window_layers: 28,
      max_position_embeddings: 4096,
      rope_parameters: { rope_theta: 1000000, rope_type: "default" },
      transformers_version: "5.0.0",
      use_sliding_window: false,
      sliding_window: null,
    },
    { ropeTheta: 1e6, ropeScaling: undefined, attention: "full" },
  ],
  "Qwen2 with windows in its upper layers": [
    { ...common, ...qwen, model_type: "qwen2", use_sliding_window: true, max_window_layers: 1 },
    { attentionLayers: ["full", "window", "window", "window"], windowSize: 64 },
  ],
  "Qwen3 with windows by type of layer": [
    {
      ...common,
      ...qwen,
      model_type: "qwen3",
      use_sliding_window: true,
      layer_types: ["sliding_attention", "full_attention", "sliding_attention", "full_attention"],
    },
    { attentionLayers: ["window", "full", "window", "full"], windowSize: 64 },
  ],
  "Qwen2 with windows behind its last layer": [
    { ...common, ...qwen, model_type: "qwen2", use_sliding_window: true, max_window_layers: 28 },
    { attention: "full" },
  ],
  "Mistral 0.1": [
    { ...common, model_type: "mistral", max_position_embeddings: 32768, sliding_window: 4096 },
    { attention: "window", windowSize: 4096, qkvBias: false },
  ],
  "Mistral 0.3": [
    {
      ...common,
      model_type: "mistral",
      max_position_embeddings: 32768,
      sliding_window: null,
      rope_theta: 1e6,
    },
    { attention: "full", ropeTheta: 1e6 },
  ],
  "Mistral that leaves its window to the default": [
    { ...common, model_type: "mistral", max_position_embeddings: 32768 },
    { attention: "window", windowSize: 4096 },
  ],
  "a window that the context never leaves": [
    { ...common, model_type: "mistral", max_position_embeddings: 4096, sliding_window: 4096 },
    { attention: "full" },
  ],
  "partial rotary": [{ ...llama, partial_rotary_factor: 0.5 }, { rotaryDim: 4 }],
  "partial rotary of transformers 5": [
    { ...llama, rope_parameters: { rope_type: "default", rope_theta: 5e5, partial_rotary_factor: 0.75 } },
    { rotaryDim: 6, ropeTheta: 5e5 },
  ],
  "empty rope_parameters beside rope_scaling": [
    { ...llama, rope_parameters: {}, rope_scaling: { rope_type: "linear", factor: 4.0 } },
    { ropeScaling: { type: "linear", factor: 4 } },
  ],
  "one rotary embedding for each type of layer, all the same": [
    {
      ...llama,
      rope_parameters: { full_attention: { rope_theta: 777 }, sliding_attention: { rope_theta: 777 } },
    },
    { ropeTheta: 777 },
  ],
  "a reward model": [
    { ...llama, architectures: ["LlamaForSequenceClassification"], id2label: { 0: "LABEL_0" } },
    { head: "scalar" },
  ],
};

test.each(Object.entries(served))("%s", (_, [hf, expected]) => {
  expect(fromHfConfig(hf)).toMatchObject(expected);
});

const scalingOf = (more: HfConfig) => fromHfConfig({ ...llama, ...more }).ropeScaling;

test("yarn_has_the_defaults_of_transformers_and_mscale_weighs_its_factor", () => {
  const plain = { type: "yarn", factor: 4, originalMaxPositionEmbeddings: 4096, betaFast: 32, betaSlow: 1 };
  expect(scalingOf(yarn({}))).toEqual(plain);
  expect(scalingOf({ ...yarn({}), original_max_position_embeddings: 512 })).toEqual({
    ...plain,
    originalMaxPositionEmbeddings: 512,
  });
  expect(scalingOf(yarn({ truncate: false, beta_fast: 16, beta_slow: 2 }))).toEqual({
    ...plain,
    betaFast: 16,
    betaSlow: 2,
    truncate: false,
  });
  // ln 4 = 1.386294: (0.1·0.5·1.386294 + 1)/(0.1·0.7·1.386294 + 1) = 1.0693147/1.0970406.
  const factor = (more: object) => (scalingOf(yarn(more)) as { attentionFactor?: number }).attentionFactor;
  expect(factor({ mscale: 0.5, mscale_all_dim: 0.7 })).toBeCloseTo(0.9747266, 6);
  expect(factor({ mscale: 1, mscale_all_dim: 1 })).toBe(1);
  // One of them alone, or 0, changes nothing; a stated factor wins.
  for (const one of [{ mscale: 0.5 }, { mscale_all_dim: 0.7 }, { mscale: 0.5, mscale_all_dim: 0 }])
    expect(factor(one)).toBeUndefined();
  expect(factor({ mscale: 0.5, mscale_all_dim: 0.7, attention_factor: 1.25 })).toBe(1.25);
  // Without a factor, that of the contexts.
  const { factor: _, ...left } = yarn({ original_max_position_embeddings: 512 }).rope_scaling;
  expect(scalingOf({ rope_scaling: left })).toMatchObject({ factor: 8, originalMaxPositionEmbeddings: 512 });
});
