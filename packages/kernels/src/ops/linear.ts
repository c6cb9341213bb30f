// Linear layers, embedding and the pick of rows: the ops that multiply by or look up in a weight.
//
// Legend: M rows, K inputs, N outputs, V vocabulary, D model width.
import type { Tensor } from "../device/tensor.ts";
import type { Tape } from "../tape.ts";
import {
  type Adapter,
  adapterGradient,
  adapterTensors,
  addAdapter,
  addAdapterInputGradient,
} from "./adapter.ts";
import { gradientBuffer } from "./nsa-compress.ts";

export interface LinearOptions {
  /** [N], added to every row. */
  bias?: Tensor;
  /** [M, N], added to the output (the residual stream). */
  residual?: Tensor;
  /** Low-rank matrices whose product is added to the weight. */
  adapter?: Adapter;
}

const plain = { alpha: 1, beta: 0, trans_a: 0, trans_b: 0 };

/** y = x·Wᵀ (+ bias) (+ residual) without a tape. */
export function product(x: Tensor, w: Tensor, { bias, residual }: LinearOptions): Tensor {
  const [n, k] = [w.shape[0]!, w.shape[1]!];
  const m = x.numel / k;
  const y = x.device.empty([m, n], x.dtype);
  const sizes = { m, n, k, lda: k, ldb: k, ldc: n, trans_b: 1 };
  x.device.run("gemm", { a: x, b: w, c: y, bias, residual, ...plain, ...sizes });
  return y;
}

/** w.grad += dyᵀ·x. */
export function weightGradient(dy: Tensor, x: Tensor, w: Tensor): void {
  const [n, k] = [w.shape[0]!, w.shape[1]!];
  const sizes = { m: n, n: k, k: x.numel / k, lda: n, ldb: k, ldc: k, trans_a: 1, beta: 1 };
  x.device.run("gemm", { a: dy, b: x, c: gradientBuffer(w), ...plain, ...sizes });
}

/** dx = dy·W, of x's shape. */
export function inputGradient(dy: Tensor, w: Tensor, shape: readonly number[]): Tensor {
  const [n, k] = [w.shape[0]!, w.shape[1]!];
  const dx = dy.device.empty(shape, dy.dtype);
  dy.device.run("gemm", {
    a: dy,
    b: w,
    c: dx,
    ...plain,
    m: dy.numel / n,
    n: k,
    k: n,
    lda: n,
    ldb: k,
    ldc: k,
  });
  return dx;
}

/**
 * y = x·Wᵀ (+ bias) (+ residual) (+ s·(x·Aᵀ)·Bᵀ); x [M, K], w [N, K] as Hugging Face stores it → [M, N].
 * Gradients of w, bias and adapter are added into their persistent fp32 `grad`.
 */
export function linear(tape: Tape, x: Tensor, w: Tensor, options: LinearOptions = {}): Tensor {
  const { bias, residual, adapter } = options;
  const y = product(x, w, options);
  const z = adapter && addAdapter(x, y, adapter);
  if (!tape.needs(x, w, bias, residual, ...adapterTensors(adapter))) {
    z?.free();
    return y;
  }
  tape.push([y], () => {
    const dy = y.grad!;
    if (w.requiresGrad) weightGradient(dy, x, w);
    const dz = adapter && adapterGradient(dy, z!, adapter);
    if (adapter?.a.requiresGrad) weightGradient(dz!, x, adapter.a);
    if (bias?.requiresGrad) {
      const [rows, cols] = [y.shape[0]!, y.shape[1]!];
      x.device.run("col_sum", { x: dy, y: gradientBuffer(bias), rows, cols });
    }
    if (x.requiresGrad) {
      const dx = inputGradient(dy, w, x.shape);
      if (adapter) addAdapterInputGradient(dz!, adapter, dx);
      tape.accumulate(x, dx);
    }
    dz?.free();
    if (residual?.requiresGrad) tape.handOver(y, residual);
  });
  return y;
}

/** Rows ids [M] of w [V, D] → [M, D]; id −1 gives a zero row. The backward sums in the order of tokens. */
export function embedding(tape: Tape, w: Tensor, ids: Tensor): Tensor {
  const [vocab, d] = [w.shape[0]!, w.shape[1]!];
  const tokens = ids.numel;
  const y = w.device.empty([tokens, d], w.dtype);
  w.device.run("gather_rows", { x: w, idx: ids, y, rows: tokens, cols: d });
  if (!tape.needs(w)) return y;
  tape.push([y], () => {
    w.device.run("embedding_bwd", { dy: y.grad!, ids, dw: gradientBuffer(w), tokens, vocab, d });
  });
  return y;
}

/** Rows idx [M] (each at most once) of x [T, D] → [M, D]; the gradient is scattered back, zero elsewhere. */
export function gatherRows(tape: Tape, x: Tensor, idx: Tensor): Tensor {
  const rows = idx.numel;
  const xRows = x.shape[0]!;
  const cols = x.numel / xRows;
  const y = x.device.empty([rows, cols], x.dtype);
  x.device.run("gather_rows", { x, idx, y, rows, cols });
  if (!tape.needs(x)) return y;
  tape.push([y], () => {
    const dx = x.device.empty(x.shape, x.dtype);
    x.device.run("scatter_rows", { y: y.grad!, idx, x: dx, rows, cols, x_rows: xRows });
    tape.accumulate(x, dx);
  });
  return y;
}

/** Rows idx [M], any number of times each, of x [T, D] → [M, D]; the backward sums them in the order of idx. */
export function repeatRows(tape: Tape, x: Tensor, idx: Tensor): Tensor {
  const [rows, cols] = [x.shape[0]!, x.numel / x.shape[0]!];
  const M = idx.numel;
  const y = x.device.empty([M, cols], x.dtype);
  x.device.run("gather_rows", { x, idx, y, rows: M, cols });
  if (!tape.needs(x)) return y;
  tape.push([y], () => {
    const dx = x.device.zeros([rows, cols], x.dtype);
    x.device.run("embedding_bwd", { dy: y.grad!, ids: idx, dw: dx, tokens: M, vocab: rows, d: cols });
    tape.accumulate(x, dx);
  });
  return y;
}

/** The inverse of {@link gatherRows}: y [M, D] into rows idx of a zero tensor [rows, D]. */
export function scatterRows(tape: Tape, y: Tensor, idx: Tensor, rows: number): Tensor {
  const m = idx.numel;
  const cols = y.numel / m;
  const x = y.device.empty(y.shape.length === 1 ? [rows] : [rows, cols], y.dtype);
  y.device.run("scatter_rows", { y, idx, x, rows: m, cols, x_rows: rows });
  if (!tape.needs(y)) return x;
  tape.push([x], () => {
    const dy = y.device.empty(y.shape, y.dtype);
    y.device.run("gather_rows", { x: x.grad!, idx, y: dy, rows: m, cols });
    tape.accumulate(y, dy);
  });
  return x;
}
