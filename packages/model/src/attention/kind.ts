// The contract of an attention kind: one file a kind, registered by name. A layer, the KV cache, FLOP and memory counts, and
// checkpoints ask the kind; none of them asks which kind it is.
//
// Legend: T tokens, B sequences, D model width, H query heads, G KV heads, K and V head dims.
import type {
  CompressedGrid,
  DecodePlan,
  Device,
  Documents,
  FloatDtype,
  LinearOptions,
  RopeTables,
  Tape,
  Tensor,
} from "@nsa/kernels";
import type { ModelConfig } from "../config/schema.ts";
import type { WeightSpec } from "../parameters/weight-spec.ts";

/** Heads that the fused projection makes: rows of its weight and columns of its output. The first entry is q. */
export interface HeadColumnsSpec {
  /** Suffix of the checkpoint's tensors: `q_proj`, `k_proj_slc` … */
  name: string;
  heads: number;
  dim: number;
  /** Keys and queries take QK-norm, where the model has it. */
  role: "query" | "key" | "value";
  /** Whether the rotary embedding is applied by the projection. */
  rotate: boolean;
}

/** What a kind sees of its layer. */
export interface AttentionLayer {
  readonly config: ModelConfig;
  readonly index: number;
  /** A weight of this layer: `weight("self_attn.gate")`. */
  weight(key: string): Tensor;
  /** y = x·Wᵀ of a weight of this layer, with its adapters: use it for weights marked `linear`. */
  linear(tape: Tape, x: Tensor, key: string, options?: LinearOptions): Tensor;
}

/** Rows of the caches that a prefill writes: of its tokens [T], and of its compressed blocks; −1 skips a row. */
export interface PrefillSlots {
  tokens: Tensor;
  blocks?: Tensor;
}

/** Tensors of one layer's cache by name, each [rows, columns]; pages are copied tensor by tensor. */
export type LayerCache = Record<string, Tensor>;

/** What the parts of a layer cost in memory, in numbers (not bytes) per token unless said. */
export interface AttentionMemory {
  /** Keys and values kept for the backward, and columns of a token in the KV cache. */
  kv: number;
  /** Outputs kept for the backward. */
  o: number;
  /** Statistics a query, in fp32. */
  stats: number;
  /** Whatever else is kept, in the model's dtype. */
  other: number;
  /** Indices a token, in bytes. */
  indexBytes: number;
  /** Columns of a token in the KV cache. */
  cache: number;
}

/** `I`: what `inputs` makes of the projection's heads and `attend` takes. */
export interface AttentionKind<I = unknown> {
  readonly name: string;
  /** Refuses sizes that cannot work. Throws NsaError (exit 2). */
  check?(config: ModelConfig): void;
  heads(config: ModelConfig): HeadColumnsSpec[];
  /** Weights besides the fused projection, QK-norm and the output projection. `prefix`: `model.layers.3.self_attn.` */
  weights?(config: ModelConfig, prefix: string): WeightSpec[];
  /** `parts`: one tensor an entry of `heads`, in order, [T, heads·dim]; `normed` [T, D]. */
  inputs(tape: Tape, layer: AttentionLayer, parts: readonly Tensor[], normed: Tensor, tables: RopeTables): I;
  /** The attention step of training over packed documents → [T, H·V]. */
  attend(tape: Tape, config: ModelConfig, inputs: I, docs: Documents): Tensor;
  /** Attention that reads q, k and v where the projection left them, unrotated; without it, or with QK-norm, `inputs` and `attend` run. */
  fused?: {
    /** fused [T, W] → [T, H·V]. */
    attend(tape: Tape, config: ModelConfig, fused: Tensor, tables: RopeTables, docs: Documents): Tensor;
    /** fused [B, W] of one new token a sequence, which goes into the cache first → [B, H·V]. */
    decode(
      config: ModelConfig,
      fused: Tensor,
      cache: LayerCache,
      plan: DecodePlan,
      tables: RopeTables,
    ): Tensor;
  };
  cache: {
    /** Allocates a layer's cache in the innermost scope. */
    make(device: Device, config: ModelConfig, pages: number, pageSize: number, dtype: FloatDtype): LayerCache;
    /** As `attend`, and writes keys and values into the cache. */
    prefill(
      tape: Tape,
      config: ModelConfig,
      inputs: I,
      docs: Documents,
      cache: LayerCache,
      slots: PrefillSlots,
    ): Tensor;
    /** One new token a sequence, written into the cache first → [B, H·V]. */
    decode(config: ModelConfig, inputs: I, cache: LayerCache, plan: DecodePlan): Tensor;
    /** Tokens of a page, where the kind needs a certain number. */
    pageSize?(config: ModelConfig): number;
  };
  /** The grid of compressed blocks that documents carry for this kind. */
  grid?(config: ModelConfig): Pick<CompressedGrid, "blockSize" | "stride">;
  /** Mean keys that a query of a document of T tokens reads, and FLOPs a token (both ways) besides those of reading them. */
  work(config: ModelConfig, T: number): { keys: number; flops: number };
  memory(config: ModelConfig): AttentionMemory;
}
