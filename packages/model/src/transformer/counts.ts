// How many parameters, floating-point operations and bytes a configuration costs: formulas, no measurement.
import { isKeyOfA } from "../adapter/weights.ts";
import { attentionKinds } from "../attention/registry.ts";
import { attentionOf, type ModelConfig } from "../config/schema.ts";
import { headKinds } from "../heads/registry.ts";
import { mlpKinds } from "../mlp/registry.ts";
import type { ParameterGroup } from "../parameters/groups.ts";
import { type Layout, layoutOf } from "../parameters/layout.ts";
import { sharedNumel } from "../parameters/sharing.ts";
import type { WeightSpec } from "../parameters/weight-spec.ts";

/** Numbers of the model, frozen ones included. */
export function parameterCount(config: ModelConfig): number {
  return layoutOf(config).parameterCount;
}

/** Whether a weight multiplies every token: all matrices but the looked-up embedding (a tied one counts as head) and those with `ownWork`. */
function multiplies(config: ModelConfig, w: WeightSpec): boolean {
  if (!w.matrix || w.ownWork) return false;
  return w.key !== "embed" || headKinds.get(config.head).logitsWeight?.(config) === "embed";
}

const numbersOf = ({ shape }: WeightSpec) => shape.reduce((a, b) => a * b, 1);

/** Numbers of the weights that multiply every token. */
export function matmulParameters(config: ModelConfig): number {
  const { weights } = layoutOf(config);
  return weights.filter((w) => multiplies(config, w)).reduce((n, w) => n + numbersOf(w), 0);
}

export interface TrainFlops {
  /** Per token and step, PaLM appendix B: 6N + 12·L·H·d·T, as if attention were full and unmasked. */
  palm: number;
  /** Counting only visible keys of each layer's attention as if it were causal. */
  causal: number;
  /** What the layers' own attention does: NSA's three branches and φ, windows. */
  actual: number;
  /** Mean share of visible keys that an attention layer reads (NSA's compressed entries included). */
  readShare: number;
}

/** For each segment (embedding, layers, head): whether a gradient passes through it, as something in it or below it is trained. */
function gradientsIn({ segments, groups }: Layout): boolean[] {
  const trained = trainedWeights(groups);
  let reached = false;
  return segments.map((weights) => {
    reached ||= weights.some((w) => trained.has(w));
    return reached;
  });
}

const trainedWeights = (groups: Layout["groups"]) =>
  new Set(groups.flatMap((g) => (g.trainable ? g.weights : [])));

/**
 * FLOPs per token and step of the matrices: 2 a number forward, 2 for the gradient of its input where one passes, 2 for its own where it
 * is trained.
 */
function denseFlops(config: ModelConfig, layout: Layout): number {
  const trained = trainedWeights(layout.groups);
  const passes = gradientsIn(layout);
  // A tied embedding works as the head, behind all layers.
  const last = passes.at(-1)!;
  return layout.segments.reduce((sum, weights, segment) => {
    const own = weights.filter((w) => multiplies(config, w));
    return own.reduce((n, w) => {
      const back = w.key === "embed" ? last : passes[segment]!;
      return n + numbersOf(w) * (2 + (back ? 2 : 0) + (trained.has(w) ? 2 : 0));
    }, sum);
  }, 0);
}

/**
 * Training FLOPs per token (forward and backward, a multiply-add as 2) for documents of T tokens. Frozen weights have no gradient of their
 * own, and layers below all trained ones run forward alone.
 */
export function trainFlops(config: ModelConfig, T: number, groups?: readonly ParameterGroup[]): TrainFlops {
  const c = config;
  const layout = layoutOf(c, groups);
  const passes = gradientsIn(layout);
  const dense = denseFlops(c, layout);
  const visible = (T + 1) / 2;
  const sums = { palm: dense, causal: dense, actual: dense };
  let read = 0;
  for (let i = 0; i < c.numLayers; i++) {
    const share = passes[i + 1] ? 1 : 1 / 3;
    const perKey = 6 * share * c.numHeads * (c.headDim + c.valueHeadDim);
    const { keys, flops } = attentionKinds.get(attentionOf(c, i)).work(c, T);
    sums.palm += perKey * T;
    sums.causal += perKey * visible;
    sums.actual += perKey * keys + share * (flops + (mlpKinds.get(c.mlp).work?.(c) ?? 0));
    read += keys;
  }
  return { ...sums, readShare: read / c.numLayers / visible };
}

/** Columns of logits that the CPU has at work. */
const CPU_COLUMNS = 1024;
/** Bytes of logits that a GPU has at work, at most. */
const GPU_CHUNK = 2 ** 29;

/** Bytes of the head over `rows` of T positions: its logits where they are kept, and the logits and gradients at work. */
function headBytes(
  c: ModelConfig,
  rows: number,
  T: number,
  budget: number,
  device: string | undefined,
): number {
  const bf16 = c.dtype === "bf16";
  const logits = rows * headKinds.get(c.head).logits(c) * 4;
  if (logits === 0) return 0;
  const kept = logits <= budget;
  // Rows that are picked out of all are copied, and so is their gradient.
  const picked = rows < T ? 2 * rows * c.dModel * (bf16 ? 2 : 4) : 0;
  const atWork =
    device === "cuda"
      ? Math.min(logits, GPU_CHUNK) * ((kept ? 0 : 1) + (bf16 ? 0.5 : 0))
      : rows * (bf16 ? CPU_COLUMNS * (2 + (kept ? 0 : 4)) + 4 * c.dModel : CPU_COLUMNS * 4);
  return (kept ? logits : 0) + picked + atWork;
}

