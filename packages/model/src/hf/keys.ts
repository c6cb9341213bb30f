// Keys of config.json that change nothing that is computed here, and keys that do unless their value is the neutral one. A key in
// neither list is refused by its name.
import { type Fields, refuse } from "./fields.ts";

/** Read by the importer, or without effect on the weights' computation. */
export const HARMLESS: ReadonlySet<string> = new Set([
  // Read elsewhere: sizes, rotary embedding, windows, tokens.
  ..."vocab_size hidden_size intermediate_size num_hidden_layers num_attention_heads num_key_value_heads head_dim".split(
    " ",
  ),
  ..."max_position_embeddings original_max_position_embeddings rope_theta rope_scaling rope_parameters".split(
    " ",
  ),
  ..."partial_rotary_factor rms_norm_eps tie_word_embeddings model_type architectures hidden_act".split(" "),
  ..."sliding_window use_sliding_window max_window_layers layer_types num_labels id2label label2id".split(
    " ",
  ),
  ..."attention_bias mlp_bias quantization_config torch_dtype dtype auto_map".split(" "),
  ..."bos_token_id eos_token_id pad_token_id unk_token_id sep_token_id cls_token_id mask_token_id".split(" "),
  ..."decoder_start_token_id bos_token eos_token pad_token".split(" "),
  // Where the file comes from and how a program runs it.
  ..."_name_or_path name_or_path transformers_version tokenizer_class problem_type finetuning_task".split(
    " ",
  ),
  ..."task_specific_params unsloth_version unsloth_fixed model_max_length max_sequence_length".split(" "),
  ..."use_cache attn_implementation _attn_implementation _attn_implementation_internal".split(" "),
  ..."_attn_implementation_autoset _flash_attn_2_enabled use_flash_attn use_flash_attention_2".split(" "),
  ..."attention_implementation output_attentions output_hidden_states return_dict torchscript use_bfloat16".split(
    " ",
  ),
  ..."num_logits_to_keep logits_to_keep keys_to_ignore_at_inference _commit_hash license".split(" "),
  ..."tf_legacy_loss chunk_size_feed_forward pretraining_tp gradient_checkpointing transformers.js_config".split(
    " ",
  ),
  // How untrained weights are drawn, and what training drops; nothing is dropped here.
  ..."initializer_range initializer_factor attention_dropout attn_pdrop hidden_dropout resid_pdrop".split(
    " ",
  ),
  ..."embd_pdrop classifier_dropout".split(" "),
  // Old files hold the settings of generation here; requests bring their own.
  ..."max_length min_length do_sample early_stopping num_beams num_beam_groups diversity_penalty".split(" "),
  ..."temperature top_k top_p typical_p repetition_penalty length_penalty no_repeat_ngram_size".split(" "),
  ..."encoder_no_repeat_ngram_size bad_words_ids num_return_sequences output_scores".split(" "),
  ..."return_dict_in_generate forced_bos_token_id forced_eos_token_id remove_invalid_values".split(" "),
  ..."exponential_decay_length_penalty suppress_tokens begin_suppress_tokens prefix".split(" "),
]);

const isFalse = (value: unknown) => value === false;
const isTrue = (value: unknown) => value === true;
const isOne = (value: unknown) => value === 1;
const isZero = (value: unknown) => value === 0 || value === false;
const isNone = (value: unknown) => value === 0 || value === 1 || value === false;
const isEmpty = (value: unknown) =>
  typeof value === "object" && value !== null && Object.keys(value).length === 0;

