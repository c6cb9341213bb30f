// The sizes of Native Sparse Attention and the rules they obey.
import { NsaError } from "@nsa/core";

/** Sizes of one NSA layer, in tokens, blocks and channels (arXiv 2502.11089 §3, names as there). */
export interface NsaConfig {
  /** Query heads. */
  heads: number;
  /** KV heads (groups). */
  kvHeads: number;
  dimK: number;
  dimV: number;
  /** l, tokens of a compressed block. */
  blockSize: number;
  /** d, tokens between starts of compressed blocks; divides l and l'. */
  stride: number;
  /** l', tokens of a selection block. */
  selectionBlockSize: number;
  /** n, selected blocks per query, the forced ones included. */
  numSelectedBlocks: number;
  /** Forced blocks at the start of the document. Default 1. */
  numInitialBlocks?: number;
  /** Forced blocks ending at the query's own. Default 2. */
  numLocalBlocks?: number;
  /** w, tokens of the sliding window, the query's own included. */
  windowSize: number;
  /** Softmax scale; default 1/√d_k. */
  scale?: number;
}

export type ResolvedNsaConfig = Required<NsaConfig>;

/** Fills the defaults. Throws NsaError `nsa_config_invalid` (exit 2) naming the first rule that is broken. */
export function resolveNsaConfig(config: NsaConfig): ResolvedNsaConfig {
  const c = { numInitialBlocks: 1, numLocalBlocks: 2, scale: 1 / Math.sqrt(config.dimK), ...config };
  const forced = c.numInitialBlocks + c.numLocalBlocks;
  const refuse = (what: string, why: string, fix: string): never => {
    throw new NsaError({ code: "nsa_config_invalid", what, why, fix, exitCode: 2 });
  };
  for (const [name, value] of Object.entries({
    heads: c.heads,
    num_kv_heads: c.kvHeads,
    head_dim_k: c.dimK,
    head_dim_v: c.dimV,
    block_size: c.blockSize,
    stride: c.stride,
    selection_block_size: c.selectionBlockSize,
    num_selected_blocks: c.numSelectedBlocks,
    window_size: c.windowSize,
  })) {
    if (!Number.isInteger(value) || value < 1) {
      refuse(`${name} is ${value}`, "it must be a whole number of at least 1", `set ${name} to 1 or more`);
    }
  }
  if (c.heads % c.kvHeads) {
    refuse(
      `${c.heads} query heads over ${c.kvHeads} KV heads`,
      "a group must hold the same number of query heads",
      "choose num_kv_heads that divides the number of heads",
    );
  }
  for (const [name, size] of [
    ["block_size", c.blockSize],
    ["selection_block_size", c.selectionBlockSize],
  ] as const) {
    if (size % c.stride) {
      refuse(
        `stride ${c.stride} does not divide ${name} ${size}`,
        "block scores are sums over whole strides (NSA eq. 9)",
        `choose ${name} as a multiple of stride`,
      );
    }
  }
  if (c.numInitialBlocks < 0 || c.numLocalBlocks < 1 || c.numSelectedBlocks < forced) {
    refuse(
      `num_selected_blocks is ${c.numSelectedBlocks}`,
      `${c.numInitialBlocks} initial and ${c.numLocalBlocks} local blocks are always selected and count`,
      `set num_selected_blocks to at least ${Math.max(1, forced)}`,
    );
  }
  return c;
}
