// Every key of a config.json is read, known to change nothing, or refused by its name.
import { expect, test } from "vitest";
import { fromHfConfig, type HfConfig, resolveModelConfig, toHfConfig } from "../src/index.ts";
import { llama, llama3, yarn } from "./hf-configs.ts";

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
  ...(
    "deepseek_v2 deepseek_v3 kimi_k2 mixtral qwen2_moe qwen3_moe gpt_oss llama4_text jamba dbrx gemma gemma2 gemma3_text phi phi-msft gpt2 gpt_neox gptj " +
    "falcon mpt bloom opt stablelm starcoder2 nemotron olmo olmo2 olmo3 cohere cohere2 smollm3 granite minicpm internlm2 internlm3 glm glm4 chatglm " +
    "baichuan Yi qwen qwen3_next qwen2_vl mamba rwkv falcon_h1 lfm2 zamba2 constructor"
  )
    .split(" ")
    .map((type): [string, HfConfig, string] => [`type ${type}`, { model_type: type }, `model_type ${type}`]),
  [
    "Phi-3 of 128K",
    { model_type: "phi3", rope_scaling: { type: "longrope", short_factor: [1, 1], long_factor: [1, 2] } },
    "longrope",
  ],
  [
    "Phi-3 by its own code of another name",
    { model_type: "phi3", auto_map: { AutoModel: "modeling_x.X" } },
    "auto_map",
  ],
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
    is_llama_config: true,
    output_router_logits: false,
    num_logits_to_keep: 0,
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
