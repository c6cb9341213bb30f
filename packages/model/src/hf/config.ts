// Hugging Face config.json of Llama, Mistral, Qwen2, Qwen3 and Phi-3 ↔ our architecture. Every other key either changes nothing or is refused.
import { resolveModelConfig } from "../config/model-config.ts";
import { attentionOf, type ModelConfig } from "../config/schema.ts";
import { Fields, type HfConfig, invalid, MAX_COUNT, refuse } from "./fields.ts";
import { refuseUnserved } from "./keys.ts";
import { readRope, writeScaling } from "./rope.ts";
import { readWindows, writeWindows } from "./windows.ts";

/** What a family's files leave out. Its head is not tied. */
interface Family {
  /** ε of the norms, 1e-6 where it is not given. */
  eps?: number;
  /** Key-value heads; as many as query heads where it is not given. */
  kvHeads?: number;
  headDim?: number;
  context: number;
  qkNorm?: true;
  qkvBias?: true;
}

const FAMILIES: Record<string, Family> = {
  llama: { context: 2048 },
  mistral: { context: 131072, kvHeads: 8 },
  qwen2: { context: 32768, kvHeads: 32, qkvBias: true },
  qwen3: { context: 32768, kvHeads: 32, headDim: 128, qkNorm: true },
  // A Llama whose files hold projections together (fused.ts), with Mistral's windows.
  phi3: { context: 4096, eps: 1e-5 },
};

/** Why families that people ask for are not computed. */
const OTHERS: [RegExp, string][] = [
  [/^deepseek_v[23]|^kimi_k2/, "it has multi-head latent attention and a mixture of experts"],
  [/moe|mixtral|^jamba|^dbrx|^gpt_oss|^llama4|^grok/, "it is a mixture of experts"],
  [/^gemma|^recurrent_gemma/, "its embedding is scaled, its norms multiply by 1 + w, and its MLP has GELU"],
  [
    /^phi$|^phi-|^mixformer|^gpt_neox|^gptj|^falcon$|^persimmon/,
    "attention and MLP run side by side in its layers",
  ],
  [
    /^stablelm|^starcoder2|^nemotron$|^mpt|^bloom|^opt$|^gpt2|^gpt_bigcode/,
    "its norms subtract the mean and have biases, or its MLP is no SwiGLU",
  ],
  [/^olmo$|^cohere/, "its norms subtract the mean"],
  [/^olmo[23]|^exaone4/, "its norms stand behind attention and MLP"],
  [/^smollm3/, "some of its layers turn no queries and keys"],
  [/^granite|^minicpm|^mup/, "it multiplies its embedding, residuals or logits"],
  [/^internlm|^glm|^chatglm|^baichuan|^yi$|^qwen$/i, "its layers or the names of its tensors are its own"],
  [/^qwen3_next|^mamba|^rwkv|^falcon_h1/, "its layers are no softmax attention alone"],
  [/_vl|^mllama|^llava|^mistral3|^gemma3n/, "it reads images"],
];

function familyOf(hf: Fields): { type: string; family: Family } {
  const type = hf.text("model_type");
  if (type === undefined) return invalid("model_type", "it is missing");
  const family = Object.hasOwn(FAMILIES, type) ? FAMILIES[type] : undefined;
  if (family) return { type, family };
  const why = OTHERS.find(([name]) => name.test(type))?.[1] ?? "its layers differ from ours";
  return refuse(`model_type ${type}`, why, `import a model of ${Object.keys(FAMILIES).join(", ")}`);
}

/** The output head that `architectures` names. */
function headOf(hf: Fields): "lm" | "scalar" {
  const names = hf.list("architectures") ?? [];
  const other = names.find((name) => typeof name !== "string" || !/(ForCausalLM|[a-z0-9]Model)$/.test(name));
  if (other === undefined) return "lm";
  const labels = hf.has("num_labels")
    ? hf.raw.num_labels
    : Object.keys(hf.object("id2label") ?? [0, 1]).length;
  if (/ForSequenceClassification$/.test(String(other)) && labels === 1) return "scalar";
  return refuse(
    `architectures: ${JSON.stringify(names)} in config.json`,
    "its output head is neither that of a language model nor one number",
    "import a model for causal language modelling, or a classifier with num_labels: 1",
  );
}

/** Parts of a layer that we do not have. */
function refuseParts(hf: Fields, family: Family): void {
  const act = hf.text("hidden_act") ?? "silu";
  if (act !== "silu" && act !== "swish") {
    refuse(`hidden_act ${act}`, "the MLP is SwiGLU", "import a model with silu");
  }
  // Qwen2's code has biases on q, k and v whatever the file says.
  if (!family.qkvBias && hf.flag("attention_bias", false)) {
    refuse(
      "attention_bias: true",
      "it puts a bias on o_proj, which we have not",
      "import a model without it",
    );
  }
  if (hf.flag("mlp_bias", false)) {
    refuse("mlp_bias: true", "our MLP has no bias", "import a model without it");
  }
}