const OFF = [
  "add_cross_attention is_encoder_decoder is_decoder tie_encoder_decoder use_mrope use_qk_norm qk_norm qk_layernorm",
  "use_qkv_bias qkv_bias use_bias bias lm_head_bias rope_interleaved use_parallel_residual attn_output_gate alibi",
  "multi_query use_bidirectional_attention use_dynamic_ntk attn_bias output_router_logits",
];
const ON = ["is_causal use_rope is_llama_config"];
const ONE = [
  "logit_scale logits_scaling residual_multiplier embedding_multiplier scale_emb lm_head_multiplier key_multiplier",
  "attention_out_multiplier attention_in_multiplier rope_ratio rope_pct rotary_pct",
];
const ZERO = [
  "final_logit_softcapping attn_logit_softcapping clip_qkv router_jitter_noise router_aux_loss_coef",
  "shared_expert_intermediate_size num_nextn_predict_layers num_kv_shared_layers q_lora_rank kv_lora_rank",
];
/** Mixtures of experts: none, or one that is always taken. */
const NONE = ["num_experts num_local_experts n_routed_experts n_shared_experts num_experts_per_tok"];
const EMPTY = ["pruned_heads mlp_only_layers"];

function table(
  words: string[],
  test: (value: unknown) => boolean,
): Record<string, (value: unknown) => boolean> {
  return Object.fromEntries(words.flatMap((line) => line.split(" ")).map((key) => [key, test]));
}

const NEUTRAL: Record<string, (value: unknown) => boolean> = {
  ...table(OFF, isFalse),
  ...table(ON, isTrue),
  ...table(ONE, isOne),
  ...table(ZERO, isZero),
  ...table(NONE, isNone),
  ...table(EMPTY, isEmpty),
};

/** Multipliers of the attention scores: a key, and what it is where scores are divided by √head_dim. */
const SCORES: Record<string, (headDim: number) => number> = {
  attention_multiplier: (headDim) => headDim ** -0.5,
  query_pre_attn_scalar: (headDim) => headDim,
};

/** Lists with one entry a layer: whether the layer turns its queries and keys. */
const everyLayerTurns = (value: unknown) => Array.isArray(value) && value.every((x) => x === 1 || x === true);

/** Refuses keys whose value changes what is computed. Throws NsaError `hf_unsupported` (exit 4). */
export function refuseUnserved(hf: Fields, headDim: number, type: string): void {
  const scores = Object.entries(SCORES).map(([key, of]) => {
    const same = (value: unknown) => typeof value === "number" && Math.abs(value / of(headDim) - 1) < 1e-6;
    return [key, same] as const;
  });
  hf.refuseOthers(HARMLESS, {
    ...NEUTRAL,
    ...Object.fromEntries(scores),
    no_rope_layers: everyLayerTurns,
    no_rope_layer_interval: isZero,
    cross_attention_hidden_size: isZero,
  });
  const quantized = hf.object("quantization_config");
  if (quantized && Object.keys(quantized).length > 0) {
    const method = quantized.quant_method ?? "an unnamed method";
    const dtype =
      quantized.fmt ?? quantized.weight_dtype ?? (quantized.bits ? `${quantized.bits} bits` : undefined);
    refuse(
      `weights quantized by ${method}${dtype ? ` (${dtype})` : ""}`,
      "quantization_config says that they are no BF16, F16 or F32",
      "import the model's BF16 weights, or dequantize them first",
    );
  }
  const dtype = hf.text("dtype") ?? hf.text("torch_dtype");
  if (
    dtype !== undefined &&
    !/^(torch\.)?(auto|bfloat16|float16|float32|float64|half|float|double)$/.test(dtype)
  ) {
    refuse(`weights of dtype ${dtype}`, "they are no BF16, F16 or F32", "import the model's BF16 weights");
  }
  // Files that name the code from which transformers has the family.
  const code = Object.entries(hf.object("auto_map") ?? {}).find(
    ([name, place]) =>
      /Model/.test(name) && !(type === "phi3" && /^modeling_phi3\.Phi3\w+$/.test(String(place))),
  );
  if (code) {
    refuse(
      `auto_map: ${code[0]} in config.json`,
      "the model brings layers of its own",
      "import a model that transformers computes; where the layers are its own, take the key out of config.json",
    );
  }
}
