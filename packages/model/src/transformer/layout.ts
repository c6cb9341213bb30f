// Which tensors a configuration has: names, shapes, initial values, and where each lies in the flat buffers.
import { attentionOf, type ModelConfig } from "../config/model-config.ts";

/** A named tensor of a checkpoint: rows of a (possibly fused) weight. */
export interface PartSpec {
  /** Hugging Face name, e.g. `model.layers.0.self_attn.q_proj.weight`. */
  name: string;
  shape: number[];
  /** Elements from the start of the weight. */
  offset: number;
}

/** One weight as the ops use it; a fused projection holds several named parts below one another. */
export interface WeightSpec {
  key: string;
  shape: number[];
  parts: PartSpec[];
  /** Weight decay applies: matrices only. */
  decay: boolean;
  init: { kind: "normal"; std: number } | { kind: "constant"; value: number };
  /** Computed in the model's dtype; vectors stay fp32. */
  matrix: boolean;
  /** Elements from the start of the flat buffers; a multiple of 16. */
  offset: number;
}

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

function matrix(key: string, parts: [name: string, rows: number][], cols: number, std: number): WeightSpec {
  let rows = 0;
  const specs = parts.map(([name, n]) => {
    const part = { name, shape: [n, cols], offset: rows * cols };
    rows += n;
    return part;
  });
  const init = { kind: "normal", std } as const;
  return { key, shape: [rows, cols], parts: specs, decay: true, init, matrix: true, offset: 0 };
}

function vector(key: string, parts: [name: string, length: number][], value: number): WeightSpec {
  let length = 0;
  const specs = parts.map(([name, n]) => {
    const part = { name, shape: [n], offset: length };
    length += n;
    return part;
  });
  const init = { kind: "constant", value } as const;
  return { key, shape: [length], parts: specs, decay: false, init, matrix: false, offset: 0 };
}

function phi(prefix: string, name: string, dim: number, c: ModelConfig): WeightSpec[] {
  const base = `${prefix}self_attn.${name}`;
  if (c.compress === "mean") return [];
  if (c.compress === "weighted") return [vector(base, [[`${base}.weight`, c.blockSize]], 1 / c.blockSize)];
  const inner = c.blockSize * dim;
  const pos = matrix(`${base}.pos`, [[`${base}.pos`, c.blockSize]], dim, c.initStd);
  return [
    { ...pos, decay: false },
    matrix(`${base}.up`, [[`${base}.up.weight`, 4 * dim]], inner, 1 / Math.sqrt(inner)),
    matrix(`${base}.down`, [[`${base}.down.weight`, dim]], 4 * dim, 1 / Math.sqrt(4 * dim)),
  ];
}

function layerWeights(c: ModelConfig, index: number): WeightSpec[] {
  const prefix = `model.layers.${index}.`;
  const attention = `${prefix}self_attn.`;
  const nsa = attentionOf(c, index) === "nsa";
  const [q, k, v] = [c.numHeads * c.headDim, c.numKvHeads * c.headDim, c.numKvHeads * c.valueHeadDim];
  const rows: [string, number][] = nsa
    ? [
        ["q_proj", q],
        ...["cmp", "slc", "win"].flatMap((b): [string, number][] => [
          [`k_proj_${b}`, k],
          [`v_proj_${b}`, v],
        ]),
      ]
    : [
        ["q_proj", q],
        ["k_proj", k],
        ["v_proj", v],
      ];
  const named = (suffix: string) => rows.map(([n, r]): [string, number] => [`${attention}${n}.${suffix}`, r]);
  // Residual outputs are smaller, so that the stream's variance does not grow with depth (GPT-2).
  const residualStd = c.initStd / Math.sqrt(2 * c.numLayers);
  const mlp = `${prefix}mlp.`;
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
    ...(nsa
      ? [
          matrix(`${attention}gate`, [[`${attention}gate_proj.weight`, 3 * c.numHeads]], c.dModel, c.initStd),
          vector(`${attention}gate_bias`, [[`${attention}gate_proj.bias`, 3 * c.numHeads]], 0),
          ...phi(prefix, "phi_k", c.headDim, c),
          ...phi(prefix, "phi_v", c.valueHeadDim, c),
        ]
      : []),
    matrix(
      `${attention}o`,
      [[`${attention}o_proj.weight`, c.dModel]],
      c.numHeads * c.valueHeadDim,
      residualStd,
    ),
    vector(`${prefix}norm2`, [[`${prefix}post_attention_layernorm.weight`, c.dModel]], 1),
    matrix(
      `${mlp}gate_up`,
      [
        [`${mlp}gate_proj.weight`, c.dFf],
        [`${mlp}up_proj.weight`, c.dFf],
      ],
      c.dModel,
      c.initStd,
    ),
    matrix(`${mlp}down`, [[`${mlp}down_proj.weight`, c.dModel]], c.dFf, residualStd),
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
