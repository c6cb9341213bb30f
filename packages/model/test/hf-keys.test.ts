// Every key of a config.json is read, known to change nothing, or refused by its name.
import { expect, test } from "vitest";
import { fromHfConfig, type HfConfig, resolveModelConfig, toHfConfig } from "../src/index.ts";

const sizes: HfConfig = {
  vocab_size: 29,
  hidden_size: 32,
  intermediate_size: 40,
  num_hidden_layers: 4,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  rms_norm_eps: 1e-5,
};
/** What transformers 4 writes into every file. */
const common: HfConfig = {
  attention_dropout: 0.0,
  bos_token_id: 1,
  eos_token_id: [2, 3],
  hidden_act: "silu",
  initializer_range: 0.02,
  tie_word_embeddings: false,
  torch_dtype: "bfloat16",
  transformers_version: "4.46.1",
  use_cache: true,
  ...sizes,
};
const llama = {
  architectures: ["LlamaForCausalLM"],
  model_type: "llama",
  attention_bias: false,
  mlp_bias: false,
  pretraining_tp: 1,
  max_position_embeddings: 4096,
  ...common,
};
const qwen = {
  max_window_layers: 2,
  sliding_window: 64,
  use_sliding_window: false,
  max_position_embeddings: 4096,
};
const llama3 = {
  factor: 8.0,
  high_freq_factor: 4.0,
  low_freq_factor: 1.0,
  original_max_position_embeddings: 8192,
  rope_type: "llama3",
};

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

const yarn = (more: object) => ({ rope_scaling: { rope_type: "yarn", factor: 4.0, ...more } });
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

/** Values that change the computation: the key, its value, and a part of the message. */
const refused: [string, HfConfig, string][] = [
  ...Object.entries({
    final_logit_softcapping: 30,
    attn_logit_softcapping: 50,
    logit_scale: 0.0625,
    logits_scaling: 8,
    embedding_multiplier: 12,
    residual_multiplier: 0.22,
    attention_multiplier: 0.015625,
    query_pre_attn_scalar: 224,
    clip_qkv: 8,
    use_mrope: true,
    use_qk_norm: true,
    qkv_bias: true,
    is_causal: false,
    num_experts: 8,
    num_local_experts: 8,
    no_rope_layers: [1, 1, 1, 0],
    q_lora_rank: 1536,
    some_key_of_tomorrow: "x",
    another_of_tomorrow: 0,
    attention_bias: true,
    mlp_bias: true,
    sliding_window: 64,
    text_config: { hidden_size: 3 },
  }).map(([key, value]): [string, HfConfig, string] => [key, { [key]: value }, key]),
  ["gelu", { hidden_act: "gelu" }, "hidden_act gelu"],
  ["fp8", { quantization_config: { quant_method: "fp8", fmt: "e4m3" } }, "fp8 (e4m3)"],
  ["awq", { quantization_config: { quant_method: "awq", bits: 4 } }, "awq (4 bits)"],
  ["dtype", { torch_dtype: "float8_e4m3fn" }, "float8_e4m3fn"],
  ["own code", { auto_map: { AutoModelForCausalLM: "modeling_x.X" } }, "AutoModelForCausalLM"],
  ["classifier of two classes", { architectures: ["LlamaForSequenceClassification"] }, "architectures"],
  ["classifier of tokens", { architectures: ["LlamaForTokenClassification"] }, "architectures"],
  ...["dynamic", "longrope", "su", "mrope", "ntk"].map((type): [string, HfConfig, string] => [
    `rope ${type}`,
    { rope_scaling: { type, factor: 2 } },
    type,
  ]),
  ["rope alpha", { rope_scaling: { type: "linear", factor: 2, alpha: 1000 } }, "rope_scaling.alpha"],
  ["rope sections", { rope_scaling: { rope_type: "default", mrope_section: [1, 1, 2] } }, "mrope_section"],
  ["yarn extrapolation", yarn({ extrapolation_factor: 0.5 }), "rope_scaling.extrapolation_factor"],
  [
    "two rotary embeddings",
    { rope_parameters: { full_attention: { rope_theta: 1e6 }, sliding_attention: { rope_theta: 1e4 } } },
    "rope_parameters",
  ],
  [
    "linear attention",
    { layer_types: ["linear_attention", ...new Array(3).fill("full_attention")] },
    "layer_types",
  ],
  ...["deepseek_v3", "mixtral", "qwen3_moe", "gemma2", "phi3", "gpt2", "constructor"].map(
    (type): [string, HfConfig, string] => [`type ${type}`, { model_type: type }, `model_type ${type}`],
  ),
];

test.each(refused)("%s_is_refused_by_name", (_, change, what) => {
  const error = { code: "hf_unsupported", exitCode: 4, what: expect.stringContaining(what) };
  expect(() => fromHfConfig({ ...llama, ...change })).toThrowError(expect.objectContaining(error));
});

