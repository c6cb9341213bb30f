// Which tensors a configuration has: names, shapes, initial values, and where each lies in the flat buffers.
import { attentionKinds } from "../attention/registry.ts";
import { attentionOf, type ModelConfig } from "../config/schema.ts";
import { mlpKinds } from "../mlp/registry.ts";
import { matrix, vector, type WeightSpec } from "./weight-spec.ts";

export interface Layout {
  weights: WeightSpec[];
  /** Elements of the flat buffers, padding included. */
  numel: number;
  /** Weights with decay fill [0, decayNumel). */
  decayNumel: number;
  /** Trainable numbers without padding. */
  parameterCount: number;
}

const align = (n: number) => Math.ceil(n / 16) * 16;
const product = (shape: readonly number[]) => shape.reduce((a, b) => a * b, 1);

function layerWeights(c: ModelConfig, index: number): WeightSpec[] {
  const prefix = `model.layers.${index}.`;
  const attention = `${prefix}self_attn.`;
  const kind = attentionKinds.get(attentionOf(c, index));
  const heads = kind.heads(c);
  const named = (suffix: string) =>
    heads.map(({ name, heads: n, dim }): [string, number] => [`${attention}${name}.${suffix}`, n * dim]);
  // Residual outputs are smaller, so that the stream's variance does not grow with depth (GPT-2).
  const residualStd = c.initStd / Math.sqrt(2 * c.numLayers);
  return [
    vector(`${prefix}norm1`, [[`${prefix}input_layernorm.weight`, c.dModel]], 1),
    matrix(`${attention}qkv`, named("weight"), c.dModel, c.initStd),
    ...(c.qkvBias ? [vector(`${attention}qkv_bias`, named("bias"), 0)] : []),
    ...(c.qkNorm
      ? [
          vector(`${attention}q_norm`, [[`${attention}q_norm.weight`, c.headDim]], 1),
          vector(`${attention}k_norm`, [[`${attention}k_norm.weight`, c.headDim]], 1),
        ]
      : []),
    ...(kind.weights?.(c, attention) ?? []),
    matrix(
      `${attention}o`,
      [[`${attention}o_proj.weight`, c.dModel]],
      c.numHeads * c.valueHeadDim,
      residualStd,
    ),
    vector(`${prefix}norm2`, [[`${prefix}post_attention_layernorm.weight`, c.dModel]], 1),
    ...mlpKinds.get(c.mlp).weights(c, `${prefix}mlp.`, residualStd),
  ];
}

/** Lays out all weights of a model: those with weight decay first, each at a multiple of 16 elements. */
export function layoutOf(config: ModelConfig): Layout {
  const c = config;
  const all = [
    matrix("embed", [["model.embed_tokens.weight", c.vocabSize]], c.dModel, c.initStd),
    ...Array.from({ length: c.numLayers }, (_, i) => layerWeights(c, i)).flat(),
    vector("norm", [["model.norm.weight", c.dModel]], 1),
    ...(c.tieEmbeddings ? [] : [matrix("lm_head", [["lm_head.weight", c.vocabSize]], c.dModel, c.initStd)]),
  ];
  const weights = [...all.filter((w) => w.decay), ...all.filter((w) => !w.decay)];
  let numel = 0;
  let decayNumel = 0;
  let parameterCount = 0;
  for (const w of weights) {
    w.offset = numel;
    numel += align(product(w.shape));
    if (w.decay) decayNumel = numel;
    parameterCount += product(w.shape);
  }
  return { weights, numel, decayNumel, parameterCount };
}
