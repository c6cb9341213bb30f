// Hugging Face config.json of Llama, Qwen2 and Qwen3 ↔ our architecture.
import { ExitCode, NsaError } from "@nsa/core";
import { resolveModelConfig } from "../config/model-config.ts";
import { attentionOf, type ModelConfig } from "../config/schema.ts";

export type HfConfig = Record<string, unknown>;

function refuse(what: string, why: string, fix: string): never {
  throw new NsaError({ code: "hf_unsupported", what, why, fix, exitCode: ExitCode.unavailable });
}

type Scaling = NonNullable<ModelConfig["ropeScaling"]>;

function scalingFrom(raw: Record<string, unknown> | null | undefined): Scaling | undefined {
  const type = raw?.rope_type ?? raw?.type ?? "default";
  if (!raw || type === "default") return undefined;
  const number = (key: string, otherwise?: number) => (raw[key] as number | undefined) ?? otherwise;
  const factor = number("factor")!;
  const original = number("original_max_position_embeddings")!;
  if (type === "linear") return { type, factor };
  if (type === "llama3") {
    return {
      type,
      factor,
      lowFreqFactor: number("low_freq_factor", 1)!,
      highFreqFactor: number("high_freq_factor", 4)!,
      originalMaxPositionEmbeddings: original,
    };
  }
  if (type === "yarn") {
    return {
      type,
      factor,
      originalMaxPositionEmbeddings: original,
      betaFast: number("beta_fast", 32)!,
      betaSlow: number("beta_slow", 1)!,
      attentionFactor: number("attention_factor"),
    };
  }
  return refuse(`rope_scaling of type ${type}`, "it is not known", "use linear, llama3 or yarn");
}

function scalingTo(s: Scaling): Record<string, unknown> {
  if (s.type === "linear") return { rope_type: s.type, factor: s.factor };
  const original = { factor: s.factor, original_max_position_embeddings: s.originalMaxPositionEmbeddings };
  if (s.type === "llama3") {
    const bands = { low_freq_factor: s.lowFreqFactor, high_freq_factor: s.highFreqFactor };
    return { rope_type: s.type, ...original, ...bands };
  }
  const factor = s.attentionFactor === undefined ? {} : { attention_factor: s.attentionFactor };
  return { rope_type: s.type, ...original, beta_fast: s.betaFast, beta_slow: s.betaSlow, ...factor };
}

/** Reads a config.json. Throws NsaError `hf_unsupported` (exit 4) for architectures that compute otherwise. */
export function fromHfConfig(hf: HfConfig): ModelConfig {
  const type = hf.model_type as string;
  const number = (key: string) => hf[key] as number;
  if (!["llama", "qwen2", "qwen3"].includes(type)) {
    refuse(`model_type ${type}`, "its layers differ from ours", "import a llama, qwen2 or qwen3 model");
  }
  if (hf.hidden_act !== undefined && hf.hidden_act !== "silu") {
    refuse(`hidden_act ${hf.hidden_act}`, "the MLP is SwiGLU", "import a model with silu");
  }
  if (type !== "qwen2" && hf.attention_bias === true) {
    refuse(
      "attention_bias: true",
      "it puts a bias on o_proj, which we have not",
      "import a model without it",
    );
  }
  if (hf.mlp_bias === true) refuse("mlp_bias: true", "our MLP has no bias", "import a model without it");
  if (hf.use_sliding_window === true) {
    refuse(
      "use_sliding_window: true",
      "its layers mix windows and full attention",
      "turn it off in config.json",
    );
  }
  // transformers 5 moved theta and scaling into `rope_parameters`.
  const rope = hf.rope_parameters as Record<string, unknown> | undefined;
  const heads = number("num_attention_heads");
  return resolveModelConfig({
    vocabSize: number("vocab_size"),
    dModel: number("hidden_size"),
    numLayers: number("num_hidden_layers"),
    numHeads: heads,
    numKvHeads: number("num_key_value_heads") ?? heads,
    headDim: number("head_dim") ?? (type === "qwen3" ? 128 : undefined),
    dFf: number("intermediate_size"),
    attention: "full",
    maxSeqLen: number("max_position_embeddings") ?? 2048,
    ropeTheta: (rope?.rope_theta as number | undefined) ?? number("rope_theta") ?? 10000,
    ropeScaling: scalingFrom(rope ?? (hf.rope_scaling as Record<string, unknown> | null | undefined)),
    qkNorm: type === "qwen3",
    qkvBias: type === "qwen2",
    tieEmbeddings: (hf.tie_word_embeddings as boolean | undefined) ?? false,
    normEps: number("rms_norm_eps") ?? 1e-6,
  });
}

