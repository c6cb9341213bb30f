// Attention on the columns of one fused projection: q and k are turned where they lie, and no part is copied out.
//
// Legend: T tokens, H query heads, G KV heads, K and V head dims, W = H·K + G·(K + V).
import type { Tensor } from "../device/tensor.ts";
import type { Tape } from "../tape.ts";
import type { Documents } from "./documents.ts";
import { denseKeys, type FlashConfig, flashSizes, statsDtype } from "./flash-attention.ts";
import type { RopeTables } from "./nsa-compress.ts";
import { turnColumns } from "./rope.ts";

/**
 * Rotary attention of fused [T, W] (columns q, k, v) over its documents → o [T, H·V], the same values as `splitHeads` and
 * `flashAttention`. Turns q and k inside `fused`: its producer must not read its output again.
 */
export function fusedAttention(
  tape: Tape,
  fused: Tensor,
  tables: RopeTables,
  docs: Documents,
  config: FlashConfig,
): Tensor {
  const { heads, kvHeads, dimK, dimV } = config;
  const device = fused.device;
  const width = heads * dimK + kvHeads * (dimK + dimV);
  const sizes = { ...flashSizes(docs, denseKeys(docs), config), ldq: width, ldk: width, ldv: width };
  const columnsOf = (t: Tensor) => {
    const [k, v] = [heads * dimK, (heads + kvHeads) * dimK];
    return [
      t.view(0, [t.numel]),
      t.view(Math.min(k, t.numel), [Math.max(0, t.numel - k)]),
      t.view(Math.min(v, t.numel), [Math.max(0, t.numel - v)]),
    ] as const;
  };
  // Queries and keys lie side by side and have the same head dim.
  turnColumns(fused, tables, docs.positions, { heads: heads + kvHeads, headDim: dimK, width });
  const o = device.empty([docs.tokens, heads * dimV], fused.dtype);
  const lse = device.empty([docs.tokens, heads], statsDtype(fused));
  const [q, k, v] = columnsOf(fused);
  device.run("flash_fwd", { q, k, v, o, lse, ...sizes });
  for (const t of [q, k, v]) t.free();
  if (!tape.needs(fused)) {
    lse.free();
    return o;
  }
  tape.push([o], () => {
    const d = device.empty(fused.shape, fused.dtype);
    const [q, k, v] = columnsOf(fused);
    const [dq, dk, dv] = columnsOf(d);
    const turned = { cos: tables.cos, sin: tables.sin, positions: docs.positions, rot_dim: tables.rotDim };
    const grads = { do_: o.grad!, dq, dk, dv, accumulate: 0 };
    device.run("flash_bwd", { q, k, v, o, lse, ...grads, ...turned, ...sizes });
    for (const t of [q, k, v, dq, dk, dv]) t.free();
    tape.accumulate(fused, d);
  });
  return o;
}
