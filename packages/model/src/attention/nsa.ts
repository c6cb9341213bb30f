// Native Sparse Attention (arXiv 2502.11089) as an attention kind: compressed, selected and sliding-window branches, each with its own
// keys and values, joined by gates. The arithmetic is in the kernels package.
//
// Legend: T tokens, B sequences, D model width, H query heads, G KV heads, K and V head dims.
import {
  type NsaConfig,
  type NsaInputs,
  type NsaLayerCache,
  nsaAttention,
  nsaDecode,
  nsaLayerCache,
  type Phi,
  resolveNsaConfig,
  writeCache,
} from "@nsa/kernels";
import type { ModelConfig } from "../config/schema.ts";
import { asLinear, matrix, vector, type WeightSpec } from "../parameters/weight-spec.ts";
import { meanVisible } from "./dense.ts";
import type { AttentionKind, AttentionLayer, HeadColumnsSpec, LayerCache } from "./kind.ts";

/** The NSA sizes of the model, as the kernels take them. */
export function nsaConfigOf(c: ModelConfig): NsaConfig {
  return {
    heads: c.numHeads,
    kvHeads: c.numKvHeads,
    dimK: c.headDim,
    dimV: c.valueHeadDim,
    blockSize: c.blockSize,
    stride: c.stride,
    selectionBlockSize: c.selectionBlockSize,
    numSelectedBlocks: c.numSelectedBlocks,
    numInitialBlocks: c.numInitialBlocks,
    numLocalBlocks: c.numLocalBlocks,
    windowSize: c.windowSize,
  };
}

/** φ of one of keys or values (eq. 7): flatten(block + pos) → Linear → SiLU → Linear, or pooling. */
function phiWeights(prefix: string, name: string, dim: number, c: ModelConfig): WeightSpec[] {
  const base = `${prefix}${name}`;
  if (c.compress === "mean") return [];
  if (c.compress === "weighted") return [vector(base, [[`${base}.weight`, c.blockSize]], 1 / c.blockSize)];
  const inner = c.blockSize * dim;
  const pos = matrix(`${base}.pos`, [[`${base}.pos`, c.blockSize]], dim, c.initStd);
  return [
    { ...pos, decay: false },
    matrix(`${base}.up`, [[`${base}.up.weight`, 4 * dim]], inner, 1 / Math.sqrt(inner)),
    matrix(`${base}.down`, [[`${base}.down.weight`, dim]], 4 * dim, 1 / Math.sqrt(4 * dim)),
  ].map((w) => ({ ...w, ownWork: true as const }));
}

function phiOf(layer: AttentionLayer, name: string): Phi {
  const key = `self_attn.${name}`;
  switch (layer.config.compress) {
    case "mean":
      return { kind: "mean" };
    case "weighted":
      return { kind: "weighted", weight: layer.weight(key) };
    case "mlp":
      return {
        kind: "mlp",
        pos: layer.weight(`${key}.pos`),
        up: layer.weight(`${key}.up`),
        down: layer.weight(`${key}.down`),
      };
  }
}

/** φ_k reads un-rotated keys, so those of the compressed branch are rotated after it. */
function heads(c: ModelConfig): HeadColumnsSpec[] {
  const branches = ["cmp", "slc", "win"].flatMap((branch): HeadColumnsSpec[] => [
    { name: `k_proj_${branch}`, heads: c.numKvHeads, dim: c.headDim, role: "key", rotate: branch !== "cmp" },
    { name: `v_proj_${branch}`, heads: c.numKvHeads, dim: c.valueHeadDim, role: "value", rotate: false },
  ]);
  return [{ name: "q_proj", heads: c.numHeads, dim: c.headDim, role: "query", rotate: true }, ...branches];
}

/** Mean compressed entries that a query of T tokens sees, as if they grew evenly. */
const compressedKeys = (c: ModelConfig, T: number) =>
  Math.max(0, (T - c.blockSize + c.stride) / c.stride) / 2;

const asNsaCache = (cache: LayerCache) => cache as unknown as NsaLayerCache;