/** Bytes of a token in the KV cache of all layers. */
export function cacheBytesPerToken(config: ModelConfig): number {
  const width = config.dtype === "bf16" ? 2 : 4;
  let columns = 0;
  for (let i = 0; i < config.numLayers; i++)
    columns += attentionKinds.get(attentionOf(config, i)).memory(config).cache;
  return columns * width;
}

/** Bytes of the weights themselves: fp32 masters, and bf16 copies where the model computes in bf16. */
export function weightBytes(config: ModelConfig, groups?: readonly ParameterGroup[]): number {
  const { numel, lowNumel } = layoutOf(config, groups);
  return 4 * numel + (config.dtype === "bf16" ? 2 * lowNumel : 0);
}

/** Of masters and moments, the share of the rank of `world` that holds the most where ranks share them out: whole matrices have one owner each. */
export function largestStateShare(
  config: ModelConfig,
  groups: readonly ParameterGroup[] | undefined,
  world: number,
): number {
  const { all, largest } = sharedNumel(layoutOf(config, groups), world);
  return all === 0 ? 1 : largest / all;
}

/** Σ r of a layer's adapters: x·Aᵀ is kept for the backward. */
const ranks = (weights: readonly WeightSpec[]) =>
  weights.reduce((n, { key, shape }) => n + (isKeyOfA(key) ? shape[0]! : 0), 0);

/** The first layer that the backward comes to: those below all trained weights hold nothing for it. */
function firstRecorded({ segments, groups }: Layout): number {
  const trained = trainedWeights(groups);
  const segment = segments.findIndex((weights) => weights.some((w) => trained.has(w)));
  return segment < 0 ? segments.length - 2 : Math.max(0, segment - 1);
}

/** Bytes that live through a step: parameters, optimizer, activations and head of one micro-batch of T tokens. */
export function trainMemory(
  config: ModelConfig,
  T: number,
  options: {
    recompute: boolean;
    optimizerBytesPerParameter?: number;
    logitsBudgetBytes: number;
    /** Backends take different scratch memory. Default cpu. */
    device?: string;
    /** A frozen group counts with its weights alone. */
    groups?: readonly ParameterGroup[];
    /** Positions that have a target. Default T. */
    headRows?: number | undefined;
  },
): { parameters: number; state: number; activations: number; total: number } {
  const c = config;
  const width = c.dtype === "bf16" ? 2 : 4;
  const layout = layoutOf(c, options.groups);
  const { trainableNumel } = layout;
  const firstLayer = firstRecorded(layout);
  const state = trainableNumel * ((c.dtype === "bf16" ? 4 : 0) + (options.optimizerBytesPerParameter ?? 8));
  const learning = trainableNumel * (4 + (options.optimizerBytesPerParameter ?? 8));
  const parameters = weightBytes(c, options.groups) + learning + 4 * c.maxSeqLen * c.headDim;
  let largest = 0;
  let gradients = 0;
  let sum = 0;
  for (let i = firstLayer; i < c.numLayers; i++) {
    const { kv, o, stats, other, indexBytes } = attentionKinds.get(attentionOf(c, i)).memory(c);
    // q, k and v are kept once, in the fused projection or instead of it; norms of q and k need what they were made from.
    const copies = c.qkNorm ? 2 : 1;
    const q = c.numHeads * c.headDim;
    const { kept: mlpKept, live } = mlpKinds.get(c.mlp).memory(c, T);
    const kept =
      width * (4 * c.dModel + copies * (q + kv) + o + mlpKept + other + ranks(layout.segments[i + 1]!));
    const bytes = T * (kept + 4 * (2 + stats) + indexBytes);
    largest = Math.max(largest, bytes);
    // Gradients that live at once: around the MLP, or around attention with its branch outputs.
    const mlp = live + 3 * c.dModel;
    const attention = c.dModel + Math.max(o + q + kv, 2 * (q + kv));
    gradients = Math.max(gradients, T * width * Math.max(mlp, attention));
    sum += bytes;
  }
  const head = headBytes(c, options.headRows ?? T, T, options.logitsBudgetBytes, options.device);
  const stream = T * c.dModel * width;
  // On the CPU attention backwards pack keys and values twice and sum their gradients in two shares, all in fp32; a GPU keeps two
  // statistics of every query.
  const scratch =
    options.device === "cuda" ? 8 * T * c.numHeads : 16 * T * c.numKvHeads * (c.headDim + c.valueHeadDim);
  const activations = options.recompute
    ? (c.numLayers - firstLayer) * stream + Math.max(largest + gradients + scratch, 3 * stream + head)
    : sum + 3 * stream + Math.max(gradients + scratch, head);
  return { parameters, state, activations, total: parameters + activations };
}
