// Softmax attention of one new token per sequence over a paged cache, and writes into such a cache; without gradients.
//
// Legend: B sequences, H query heads, G KV heads, K and V head dims.
import type { Tensor } from "../device/tensor.ts";
import type { DecodePlan } from "./decode-plan.ts";
import type { FlashConfig } from "./flash-attention.ts";
import type { RopeTables } from "./nsa-compress.ts";

/** cache[slots[r]] = x[r]; −1 skips. */
export function writeCache(x: Tensor, cache: Tensor, slots: Tensor, rows: number): void {
  const cols = cache.shape[1]!;
  x.device.run("paged_write", { x, cache, slot: slots, rows, cols, ldx: cols });
}

/**
 * The columns of one projection, fused [B, W] with W = H·K + G·(K + V), whose q and k are not turned yet: puts turned k, and v, into
 * the caches and attends → [B, H·V]. What `fused` holds afterwards is undefined.
 */
export function decodeFused(
  fused: Tensor,
  kCache: Tensor,
  vCache: Tensor,
  plan: DecodePlan,
  tables: RopeTables,
  c: FlashConfig,
): Tensor {
  const ld = fused.numel / plan.b;
  const columns = (offset: number) => fused.view(offset, [fused.numel - offset]);
  const q = columns(0);
  const k = columns(c.heads * c.dimK);
  const v = columns((c.heads + c.kvHeads) * c.dimK);
  const o = fused.device.empty([plan.b, c.heads * c.dimV], fused.dtype);
  pagedAttention(q, kCache, vCache, o, undefined, plan, c, plan.pageSize, 1, 1, { k, v, tables, ld });
  for (const t of [q, k, v]) t.free();
  return o;
}

/** Softmax attention of one query per sequence over cached tokens. q [B, H·K] → [B, H·V]. */
export function decodeAttention(
  q: Tensor,
  kCache: Tensor,
  vCache: Tensor,
  plan: DecodePlan,
  config: FlashConfig,
): Tensor {
  const o = q.device.empty([plan.b, config.heads * config.dimV], q.dtype);
  pagedAttention(q, kCache, vCache, o, undefined, plan, config, plan.pageSize, 1, 1);
  return o;
}

/** Attention of one query per sequence; with `newest`, turned keys and values are written into the caches first. */
export function pagedAttention(
  q: Tensor,
  kCache: Tensor,
  vCache: Tensor,
  o: Tensor,
  lse: Tensor | undefined,
  plan: DecodePlan,
  c: FlashConfig,
  pageSize: number,
  blockSize: number,
  stride: number,
  newest?: { k: Tensor; v: Tensor; tables: RopeTables; ld: number },
): void {
  q.device.run("paged_attn", {
    q,
    k_cache: kCache,
    v_cache: vCache,
    block_table: plan.blockTable,
    seq_lens: plan.seqLens,
    o,
    lse,
    k: newest?.k,
    v: newest?.v,
    cos: newest?.tables.cos,
    sin: newest?.tables.sin,
    positions: newest && plan.positions,
    slot: newest && plan.slots,
    rot_dim: newest?.tables.rotDim ?? 0,
    b: plan.b,
    hq: c.heads,
    hkv: c.kvHeads,
    dim_k: c.dimK,
    dim_v: c.dimV,
    ldq: newest?.ld ?? c.heads * c.dimK,
    ldo: c.heads * c.dimV,
    page_size: pageSize,
    max_pages: plan.maxPages,
    window: c.windowSize ?? 0,
    block_size: blockSize,
    stride,
    scale: c.scale ?? 1 / Math.sqrt(c.dimK),
  });
}