export const nsa: AttentionKind<NsaInputs> = {
  name: "nsa",
  check: (c) => void resolveNsaConfig(nsaConfigOf(c)),
  heads,
  weights: (c, prefix) => [
    asLinear(matrix(`${prefix}gate`, [[`${prefix}gate_proj.weight`, 3 * c.numHeads]], c.dModel, c.initStd)),
    vector(`${prefix}gate_bias`, [[`${prefix}gate_proj.bias`, 3 * c.numHeads]], 0),
    ...phiWeights(prefix, "phi_k", c.headDim, c),
    ...phiWeights(prefix, "phi_v", c.valueHeadDim, c),
  ],
  inputs(tape, layer, parts, normed, tables) {
    const [q, kCmp, vCmp, kSlc, vSlc, kWin, vWin] = parts;
    const gate = layer.linear(tape, normed, "self_attn.gate", {
      bias: layer.weight("self_attn.gate_bias"),
    });
    return {
      q: q!,
      kCmp: kCmp!,
      vCmp: vCmp!,
      kSlc: kSlc!,
      vSlc: vSlc!,
      kWin: kWin!,
      vWin: vWin!,
      gate,
      phiK: phiOf(layer, "phi_k"),
      phiV: phiOf(layer, "phi_v"),
      rope: layer.config.compressedRope === "block_start" ? tables : undefined,
    };
  },
  attend: (tape, c, inputs, docs) => nsaAttention(tape, inputs, docs, nsaConfigOf(c)).o,
  cache: {
    make: (device, c, pages, pageSize, dtype) => ({
      ...nsaLayerCache(device, nsaConfigOf(c), pages, pageSize, dtype),
    }),
    prefill(tape, c, inputs, docs, cache, slots) {
      const { o, kBlocks, vBlocks } = nsaAttention(tape, inputs, docs, nsaConfigOf(c));
      for (const name of ["kCmp", "vCmp", "kSlc", "vSlc", "kWin", "vWin"] as const) {
        writeCache(inputs[name], cache[name]!, slots.tokens, docs.tokens);
      }
      const blocks = docs.compressed!.blocks;
      if (blocks > 0 && slots.blocks) {
        writeCache(kBlocks, cache.kBlocks!, slots.blocks, blocks);
        writeCache(vBlocks, cache.vBlocks!, slots.blocks, blocks);
      }
      return o;
    },
    decode: (c, inputs, cache, plan) => nsaDecode(inputs, asNsaCache(cache), plan, nsaConfigOf(c)),
    // Pages hold whole compressed entries: the stride divides the selection block.
    pageSize: (c) => c.selectionBlockSize,
  },
  grid: ({ blockSize, stride }) => ({ blockSize, stride }),
  work(c, T) {
    const compressed = compressedKeys(c, T);
    const keys =
      compressed +
      meanVisible(T, c.numSelectedBlocks * c.selectionBlockSize) +
      meanVisible(T, Math.min(c.windowSize, T));
    // Selection scores the compressed keys once more, forward only.
    const scores = 2 * c.numHeads * c.headDim * compressed;
    const phi = (d: number) => 4 * d * (c.blockSize * d + d);
    const compression =
      c.compress === "mlp" ? (6 * c.numKvHeads * (phi(c.headDim) + phi(c.valueHeadDim))) / c.stride : 0;
    return { keys, flops: scores + compression };
  },
  memory(c) {
    const kv = c.numKvHeads * (c.headDim + c.valueHeadDim);
    const phi = ((c.compress === "mlp" ? 8 : 0) + 1) * (kv / c.stride);
    return {
      kv: 3 * kv,
      o: 4 * c.numHeads * c.valueHeadDim,
      stats: 3 * c.numHeads,
      other: 3 * c.numHeads + phi,
      indexBytes: 4 * c.numKvHeads * c.numSelectedBlocks,
      // Tokens of three branches, and compressed entries.
      cache: 3 * kv + kv / c.stride,
    };
  },
};
