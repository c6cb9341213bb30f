// Low-rank adapters of a linear layer (LoRA, arXiv 2106.09685): y += s·(x·Aᵀ)·Bᵀ beside a frozen y = x·Wᵀ.
//
// A fused weight holds several projections below one another. Each adapted one has rows of its own in the stacked A and a B of its own,
// which writes into that projection's columns of y alone: there is no B between two projections, so none can get a gradient. All
// products are the `gemm` op on strided views.
//
// Legend: M rows, K inputs, N outputs, R rows of the stacked A, r and n rank and outputs of one projection.
import type { Tensor } from "../device/tensor.ts";
import { gradientBuffer } from "./nsa-compress.ts";

/** The adapter of one projection inside the weight. */
export interface AdapterBlock {
  /** [n, r]. */
  b: Tensor;
  /** First row of the projection in the weight: its first column of y. */
  column: number;
  /** First of its rows of A. */
  row: number;
  /** s: α/r, or α/√r. */
  scale: number;
}

export interface Adapter {
  /** [R, K]. */
  a: Tensor;
  blocks: readonly AdapterBlock[];
}

const plain = { alpha: 1, beta: 0, trans_a: 0, trans_b: 0 };

/** The tensors of an adapter that may be trained. */
export const adapterTensors = (adapter: Adapter | undefined): Tensor[] =>
  adapter ? [adapter.a, ...adapter.blocks.map(({ b }) => b)] : [];

/** Runs a gemm on columns of its tensors: rows keep their stride, the first column is moved by `from`. */
function gemmOnColumns(
  tensors: { a: Tensor; b: Tensor; c: Tensor },
  from: { a?: number; b?: number; c?: number },
  sizes: Record<string, number>,
): void {
  using _views = tensors.a.device.scope();
  const at = (t: Tensor, column = 0) => (column === 0 ? t : t.view(column, [t.numel - column]));
  const { a, b, c } = tensors;
  a.device.run("gemm", { a: at(a, from.a), b: at(b, from.b), c: at(c, from.c), ...plain, ...sizes });
}

/** y [M, N] += s·(x·Aᵀ)·Bᵀ. Returns x·Aᵀ [M, R], which the gradients need. */
export function addAdapter(x: Tensor, y: Tensor, { a, blocks }: Adapter): Tensor {
  const { device } = x;
  const [R, k] = [a.shape[0]!, a.shape[1]!];
  const m = x.numel / k;
  const width = y.numel / m;
  const z = device.empty([m, R], x.dtype);
  device.run("gemm", { a: x, b: a, c: z, ...plain, m, n: R, k, lda: k, ldb: k, ldc: R, trans_b: 1 });
  for (const { b, column, row, scale } of blocks) {
    const [n, r] = [b.shape[0]!, b.shape[1]!];
    const sizes = { m, n, k: r, lda: R, ldb: r, ldc: width, trans_b: 1, alpha: scale, beta: 1 };
    gemmOnColumns({ a: z, b, c: y }, { a: row, c: column }, sizes);
  }
  return z;
}

/** dz = ∂loss/∂(x·Aᵀ) [M, R] from dy [M, N]; adds to the gradients of the B that are trained. */
export function adapterGradient(dy: Tensor, z: Tensor, { blocks }: Adapter): Tensor {
  const [m, R] = [z.shape[0]!, z.shape[1]!];
  const width = dy.numel / m;
  const dz = dy.device.empty([m, R], dy.dtype);
  for (const { b, column, row, scale } of blocks) {
    const [n, r] = [b.shape[0]!, b.shape[1]!];
    const inner = { m, n: r, k: n, lda: width, ldb: r, ldc: R, alpha: scale };
    gemmOnColumns({ a: dy, b, c: dz }, { a: column, c: row }, inner);
    if (!b.requiresGrad) continue;
    const outer = { m: n, n: r, k: m, lda: width, ldb: R, ldc: r, trans_a: 1, alpha: scale, beta: 1 };
    gemmOnColumns({ a: dy, b: z, c: gradientBuffer(b) }, { a: column, b: row }, outer);
  }
  return dz;
}

/** dx [M, K] += dz·A. */
export function addAdapterInputGradient(dz: Tensor, { a }: Adapter, dx: Tensor): void {
  const [R, k] = [a.shape[0]!, a.shape[1]!];
  const sizes = { m: dz.numel / R, n: k, k: R, lda: R, ldb: k, ldc: k, beta: 1 };
  dx.device.run("gemm", { a: dz, b: a, c: dx, ...plain, ...sizes });
}
