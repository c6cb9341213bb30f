// The rotary embedding of a config.json, under the names of transformers 4 (rope_theta, rope_scaling, partial_rotary_factor) and 5
// (rope_parameters) ↔ ours. What a file leaves out has the defaults of transformers.
import type { ModelConfig } from "../config/schema.ts";
import { Fields, type HfConfig, invalid, refuse } from "./fields.ts";

type Scaling = NonNullable<ModelConfig["ropeScaling"]>;

interface Rope {
  ropeTheta: number;
  ropeScaling: Scaling | undefined;
  /** Channels that turn, where it is not all of a head. */
  rotaryDim: number | undefined;
}

const SHARED = ["rope_type", "type", "rope_theta", "partial_rotary_factor"];
const ORIGINAL = "original_max_position_embeddings";
/** Keys by type. transformers reads the original context for no other type and writes it for all. */
const KEYS: Record<string, string[]> = {
  default: [ORIGINAL],
  linear: ["factor", ORIGINAL],
  llama3: ["factor", ORIGINAL, "low_freq_factor", "high_freq_factor"],
  yarn: [
    "factor",
    ORIGINAL,
    "beta_fast",
    "beta_slow",
    "attention_factor",
    "mscale",
    "mscale_all_dim",
    "truncate",
    "finetuned",
  ],
};

const isOne = (value: unknown) => value === 1;
const neutral: Record<string, (value: unknown) => boolean> = {
  factor: isOne,
  attention_factor: isOne,
  attn_factor: isOne,
  extrapolation_factor: isOne,
  mscale: isOne,
  finetuned: (value) => typeof value === "boolean",
};

/** YaRN's factor on cos and sin for a stretch (eq. 15), as transformers weighs it by `mscale`. */
const yarnScale = (factor: number, mscale: number) => (factor <= 1 ? 1 : 0.1 * mscale * Math.log(factor) + 1);

/** A number that may be 0 or absent, which are the same. */
const optional = (fields: Fields, key: string) =>
  fields.raw[key] === 0 || !fields.has(key) ? undefined : fields.positive(key);

function yarn(rope: Fields, context: number, stated: number | undefined): Scaling {
  const original = rope.size(ORIGINAL, stated ?? context);
  // DeepSeek states the two contexts and leaves their ratio to the reader.
  const factor = rope.positive("factor", rope.has(ORIGINAL) ? context / original : undefined);
  const [mscale, allDim] = [optional(rope, "mscale"), optional(rope, "mscale_all_dim")];
  const weighed = mscale && allDim ? yarnScale(factor, mscale) / yarnScale(factor, allDim) : undefined;
  return {
    type: "yarn",
    factor,
    originalMaxPositionEmbeddings: original,
    betaFast: optional(rope, "beta_fast") ?? 32,
    betaSlow: optional(rope, "beta_slow") ?? 1,
    attentionFactor: rope.has("attention_factor")
      ? rope.positive("attention_factor")
      : (weighed ?? (factor < 1 ? 1 : undefined)),
    ...(rope.flag("truncate", true) ? {} : { truncate: false }),
  };
}

function scalingOf(rope: Fields, context: number, stated: number | undefined): Scaling | undefined {
  const type = rope.text("rope_type") ?? rope.text("type") ?? "default";
  const keys = KEYS[type];
  if (!keys)
    return refuse(
      `${rope.name("rope_type")}: ${type}`,
      "it is not computed here",
      "use linear, llama3 or yarn",
    );
  rope.refuseOthers(new Set([...SHARED, ...keys]), neutral);
  if (type === "linear") return { type, factor: rope.positive("factor") };
  if (type === "yarn") return yarn(rope, context, stated);
  if (type !== "llama3") return undefined;
  const [low, high] = [rope.positive("low_freq_factor", 1), rope.positive("high_freq_factor", 4)];
  if (high <= low) invalid(rope.name("high_freq_factor"), `${high} is not above low_freq_factor, ${low}`);
  return {
    type,
    factor: rope.positive("factor"),
    lowFreqFactor: low,
    highFreqFactor: high,
    originalMaxPositionEmbeddings: rope.size(ORIGINAL, stated ?? context),
  };
}

/** The one object of all layers: version 5 may have one for each type of layer, which have to be equal. */
function ropeObject(hf: Fields): Fields {
  const [four, five] = [hf.object("rope_scaling"), hf.object("rope_parameters")];
  const key = four && Object.keys(four).length > 0 ? "rope_scaling" : "rope_parameters";
  const raw = (key === "rope_scaling" ? four : five) ?? {};
  const byLayer = Object.keys(raw).filter((name) => name.endsWith("_attention"));
  if (byLayer.length === 0) return new Fields(raw, `${key}.`);
  const [first, ...rest] = byLayer.map((name) => raw[name]);
  if (
    byLayer.length < Object.keys(raw).length ||
    rest.some((x) => JSON.stringify(x) !== JSON.stringify(first))
  ) {
    refuse(
      `${key} of ${byLayer.join(", ")}`,
      "layers turn in different ways",
      "import a model with one rotary embedding",
    );
  }
  return new Fields((first ?? {}) as HfConfig, `${key}.${byLayer[0]}.`);
}

/**
 * The rotary embedding of a config.json whose heads have `headDim` channels and whose context has `context` tokens. Throws NsaError
 * `hf_unsupported` (exit 4), `hf_config_invalid` (exit 3).
 */
export function readRope(hf: Fields, headDim: number, context: number): Rope {
  const rope = ropeObject(hf);
  const share = (rope.has("partial_rotary_factor") ? rope : hf).positive("partial_rotary_factor", 1);
  const dim = Math.trunc(headDim * share);
  if (share > 1 || dim < 2 || dim % 2 === 1) {
    invalid(
      hf.name("partial_rotary_factor"),
      `${share} of ${headDim} channels are ${dim}, which is no even number from 2 to ${headDim}`,
    );
  }
  const stated = hf.has(ORIGINAL) ? hf.size(ORIGINAL) : undefined;
  return {
    ropeTheta: rope.has("rope_theta") ? rope.positive("rope_theta") : hf.positive("rope_theta", 10000),
    ropeScaling: scalingOf(rope, context, stated),
    rotaryDim: dim === headDim ? undefined : dim,
  };
}

/** `rope_scaling` of transformers 4, which version 5 reads too. */
export function writeScaling(s: Scaling): HfConfig {
  if (s.type === "linear") return { rope_type: s.type, factor: s.factor };
  const original = { factor: s.factor, [ORIGINAL]: s.originalMaxPositionEmbeddings };
  if (s.type === "llama3") {
    const bands = { low_freq_factor: s.lowFreqFactor, high_freq_factor: s.highFreqFactor };
    return { rope_type: s.type, ...original, ...bands };
  }
  return {
    rope_type: s.type,
    ...original,
    beta_fast: s.betaFast,
    beta_slow: s.betaSlow,
    ...(s.attentionFactor === undefined ? {} : { attention_factor: s.attentionFactor }),
    ...(s.truncate === false ? { truncate: false } : {}),
  };
}
