// Forward and backward pairs for mode `grad`.
import { normal } from "../case.ts";
import type { GradCase } from "../grad.ts";

const leaf = (seed: number, shape: number[], std = 1) => ({
  shape,
  values: normal(
    seed,
    shape.reduce((a, b) => a * b, 1),
    std,
  ),
});

const smoothUnary = [0, 1, 2, 3, 4, 5, 6, 8, 9, 11];

const unary = smoothUnary.map((kind): GradCase => {
  const x = leaf(kind + 1, [40]);
  if (kind === 2 || kind === 5 || kind === 6) x.values = x.values.map((v) => Math.abs(v) + 0.5);
  return {
    name: `unary ${kind}`,
    inputs: { x },
    outputs: { y: [40] },
    forward(device, { x }, { y }) {
      device.run("unary", { x, y, kind });
      return {};
    },
    backward(device, { x }, { y }, _saved, { y: dy }, { x: dx }) {
      device.run("unary_bwd", { x, y, dy, dx, kind });
    },
  };
});

const norm: GradCase = (() => {
  const sizes = { rows: 5, heads: 2, cols: 7, ldx: 14, ldy: 14 };
  return {
    name: "rms_norm",
    inputs: { x: leaf(1, [5, 14]), w: leaf(2, [7]) },
    outputs: { y: [5, 14] },
    forward(device, { x, w }, { y }) {
      const rstd = device.empty([5, 2], "f64");
      device.run("rms_norm_fwd", { x, w, y, rstd, ...sizes, eps: 1e-6 });
      return { rstd };
    },
    backward(device, { x, w }, _out, { rstd }, { y: dy }, { x: dx, w: dw }) {
      device.run("rms_norm_bwd", { dy, x, w, rstd, dx, dw, ...sizes, accumulate: 0 });
    },
  };
})();

const rope: GradCase = (() => {
  const sizes = { rows: 3, heads: 2, head_dim: 10, rot_dim: 8, ldx: 20, ldy: 20 };
  const tables = (device: Parameters<GradCase["forward"]>[0]) => {
    const angles = Array.from({ length: 24 }, (_, i) => 0.3 * i);
    return {
      cos: device.from(angles.map(Math.cos), [6, 4], "f64"),
      sin: device.from(angles.map(Math.sin), [6, 4], "f64"),
      positions: device.from([5, 0, 2], [3], "i32"),
    };
  };
  return {
    name: "rope",
    inputs: { x: leaf(1, [3, 20]) },
    outputs: { y: [3, 20] },
    forward(device, { x }, { y }) {
      const saved = tables(device);
      device.run("rope", { x, y, ...saved, ...sizes, inverse: 0 });
      return saved;
    },
    backward(device, _in, _out, saved, { y: dy }, { x: dx }) {
      device.run("rope", { x: dy, y: dx, ...saved, ...sizes, inverse: 1 });
    },
  };
})();

const swiglu: GradCase = {
  name: "swiglu",
  inputs: { gu: leaf(1, [4, 12]) },
  outputs: { y: [4, 6] },
  forward(device, { gu }, { y }) {
    device.run("swiglu_fwd", { gu, y, rows: 4, cols: 6 });
    return {};
  },
  backward(device, { gu }, _out, _saved, { y: dy }, { gu: dgu }) {
    device.run("swiglu_bwd", { dy, gu, dgu, rows: 4, cols: 6 });
  },
};

const linear: GradCase = {
  name: "gemm as a linear layer",
  inputs: { x: leaf(1, [5, 6]), w: leaf(2, [4, 6]), bias: leaf(3, [4]) },
  outputs: { y: [5, 4] },
  forward(device, { x, w, bias }, { y }) {
    const layout = { lda: 6, ldb: 6, ldc: 4, trans_a: 0, trans_b: 1, alpha: 1, beta: 0 };
    device.run("gemm", { a: x, b: w, c: y, bias, m: 5, n: 4, k: 6, ...layout });
    return {};
  },
  backward(device, { x, w }, _out, _saved, { y: dy }, { x: dx, w: dw, bias: dbias }) {
    const plain = { alpha: 1, beta: 0, trans_b: 0, ldb: 6, ldc: 6, lda: 4, n: 6 };
    device.run("gemm", { a: dy, b: w, c: dx, m: 5, k: 4, trans_a: 0, ...plain });
    device.run("gemm", { a: dy, b: x, c: dw, m: 4, k: 5, trans_a: 1, ...plain });
    device.run("col_sum", { x: dy, y: dbias, rows: 5, cols: 4 });
  },
};

const embedding: GradCase = {
  name: "embedding",
  inputs: { w: leaf(1, [5, 4]) },
  outputs: { y: [7, 4] },
  forward(device, { w }, { y }) {
    const ids = device.from([1, 4, 1, -1, 0, 1, 3], [7], "i32");
    device.run("gather_rows", { x: w, idx: ids, y, rows: 7, cols: 4 });
    return { ids };
  },
  backward(device, _in, _out, { ids }, { y: dy }, { w: dw }) {
    device.run("embedding_bwd", { dy, ids, dw, tokens: 7, vocab: 5, d: 4 });
  },
};

const lmHead: GradCase = (() => {
  const sizes = { n: 5, d: 6, v: 9, inv_temperature: 1.4 };
  return {
    name: "lm_head",
    inputs: { h: leaf(1, [5, 6]), w: leaf(2, [9, 6]) },
    outputs: { logp: [5], lse: [5], entropy: [5] },
    forward(device, { h, w }, out) {
      const targets = device.from([0, 8, -1, 3, 3], [5], "i32");
      device.run("lm_head_fwd", { h, w, targets, ...out, ...sizes });
      return { targets };
    },
    backward(device, { h, w }, { lse, entropy }, { targets }, dout, { h: dh, w: dw }) {
      const { logp: dlogp, lse: dlse, entropy: dentropy } = dout;
      device.run("lm_head_bwd", { h, w, targets, lse, entropy, dlogp, dlse, dentropy, dh, dw, ...sizes });
    },
  };
})();

export const gradCases: GradCase[] = [...unary, norm, rope, swiglu, linear, embedding, lmHead];