/** Whether no Llama, Qwen2 or Qwen3 layer computes the model, so that it is exported with modeling_nsa.py. */
export function needsOwnCode(c: ModelConfig): boolean {
  return Array.from({ length: c.numLayers }, (_, i) => attentionOf(c, i)).some((kind) => kind !== "full");
}

/** The config.json of modeling_nsa.py. */
function ownConfig(c: ModelConfig): HfConfig {
  if (c.ropeScaling) {
    refuse("rope_scaling in an NSA model", "modeling_nsa.py has none", "export a model without rope_scaling");
  }
  return {
    architectures: ["NsaForCausalLM"],
    model_type: "nsa",
    auto_map: { AutoConfig: "modeling_nsa.NsaConfig", AutoModelForCausalLM: "modeling_nsa.NsaForCausalLM" },
    vocab_size: c.vocabSize,
    hidden_size: c.dModel,
    intermediate_size: c.dFf,
    num_hidden_layers: c.numLayers,
    num_attention_heads: c.numHeads,
    num_key_value_heads: c.numKvHeads,
    head_dim: c.headDim,
    value_head_dim: c.valueHeadDim,
    attention_layers: Array.from({ length: c.numLayers }, (_, i) => attentionOf(c, i)),
    block_size: c.blockSize,
    stride: c.stride,
    selection_block_size: c.selectionBlockSize,
    num_selected_blocks: c.numSelectedBlocks,
    num_initial_blocks: c.numInitialBlocks,
    num_local_blocks: c.numLocalBlocks,
    window_size: c.windowSize,
    compress: c.compress,
    compressed_rope: c.compressedRope,
    max_position_embeddings: c.maxSeqLen,
    rope_base: c.ropeTheta,
    rms_norm_eps: c.normEps,
    qk_norm: c.qkNorm,
    qkv_bias: c.qkvBias,
    head_is_embedding: c.tieEmbeddings,
    tie_word_embeddings: false,
    torch_dtype: "float32",
  };
}

/** The config.json under which transformers computes the same. Throws NsaError `hf_unsupported` (exit 4). */
export function toHfConfig(c: ModelConfig): HfConfig {
  if (c.head !== "lm" && (c.head !== "scalar" || needsOwnCode(c))) {
    refuse(
      `the output head ${c.head}`,
      "no supported architecture has it",
      "export the model it was made from",
    );
  }
  if (needsOwnCode(c)) return ownConfig(c);
  if (c.qkNorm && c.qkvBias) {
    refuse("qk_norm with qkv_bias", "no supported architecture has both", "train with one of them");
  }
  if (c.valueHeadDim !== c.headDim) {
    refuse("value_head_dim other than head_dim", "no supported architecture has it", "train with equal dims");
  }
  const type = c.qkNorm ? "qwen3" : c.qkvBias ? "qwen2" : "llama";
  if (type === "qwen2" && c.headDim * c.numHeads !== c.dModel) {
    refuse("head_dim with qkv_bias", "Qwen2 has head_dim = hidden_size / heads", "train with that size");
  }
  const family = { llama: "Llama", qwen2: "Qwen2", qwen3: "Qwen3" }[type];
  // A reward model is a classifier with one class there.
  const reward = c.head === "scalar";
  return {
    architectures: [`${family}${reward ? "ForSequenceClassification" : "ForCausalLM"}`],
    ...(reward ? { num_labels: 1 } : {}),
    model_type: type,
    vocab_size: c.vocabSize,
    hidden_size: c.dModel,
    intermediate_size: c.dFf,
    num_hidden_layers: c.numLayers,
    num_attention_heads: c.numHeads,
    num_key_value_heads: c.numKvHeads,
    head_dim: c.headDim,
    max_position_embeddings: c.maxSeqLen,
    rope_theta: c.ropeTheta,
    rope_scaling: c.ropeScaling ? scalingTo(c.ropeScaling) : null,
    rms_norm_eps: c.normEps,
    tie_word_embeddings: c.tieEmbeddings,
    hidden_act: "silu",
    torch_dtype: "float32",
  };
}
