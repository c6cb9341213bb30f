// Keys that config.json of the families have in common.
import type { HfConfig } from "../src/index.ts";

export const sizes: HfConfig = {
  vocab_size: 29,
  hidden_size: 32,
  intermediate_size: 40,
  num_hidden_layers: 4,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  rms_norm_eps: 1e-5,
};
/** What transformers 4 writes into every file. */
export const common: HfConfig = {
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
export const llama = {
  architectures: ["LlamaForCausalLM"],
  model_type: "llama",
  attention_bias: false,
  mlp_bias: false,
  pretraining_tp: 1,
  max_position_embeddings: 4096,
  ...common,
};
export const qwen = {
  max_window_layers: 2,
  sliding_window: 64,
  use_sliding_window: false,
  max_position_embeddings: 4096,
};
export const llama3 = {
  factor: 8.0,
  high_freq_factor: 4.0,
  low_freq_factor: 1.0,
  original_max_position_embeddings: 8192,
  rope_type: "llama3",
};

export const yarn = (more: object) => ({ rope_scaling: { rope_type: "yarn", factor: 4.0, ...more } });
