// Which tensors a configuration has: names, shapes, initial values, and where each lies in the flat buffers.
import { effectiveGroups } from "../adapter/groups.ts";
import { adapterWeights } from "../adapter/weights.ts";
import { attentionKinds } from "../attention/registry.ts";
import { attentionOf, type ModelConfig } from "../config/schema.ts";
import { headKinds } from "../heads/registry.ts";
import { mlpKinds } from "../mlp/registry.ts";
import { type GroupWeights, groupWeights, type ParameterGroup } from "./groups.ts";
import { asLinear, matrix, vector, type WeightSpec } from "./weight-spec.ts";

/** A group and where it lies in the flat buffers: matrices that may decay in [from, decayTo), all else in [decayTo, to). */
export interface GroupLayout extends GroupWeights {
  from: number;
  decayTo: number;
  to: number;
}

export interface Layout {
  /** In the order of the flat buffers. */
  weights: WeightSpec[];
  groups: GroupLayout[];
  /** The weights again, as a forward meets them: embedding, each layer, final norm and head. */
  segments: WeightSpec[][];
  /** Elements of the masters, padding included. */
  numel: number;
  /** Trained weights fill [0, trainableNumel) of every buffer; gradients and moments end there. */
  trainableNumel: number;
  /** Weights with masters fill [0, masterNumel) of masters and bf16 copies alike. */
  masterNumel: number;
  /** Elements of the bf16 copies. Behind `masterNumel` lie matrices without masters. */
  lowNumel: number;
  /** Numbers without padding, frozen ones included. */
  parameterCount: number;
  /** Of them the trained ones. */
  trainableCount: number;
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
    asLinear(matrix(`${attention}qkv`, named("weight"), c.dModel, c.initStd)),
    ...(c.qkvBias ? [vector(`${attention}qkv_bias`, named("bias"), 0)] : []),
    ...(c.qkNorm
      ? [
          vector(`${attention}q_norm`, [[`${attention}q_norm.weight`, c.headDim]], 1),
          vector(`${attention}k_norm`, [[`${attention}k_norm.weight`, c.headDim]], 1),
        ]
      : []),
    ...(kind.weights?.(c, attention) ?? []),
    asLinear(
      matrix(
        `${attention}o`,
        [[`${attention}o_proj.weight`, c.dModel]],
        c.numHeads * c.valueHeadDim,
        residualStd,
      ),
    ),
    vector(`${prefix}norm2`, [[`${prefix}post_attention_layernorm.weight`, c.dModel]], 1),
    ...mlpKinds.get(c.mlp).weights(c, `${prefix}mlp.`, residualStd),
  ].flatMap((w) => [w, ...adapterWeights(c, w)]);
}

/** Elements a weight takes in a flat buffer. */
export const paddedSize = (w: WeightSpec) => align(product(w.shape));

/** Trained groups come first, frozen ones with masters next, those without last; inside a group the matrices that may decay. */
function inOrder(groups: readonly GroupWeights[]): GroupWeights[] {
  const rank = (g: GroupWeights) => (g.trainable ? 0 : g.masters ? 1 : 2);
  const ordered = [0, 1, 2].flatMap((r) => groups.filter((g) => rank(g) === r));
  return ordered.map((g) => ({
    ...g,
    weights: [...g.weights.filter((w) => w.decay), ...g.weights.filter((w) => !w.decay)],
  }));
}

/**
 * Lays out all weights of a model, each at a multiple of 16 elements. `low`: matrices have bf16 copies, so that frozen groups may do
 * without masters. Throws NsaError `parameter_group_invalid` (exit 2).
 */
export function layoutOf(
  config: ModelConfig,
  groups?: readonly ParameterGroup[],
  low = config.dtype === "bf16",
): Layout {
  const c = config;
  const segments = [
    [
      {
        ...matrix("embed", [["model.embed_tokens.weight", c.vocabSize]], c.dModel, c.initStd),
        table: true as const,
      },
    ],
    ...Array.from({ length: c.numLayers }, (_, i) => layerWeights(c, i)),
    [vector("norm", [["model.norm.weight", c.dModel]], 1), ...headKinds.get(c.head).weights(c)],
  ];
  const ordered = inOrder(groupWeights(segments.flat(), effectiveGroups(c, groups)));
  const ends = { masters: 0, low: 0 };
  const sum = { trainable: 0, masters: 0, trainableCount: 0 };
  const laidOut = ordered.map((group): GroupLayout => {
    const from = ends.masters;
    let decayTo = from;
    for (const w of group.weights) {
      w.lowOnly = low && !group.masters && w.matrix;
      const store = w.lowOnly ? "low" : "masters";
      w.offset = ends[store];
      ends[store] += paddedSize(w);
      if (group.masters) ends.low = ends.masters;
      if (w.decay && !w.lowOnly) decayTo = ends.masters;
    }
    if (group.masters || !low) sum.masters = ends.masters;
    if (group.trainable) {
      sum.trainable = ends.masters;
      sum.trainableCount += group.weights.reduce((n, w) => n + product(w.shape), 0);
    }
    return { ...group, from, decayTo, to: ends.masters };
  });
  return {
    weights: laidOut.flatMap((g) => g.weights),
    groups: laidOut,
    segments,
    numel: ends.masters,
    trainableNumel: sum.trainable,
    masterNumel: sum.masters,
    lowNumel: ends.low,
    parameterCount: segments.flat().reduce((n, w) => n + product(w.shape), 0),
    trainableCount: sum.trainableCount,
  };
}