/** Channels of a head, an even number. */
function headDimOf(hf: Fields, heads: number, family: Family): number {
  const width = hf.size("hidden_size");
  const headDim = hf.has("head_dim") ? hf.size("head_dim") : (family.headDim ?? width / heads);
  if (!Number.isInteger(headDim)) {
    invalid(
      "num_attention_heads",
      `hidden_size ${width} does not divide by ${heads}, and no head_dim is stated`,
    );
  }
  if (headDim % 2 === 1) invalid("head_dim", `${headDim} is odd; rotary embedding turns pairs of channels`);
  return headDim;
}

/**
 * Reads a config.json. Throws NsaError `hf_unsupported` (exit 4) where it would be computed otherwise, by the name of the key, and
 * `hf_config_invalid` (exit 3) where a value is missing or impossible.
 */
export function fromHfConfig(raw: HfConfig): ModelConfig {
  const hf = new Fields(raw);
  const { type, family } = familyOf(hf);
  const head = headOf(hf);
  const heads = hf.size("num_attention_heads", undefined, MAX_COUNT);
  const layers = hf.size("num_hidden_layers", undefined, MAX_COUNT);
  const headDim = headDimOf(hf, heads, family);
  refuseParts(hf, family);
  refuseUnserved(hf, headDim, type);
  // Absent is the family's default; null is one for each query head.
  const kvHeads = hf.size(
    "num_key_value_heads",
    raw.num_key_value_heads === null ? heads : (family.kvHeads ?? heads),
    MAX_COUNT,
  );
  if (heads % kvHeads) {
    invalid("num_key_value_heads", `${heads} query heads do not divide over ${kvHeads} key-value heads`);
  }
  const context = hf.size("max_position_embeddings", family.context);
  const { rotaryDim, ...rope } = readRope(hf, headDim, context);
  return resolveModelConfig({
    vocabSize: hf.size("vocab_size"),
    dModel: hf.size("hidden_size"),
    numLayers: layers,
    numHeads: heads,
    numKvHeads: kvHeads,
    headDim,
    dFf: hf.size("intermediate_size"),
    ...readWindows(hf, type, layers, context),
    maxSeqLen: context,
    ...rope,
    ...(rotaryDim === undefined ? {} : { rotaryDim }),
    qkNorm: family.qkNorm ?? false,
    qkvBias: family.qkvBias ?? false,
    head,
    tieEmbeddings: hf.flag("tie_word_embeddings", false),
    normEps: hf.positive("rms_norm_eps", family.eps ?? 1e-6),
  });
}

/** Whether no Llama, Mistral, Qwen2 or Qwen3 computes the model, so that it is exported with modeling_nsa.py. */
export function needsOwnCode(c: ModelConfig): boolean {
  const kinds = new Set(Array.from({ length: c.numLayers }, (_, i) => attentionOf(c, i)));
  if ([...kinds].some((kind) => kind !== "full" && kind !== "window")) return true;
  // Only Qwen has windows in some of its layers.
  return kinds.size === 2 && !c.qkNorm && !c.qkvBias;
}

/** The config.json of modeling_nsa.py. */
function ownConfig(c: ModelConfig): HfConfig {
  if (c.rotaryDim !== undefined) {
    refuse(
      "rotary_dim in an NSA model",
      "modeling_nsa.py turns whole heads",
      "export a model without rotary_dim",
    );
  }
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
  if (c.rotaryDim !== undefined) {
    refuse("rotary_dim", "no supported architecture turns a part of a head", "train with whole heads turned");
  }
  const windows = writeWindows(c);
  const type = c.qkNorm ? "qwen3" : c.qkvBias ? "qwen2" : windows.sliding_window ? "mistral" : "llama";
  if (type === "qwen2" && c.headDim * c.numHeads !== c.dModel) {
    refuse("head_dim with qkv_bias", "Qwen2 has head_dim = hidden_size / heads", "train with that size");
  }
  const family = { llama: "Llama", mistral: "Mistral", qwen2: "Qwen2", qwen3: "Qwen3" }[type];
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
    rope_scaling: c.ropeScaling ? writeScaling(c.ropeScaling) : null,
    rms_norm_eps: c.normEps,
    tie_word_embeddings: c.tieEmbeddings,
    ...windows,
    hidden_act: "silu",
    torch_dtype: "float32",
  };
}