test("neutral_values_of_the_same_keys_change_nothing", () => {
  const plain = fromHfConfig(llama);
  const neutral: HfConfig = {
    final_logit_softcapping: null,
    attn_logit_softcapping: 0,
    logit_scale: 1,
    logits_scaling: 1.0,
    embedding_multiplier: 1,
    residual_multiplier: 1,
    attention_multiplier: 1 / Math.sqrt(8),
    query_pre_attn_scalar: 8,
    clip_qkv: null,
    use_mrope: false,
    use_qk_norm: false,
    is_causal: true,
    num_experts: null,
    num_local_experts: 1,
    no_rope_layers: [1, 1, 1, 1],
    some_key_of_tomorrow: null,
    partial_rotary_factor: 1,
    sliding_window: 4096,
    auto_map: { AutoTokenizer: "tokenization_x.X" },
    quantization_config: null,
    rope_scaling: { rope_type: "default", factor: 1 },
    pruned_heads: {},
    is_encoder_decoder: false,
    dtype: "float32",
    architectures: ["LlamaModel"],
    layer_types: new Array(4).fill("full_attention"),
    hidden_act: "swish",
  };
  for (const [key, value] of Object.entries(neutral))
    expect(fromHfConfig({ ...llama, [key]: value }), key).toEqual(plain);
});

test.each<[string, HfConfig, string]>([
  ["linear_without_factor", { rope_scaling: { type: "linear" } }, "rope_scaling.factor"],
  ["linear_with_a_text", { rope_scaling: { type: "linear", factor: "4" } }, "rope_scaling.factor"],
  ["yarn_without_factor", { rope_scaling: { type: "yarn" } }, "rope_scaling.factor"],
  ["llama3_without_factor", { rope_scaling: { rope_type: "llama3" } }, "rope_scaling.factor"],
  ["llama3_bands", { rope_scaling: { ...llama3, high_freq_factor: 1 } }, "rope_scaling.high_freq_factor"],
  ["yarn_original", yarn({ original_max_position_embeddings: 0 }), "original_max_position_embeddings"],
  ["yarn_truncate", yarn({ truncate: "yes" }), "rope_scaling.truncate"],
  ["rope_as_text", { rope_scaling: "linear" }, "rope_scaling"],
  ["no_width", { hidden_size: undefined }, "hidden_size"],
  ["layers_as_text", { num_hidden_layers: "4" }, "num_hidden_layers"],
  ["half_a_layer", { num_hidden_layers: 3.5 }, "num_hidden_layers"],
  ["eps", { rms_norm_eps: 0 }, "rms_norm_eps"],
  ["heads", { num_attention_heads: 5 }, "num_attention_heads"],
  ["odd_head", { head_dim: 7 }, "head_dim"],
  ["groups", { num_key_value_heads: 3 }, "num_key_value_heads"],
  ["rotary_share", { partial_rotary_factor: 1.5 }, "partial_rotary_factor"],
  ["odd_rotary", { partial_rotary_factor: 0.4 }, "partial_rotary_factor"],
  ["tied_text", { tie_word_embeddings: "no" }, "tie_word_embeddings"],
  ["layer_types", { layer_types: ["full_attention"] }, "layer_types"],
  ["no_type", { model_type: undefined }, "model_type"],
])("%s_is_an_error_of_the_file_that_names_the_key", (_, change, key) => {
  const error = { code: "hf_config_invalid", exitCode: 3, what: expect.stringContaining(key) };
  expect(() => fromHfConfig({ ...llama, ...change })).toThrowError(expect.objectContaining(error));
});

const base = {
  vocabSize: 13,
  dModel: 16,
  numLayers: 3,
  numHeads: 4,
  numKvHeads: 2,
  attention: "full",
  windowSize: 5,
  maxSeqLen: 64,
  tieEmbeddings: false,
} as const;
const yarnScaling = {
  type: "yarn" as const,
  factor: 4,
  originalMaxPositionEmbeddings: 16,
  betaFast: 32,
  betaSlow: 1,
  attentionFactor: 1.1,
  truncate: false,
};

test.each([
  ["llama", { ...base }],
  ["llama", { ...base, ropeScaling: yarnScaling, ropeTheta: 77, normEps: 1e-4 }],
  ["mistral", { ...base, attention: "window" }],
  ["qwen2", { ...base, qkvBias: true, attention: "window" }],
  ["qwen2", { ...base, qkvBias: true, attentionLayers: ["full", "window", "full"] }],
  ["qwen3", { ...base, qkNorm: true, headDim: 6, attentionLayers: ["window", "full", "full"] }],
  ["llama", { ...base, head: "scalar" as const }],
])("what_is_exported_as_%s_is_read_back", (type, input) => {
  const config = resolveModelConfig(input);
  const hf = toHfConfig(config);
  expect(hf.model_type).toBe(type);
  const { windowSize, attention, attentionLayers, ...rest } = fromHfConfig(hf);
  const kinds = (a: string, layers?: string[]) => layers ?? new Array(3).fill(a);
  expect(kinds(attention, attentionLayers)).toEqual(kinds(config.attention, config.attentionLayers));
  if (kinds(attention, attentionLayers).includes("window")) expect(windowSize).toBe(5);
  expect(rest).toEqual(
    expect.objectContaining({ ...rest, ropeScaling: config.ropeScaling, head: config.head }),
  );
});

test("a_part_of_a_head_that_turns_has_no_architecture_to_be_exported_as", () => {
  const error = expect.objectContaining({ code: "hf_unsupported", exitCode: 4 });
  for (const attention of ["full", "nsa"])
    expect(() => toHfConfig(resolveModelConfig({ ...base, attention, rotaryDim: 2 }))).toThrowError(error);
});
