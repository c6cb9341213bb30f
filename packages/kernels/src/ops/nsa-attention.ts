// Native Sparse Attention (arXiv 2502.11089): compression, selection and window branches joined by sigmoid gates.
//
//   o[t,h] = Σ_c σ(gate[t,h,c])·Attn(q[t,h], K_c, V_c),  c ∈ {cmp, slc, win}
//
// Legend: T tokens, H query heads, G KV heads, K and V head dims, NB compressed blocks, N selected blocks.
import type { Tensor } from "../device/tensor.ts";
import type { Tape } from "../tape.ts";
import type { Documents } from "./documents.ts";
import { denseKeys, flashForward, flashSizes, type KeyGrid, statsDtype } from "./flash-attention.ts";
import { compress, type Phi, phiParameters, type RopeTables } from "./nsa-compress.ts";
import { type NsaConfig, resolveNsaConfig } from "./nsa-config.ts";

export interface NsaInputs {
  /** Rotated queries, [T, H·K]. */
  q: Tensor;
  /** Keys [T, G·K] and values [T, G·V] of the compression branch; the keys NOT rotated. */
  kCmp: Tensor;
  vCmp: Tensor;
  /** Rotated keys and values of the selection branch. */
  kSlc: Tensor;
  vSlc: Tensor;
  /** Rotated keys and values of the window branch. */
  kWin: Tensor;
  vWin: Tensor;
  /** Logits of the gates, [T, H·3], branch order cmp, slc, win. */
  gate: Tensor;
  phiK: Phi;
  phiV: Phi;
  /** Turns φ's keys to their block's first position; left out: `compressed_rope: none`. */
  rope?: RopeTables;
}

export interface NsaOptions {
  /** Uses these block indices, i32 [T, G, N], instead of selecting: gradient checks and ablations. */
  selected?: Tensor;
}

export interface NsaResult {
  /** [T, H·V]. */
  o: Tensor;
  /** Selected blocks, i32 [T, G, N], document-local, ascending, −1 tail. */
  selected: Tensor;
  /** Outputs of φ (keys rotated), [NB, G·K] and [NB, G·V]: what a prefill writes into the compressed cache. */
  kBlocks: Tensor;
  vBlocks: Tensor;
}

/** Top-n blocks of every token from the compressed attention (NSA eq. 8–12), i32 [T, G, N]. */
export function selectBlocks(
  q: Tensor,
  kBlocks: Tensor,
  lse: Tensor,
  docs: Documents,
  config: NsaConfig,
  scores?: Tensor,
): Tensor {
  const c = resolveNsaConfig(config);
  const grid = docs.compressed!;
  const idx = q.device.empty([docs.tokens, c.kvHeads, c.numSelectedBlocks], "i32");
  q.device.run("nsa_select", {
    q,
    k_cmp: kBlocks,
    lse,
    idx,
    scores,
    cu_seqlens: docs.cuSeqlens,
    cu_blocks: grid.cuBlocks,
    n_docs: docs.count,
    tokens: docs.tokens,
    nb: grid.blocks,
    hq: c.heads,
    hkv: c.kvHeads,
    dim_k: c.dimK,
    ldq: c.heads * c.dimK,
    ldk: c.kvHeads * c.dimK,
    block_size: c.blockSize,
    stride: c.stride,
    selection_block_size: c.selectionBlockSize,
    num_selected: c.numSelectedBlocks,
    num_init: c.numInitialBlocks,
    num_local: c.numLocalBlocks,
    max_blocks: Math.ceil(docs.longest / c.selectionBlockSize),
    scale: c.scale,
  });
  return idx;
}

/**
 * NSA over packed documents. `docs` must come from `packDocuments` with the config's block size and stride.
 * Selection is not differentiated; φ learns through the compression branch.
 * Throws NsaError `nsa_config_invalid` (exit 2) for sizes that do not fit.
 */
