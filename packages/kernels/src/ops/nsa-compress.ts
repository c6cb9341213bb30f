// φ, the compression of NSA eq. 7: blocks of raw keys or values become one vector each. Mean, weighted sum, or an MLP.
//
// Legend: T tokens, G KV heads, C channels of a head, NB compressed blocks, L block_size.
import type { Tensor } from "../device/tensor.ts";
import type { Tape } from "../tape.ts";
import type { Documents } from "./documents.ts";
import { statsDtype } from "./flash-attention.ts";

/** Shared by the KV heads of a layer; keys and values have one each. */
export type Phi =
  | { kind: "mean" }
  /** y = Σ_j weight[j]·x[j]; weight [L]. */
  | { kind: "weighted"; weight: Tensor }
  /** y = down·silu(up·flatten(x + pos)); pos [L, C], up [F, L·C], down [C, F] (F = 4·C in the paper's spirit). */
  | { kind: "mlp"; pos: Tensor; up: Tensor; down: Tensor };

/** Tables of the rotary embedding, [P, rotDim/2]. */
export interface RopeTables {
  cos: Tensor;
  sin: Tensor;
  rotDim: number;
}

export interface Compressed {
  /** [NB, G·C]; one unused row when there is no block. */
  y: Tensor;
  /** What only the backward reads; to be freed when there will be none. */
  saved: Tensor[];
  /** Takes dy [NB, G·C] (which it may overwrite), adds to φ's parameters, returns dx [T, G·C]. */
  backward: (dy: Tensor) => Tensor;
}

/** The parameters of φ, for `tape.needs`. */
export function phiParameters(phi: Phi): Tensor[] {
  if (phi.kind === "mean") return [];
  return phi.kind === "weighted" ? [phi.weight] : [phi.pos, phi.up, phi.down];
}

/** The buffer into which an op adds a parameter's gradient; made and registered on first use. */
export function gradientBuffer(t: Tensor): Tensor {
  t.grad ??= t.device.zeros(t.shape, t.dtype === "f64" ? "f64" : "f32");
  return t.grad;
}

/**
 * Compresses x [T, G·C]. With `rope`, outputs are turned to the position of their block's first token
 * (`compressed_rope: block_start`).
 */
export function compress(
  x: Tensor,
  phi: Phi,
  docs: Documents,
  kvHeads: number,
  rope?: RopeTables,
): Compressed {
  const device = x.device;
  const grid = docs.compressed!;
  const cols = x.shape[1]!;
  const d = cols / kvHeads;
  const nb = grid.blocks;
  const rows = nb * kvHeads;
  const y = device.empty([Math.max(1, nb), cols], x.dtype);
  if (nb === 0) return { y, saved: [], backward: () => device.zeros(x.shape, x.dtype) };

  const read = { block_start: grid.blockStart, nb, hkv: kvHeads, d, block_size: grid.blockSize, ldx: cols };
  const spread = {
    cu_seqlens: docs.cuSeqlens,
    cu_blocks: grid.cuBlocks,
    n_docs: docs.count,
    tokens: docs.tokens,
    nb,
    hkv: kvHeads,
    d,
    block_size: grid.blockSize,
    stride: grid.stride,
    ldx: cols,
    accumulate: 0,
  };
  const turn = (t: Tensor, inverse: number) => {
    if (!rope) return;
    const sizes = {
      rows: nb,
      heads: kvHeads,
      head_dim: d,
      rot_dim: rope.rotDim,
      ldx: cols,
      ldy: cols,
      inverse,
    };
    device.run("rope", { x: t, y: t, cos: rope.cos, sin: rope.sin, positions: grid.positions, ...sizes });
  };

  if (phi.kind !== "mlp") {
    const w =
      phi.kind === "weighted" ? phi.weight : device.full([grid.blockSize], statsDtype(x), 1 / grid.blockSize);
    device.run("nsa_pool_fwd", { x, w, y, ...read });
    turn(y, 0);
    return {
      y,
      saved: phi.kind === "mean" ? [w] : [],
      backward: (dy) => {
        turn(dy, 1);
        const dx = device.empty(x.shape, x.dtype);
        const dw = phi.kind === "weighted" && w.requiresGrad ? gradientBuffer(w) : undefined;
        device.run("nsa_pool_bwd", { dy, x, w, dx, dw, ...spread });
        return dx;
      },
    };
  }

  const { pos, up, down } = phi;
  const [hidden, inner] = [up.shape[0]!, up.shape[1]!];
  const plain = { alpha: 1, beta: 0, trans_a: 0, trans_b: 0 };
  const gather = () => {
    const blocks = device.empty([rows, inner], x.dtype);
    device.run("nsa_block_gather_fwd", { x, pos, y: blocks, ...read });
    return blocks;
  };
  // The gathered blocks are L/stride times x: they are made again in the backward instead of kept.
  const blocks = gather();
  const h = device.empty([rows, hidden], x.dtype);
  const a = device.empty([rows, hidden], x.dtype);
  const size = { lda: inner, ldb: inner, ldc: hidden, m: rows, n: hidden, k: inner };
  device.run("gemm", { a: blocks, b: up, c: h, ...plain, ...size, trans_b: 1 });
  blocks.free();
  device.run("unary", { x: h, y: a, kind: 9 });
  device.run("gemm", {
    a,
    b: down,
    c: y,
    ...plain,
    lda: hidden,
    ldb: hidden,
    ldc: d,
    m: rows,
    n: d,
    k: hidden,
    trans_b: 1,
  });
  turn(y, 0);

  return {
    y,
    saved: [h, a],
    backward: (dy) => {
      turn(dy, 1);
      const add = { ...plain, beta: 1, trans_a: 1, k: rows };
      if (down.requiresGrad) {
        device.run("gemm", {
          a: dy,
          b: a,
          c: gradientBuffer(down),
          ...add,
          lda: d,
          ldb: hidden,
          ldc: hidden,
          m: d,
          n: hidden,
        });
      }
      const dh = device.empty([rows, hidden], x.dtype);
      device.run("gemm", {
        a: dy,
        b: down,
        c: dh,
        ...plain,
        lda: d,
        ldb: hidden,
        ldc: hidden,
        m: rows,
        n: hidden,
        k: d,
      });
      device.run("unary_bwd", { x: h, y: a, dy: dh, dx: dh, kind: 9 });
      const blocks = gather();
      if (up.requiresGrad) {
        device.run("gemm", {
          a: dh,
          b: blocks,
          c: gradientBuffer(up),
          ...add,
          lda: hidden,
          ldb: inner,
          ldc: inner,
          m: hidden,
          n: inner,
        });
      }
      device.run("gemm", {
        a: dh,
        b: up,
        c: blocks,
        ...plain,
        lda: hidden,
        ldb: inner,
        ldc: inner,
        m: rows,
        n: inner,
        k: hidden,
      });
      const dx = device.empty(x.shape, x.dtype);
      const dpos = pos.requiresGrad ? gradientBuffer(pos) : undefined;
      device.run("nsa_block_gather_bwd", { dy: blocks, dx, dpos, ...spread });
      for (const t of [dh, blocks, h, a]) t.free();
      return dx;
    },
  };
}

/** The same as an op on the tape, for tests and for models that use φ alone. */
export function compressBlocks(
  tape: Tape,
  x: Tensor,
  phi: Phi,
  docs: Documents,
  kvHeads: number,
  rope?: RopeTables,
): Tensor {
  const { y, backward } = compress(x, phi, docs, kvHeads, rope);
  if (tape.needs(x, ...phiParameters(phi))) tape.push([y], () => tape.accumulate(x, backward(y.grad!)));
  return y;
}