export function nsaAttention(
  tape: Tape,
  inputs: NsaInputs,
  docs: Documents,
  config: NsaConfig,
  options: NsaOptions = {},
): NsaResult {
  const c = resolveNsaConfig(config);
  const grid = docs.compressed;
  if (grid?.blockSize !== c.blockSize || grid.stride !== c.stride) {
    throw new Error("packDocuments was not given this config's block size and stride");
  }
  const { q, kCmp, vCmp, kSlc, vSlc, kWin, vWin, gate, phiK, phiV, rope } = inputs;
  const device = q.device;
  const taped = tape.needs(
    q,
    kCmp,
    vCmp,
    kSlc,
    vSlc,
    kWin,
    vWin,
    gate,
    ...phiParameters(phiK),
    ...phiParameters(phiV),
  );

  const branch = { heads: c.heads, kvHeads: c.kvHeads, dimK: c.dimK, dimV: c.dimV, scale: c.scale };
  const window = { ...branch, windowSize: c.windowSize };
  const dense = denseKeys(docs);
  const blocks: KeyGrid = {
    cuKeys: grid.cuBlocks,
    keys: grid.blocks,
    blockSize: c.blockSize,
    stride: c.stride,
  };
  const slcSizes = {
    cu_seqlens: docs.cuSeqlens,
    n_docs: docs.count,
    tokens: docs.tokens,
    hq: c.heads,
    hkv: c.kvHeads,
    dim_k: c.dimK,
    dim_v: c.dimV,
    ldq: c.heads * c.dimK,
    ldk: c.kvHeads * c.dimK,
    ldv: c.kvHeads * c.dimV,
    ldo: c.heads * c.dimV,
    selection_block_size: c.selectionBlockSize,
    num_selected: c.numSelectedBlocks,
    scale: c.scale,
  };
  const gateSizes = { tokens: docs.tokens, hq: c.heads, dim_v: c.dimV, ldg: 3 * c.heads };

  const compressedK = compress(kCmp, phiK, docs, c.kvHeads, rope);
  const compressedV = compress(vCmp, phiV, docs, c.kvHeads);
  const [kBlocks, vBlocks] = [compressedK.y, compressedV.y];
  const cmp = flashForward(device, q, kBlocks, vBlocks, docs, blocks, branch);
  const selected = options.selected ?? selectBlocks(q, kBlocks, cmp.lse, docs, c);
  const slc = {
    o: device.empty(cmp.o.shape, q.dtype),
    lse: device.empty(cmp.lse.shape, statsDtype(q)),
  };
  device.run("nsa_selected_fwd", { q, k: kSlc, v: vSlc, idx: selected, o: slc.o, lse: slc.lse, ...slcSizes });
  const win = flashForward(device, q, kWin, vWin, docs, dense, window);
  const o = device.empty(cmp.o.shape, q.dtype);
  device.run("nsa_gate_fwd", { gate, o_cmp: cmp.o, o_slc: slc.o, o_win: win.o, o, ...gateSizes });

  const saved = [cmp.o, cmp.lse, slc.o, slc.lse, win.o, win.lse];
  const result = { o, selected, kBlocks, vBlocks };
  if (!taped) {
    for (const t of [...saved, ...compressedK.saved, ...compressedV.saved]) t.free();
    return result;
  }
  tape.push([o], () => {
    const like = (t: Tensor) => device.empty(t.shape, t.dtype);
    const dgate = like(gate);
    const [do_cmp, do_slc, do_win] = [like(o), like(o), like(o)];
    const deltas = device.empty([3, docs.tokens, c.heads], statsDtype(q));
    const [deltaCmp, deltaSlc, deltaWin] = [0, 1, 2].map((branch) =>
      device.view(deltas, branch * docs.tokens * c.heads, [docs.tokens, c.heads]),
    ) as [Tensor, Tensor, Tensor];
    // A branch's own tensors go as soon as its gradients are there.
    const free = (...tensors: Tensor[]) => {
      for (const t of tensors) t.free();
    };
    device.run("nsa_gate_bwd", {
      do_: o.grad!,
      gate,
      o_cmp: cmp.o,
      o_slc: slc.o,
      o_win: win.o,
      dgate,
      do_cmp,
      do_slc,
      do_win,
      deltas,
      ...gateSizes,
    });
    // Queries are shared: the first branch overwrites dq, the others add to it (accumulate bit 0).
    const dq = like(q);
    const [dkWin, dvWin, dkSlc, dvSlc] = [like(kWin), like(vWin), like(kSlc), like(vSlc)];
    const winGrads = { do_: do_win, delta: deltaWin, dq, dk: dkWin, dv: dvWin, accumulate: 0 };
    device.run("flash_bwd", {
      q,
      k: kWin,
      v: vWin,
      ...win,
      ...winGrads,
      ...flashSizes(docs, dense, window),
      rot_dim: 0,
    });
    free(do_win, deltaWin, win.o, win.lse);
    const slcGrads = { do_: do_slc, delta: deltaSlc, dq, dk: dkSlc, dv: dvSlc, accumulate: 1 };
    device.run("nsa_selected_bwd", { q, k: kSlc, v: vSlc, idx: selected, ...slc, ...slcGrads, ...slcSizes });
    free(do_slc, deltaSlc, slc.o, slc.lse);
    const [dkBlocks, dvBlocks] = [like(kBlocks), like(vBlocks)];
    const cmpGrads = { do_: do_cmp, delta: deltaCmp, dq, dk: dkBlocks, dv: dvBlocks, accumulate: 1 };
    device.run("flash_bwd", {
      q,
      k: kBlocks,
      v: vBlocks,
      ...cmp,
      ...cmpGrads,
      ...flashSizes(docs, blocks, branch),
      rot_dim: 0,
    });
    free(do_cmp, deltaCmp, deltas, cmp.o, cmp.lse);
    tape.accumulate(gate, dgate);
    tape.accumulate(q, dq);
    tape.accumulate(kWin, dkWin);
    tape.accumulate(vWin, dvWin);
    tape.accumulate(kSlc, dkSlc);
    tape.accumulate(vSlc, dvSlc);
    tape.accumulate(kCmp, compressedK.backward(dkBlocks));
    tape.accumulate(vCmp, compressedV.backward(dvBlocks));
    free(dkBlocks, dvBlocks);
  });
  return result;
}
