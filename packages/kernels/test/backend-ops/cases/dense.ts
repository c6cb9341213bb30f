// Cases of the matrix product, norm, rope, MLP and the language-model head.
import { added, given, input, normal, type OpCase, output } from "../case.ts";

interface Gemm {
  name: string;
  m: number;
  n: number;
  k: number;
  transA?: boolean;
  transB?: boolean;
  alpha?: number;
  beta?: number;
  bias?: boolean;
  residual?: boolean;
  pad?: number;
  perfOnly?: boolean;
}

function gemm(c: Gemm): OpCase {
  const pad = c.pad ?? 0;
  const a = c.transA ? [c.k, c.m + pad] : [c.m, c.k + pad];
  const b = c.transB ? [c.n, c.k + pad] : [c.k, c.n + pad];
  const out = [c.m, c.n + pad];
  const beta = c.beta ?? 0;
  // Padding columns of C have to stay as they were, so a padded C is read and written.
  return {
    op: "gemm",
    name: c.name,
    perfOnly: c.perfOnly ?? false,
    flops: 2 * c.m * c.n * c.k,
    buffers: {
      a: input(1, a),
      b: input(2, b, 0.3),
      c: beta !== 0 || pad ? added(3, out) : output(out),
      ...(c.bias ? { bias: input(4, [c.n]) } : {}),
      ...(c.residual ? { residual: input(5, out) } : {}),
    },
    numbers: {
      m: c.m,
      n: c.n,
      k: c.k,
      lda: a[1]!,
      ldb: b[1]!,
      ldc: out[1]!,
      trans_a: c.transA ? 1 : 0,
      trans_b: c.transB ? 1 : 0,
      alpha: c.alpha ?? 1,
      beta,
    },
  };
}

const layouts = [false, true].flatMap((transA) =>
  [false, true].map((transB) =>
    gemm({
      name: `layout ${transA ? "T" : "N"}${transB ? "T" : "N"}`,
      m: 251,
      n: 270,
      k: 300,
      transA,
      transB,
      pad: 3,
    }),
  ),
);

/** As a decode step has: rows of one to four tiles, ragged columns and depth. */
const fewRows = (
  [
    [1, 34, 72],
    [16, 66, 640],
    [17, 50, 136],
    [33, 140, 200],
    [64, 4300, 128],
  ] as const
).flatMap(([m, n, k]) =>
  [false, true].map((residual) =>
    gemm({ name: `${m} rows${residual ? ", residual" : ""}`, m, n, k, transB: true, residual }),
  ),
);

interface Norm {
  accumulate?: boolean;
  /** Columns of x past the heads. */
  pad?: number;
  perfOnly?: boolean;
}

function norm(rows: number, heads: number, cols: number, options: Norm = {}): OpCase[] {
  const { accumulate = false, pad = 5, perfOnly = false } = options;
  const [ldx, ldy] = [heads * cols + pad, heads * cols];
  const x = normal(1, rows * ldx);
  const rstd = Float64Array.from({ length: rows * heads }, (_, i) => {
    const at = Math.floor(i / heads) * ldx + (i % heads) * cols;
    return 1 / Math.sqrt(x.subarray(at, at + cols).reduce((a, v) => a + v * v, 0) / cols + 1e-6);
  });
  const numbers = { rows, heads, cols, ldx, ldy };
  const shared = { x: given(x, "float", [rows, ldx]), w: input(2, [cols]) };
  const name = `${rows}x${heads}x${cols}${accumulate ? " accumulated" : ""}`;
  return [
    {
      op: "rms_norm_fwd",
      name,
      perfOnly,
      buffers: { ...shared, y: output([rows, ldy]), rstd: output([rows, heads], "f32") },
      numbers: { ...numbers, eps: 1e-6 },
    },
    {
      op: "rms_norm_bwd",
      name,
      perfOnly,
      backward: true,
      buffers: {
        ...shared,
        dy: input(3, [rows, ldy]),
        rstd: given(rstd, "f32", [rows, heads]),
        dx: added(4, [rows, ldx]),
        dw: added(5, [cols], "f32"),
      },
      numbers: { ...numbers, accumulate: Number(accumulate) },
    },
  ];
}

function rope(rows: number, rot: number, inverse: number, perfOnly = false): OpCase {
  const [heads, dim, half] = [4, 64, rot / 2];
  const angle = (i: number) => Math.floor(i / half) * 10 ** -((i % half) / half);
  const table = (f: (a: number) => number) =>
    Float64Array.from({ length: 512 * half }, (_, i) => f(angle(i)));
  return {
    op: "rope",
    name: `${rows} rows, ${rot} of ${dim}${inverse ? " inverse" : ""}`,
    perfOnly,
    buffers: {
      x: input(1, [rows, heads * dim]),
      y: output([rows, heads * dim]),
      cos: given(table(Math.cos), "f32", [512, half]),
      sin: given(table(Math.sin), "f32", [512, half]),
      positions: given(
        Int32Array.from({ length: rows }, (_, i) => (i * 7) % 512),
        "i32",
      ),
    },
    numbers: { rows, heads, head_dim: dim, rot_dim: rot, ldx: heads * dim, ldy: heads * dim, inverse },
  };
}

function swiglu(rows: number, cols: number, perfOnly = false): OpCase[] {
  const gu = input(1, [rows, 2 * cols], 2);
  const name = `${rows}x${cols}`;
  const numbers = { rows, cols };
  return [
    { op: "swiglu_fwd", name, perfOnly, buffers: { gu, y: output([rows, cols]) }, numbers },
    {
      op: "swiglu_bwd",
      name,
      perfOnly,
      backward: true,
      buffers: { gu, dy: input(2, [rows, cols]), dgu: output([rows, 2 * cols]) },
      numbers,
    },
    {
      op: "swiglu_bwd",
      name: `${name}, y again`,
      perfOnly,
      backward: true,
      buffers: { gu, dy: input(2, [rows, cols]), dgu: output([rows, 2 * cols]), y: output([rows, cols]) },
      numbers,
    },
  ];
}

function lmHead(n: number, d: number, v: number, keep: boolean, perfOnly = false): OpCase[] {
  const [h, w] = [normal(1, n * d), normal(2, v * d, 2 / Math.sqrt(d))];
  const targets = Int32Array.from({ length: n }, (_, i) => (i % 5 === 2 ? -1 : (i * 7919) % v));
  const scale = 1 / 0.8;
  const [lse, entropy] = [new Float64Array(n), new Float64Array(n)];
  const logits = new Float64Array(perfOnly ? 0 : n * v);
  for (let r = 0; r < n && !perfOnly; r++) {
    let [sum, mean] = [0, 0];
    for (let j = 0; j < v; j++) {
      let z = 0;
      for (let c = 0; c < d; c++) z += h[r * d + c]! * w[j * d + c]!;
      logits[r * v + j] = z * scale;
      sum += Math.exp(z * scale);
      mean += Math.exp(z * scale) * z * scale;
    }
    lse[r] = Math.log(sum);
    entropy[r] = lse[r]! - mean / sum;
  }
  const shared = {
    h: given(h, "float", [n, d]),
    w: given(w, "float", [v, d]),
    targets: given(targets, "i32"),
  };
  const numbers = { n, d, v, inv_temperature: scale };
  const name = `${n}x${d}x${v}${keep ? " kept logits" : ""}`;
  const column = () => output([n], "f32");
  return [
    {
      op: "lm_head_fwd",
      name,
      perfOnly,
      flops: 2 * n * d * v,
      buffers: {
        ...shared,
        logp: column(),
        lse: column(),
        entropy: column(),
        ...(keep ? { logits: output([n, v], "f32") } : {}),
      },
      numbers,
    },
    {
      op: "lm_head_fwd",
      name: `${name}, known slope`,
      perfOnly,
      backward: true,
      flops: 6 * n * d * v,
      buffers: {
        ...shared,
        logp: column(),
        lse: column(),
        entropy: column(),
        dlogp: input(3, [n], 1, "f32"),
        dh: output([n, d]),
        dw: added(6, [v, d], "f32"),
      },
      numbers,
    },
    {
      op: "lm_head_bwd",
      name,
      perfOnly,
      backward: true,
      flops: (keep ? 4 : 6) * n * d * v,
      buffers: {
        ...shared,
        lse: given(lse, "f32"),
        entropy: given(entropy, "f32"),
        ...(keep ? { logits: given(logits, "f32", [n, v]) } : {}),
        dlogp: input(3, [n], 1, "f32"),
        dlse: input(4, [n], 0.3, "f32"),
        dentropy: input(5, [n], 0.3, "f32"),
        dh: output([n, d]),
        dw: added(6, [v, d], "f32"),
      },
      numbers,
    },
  ];
}

export const denseCases: OpCase[] = [
  ...layouts,
  ...fewRows,
  gemm({ name: "one row", m: 1, n: 515, k: 700, transB: true }),
  gemm({ name: "one of each", m: 1, n: 1, k: 1 }),
  gemm({ name: "13 rows, bias", m: 13, n: 100, k: 64, transB: true, bias: true }),
  gemm({
    name: "bias, residual, alpha, beta",
    m: 37,
    n: 41,
    k: 513,
    transB: true,
    bias: true,
    residual: true,
    alpha: 0.5,
    beta: 2,
  }),
  gemm({ name: "whole tiles", m: 128, n: 192, k: 320, transB: true, residual: true }),
  gemm({ name: "whole tiles, sum", m: 128, n: 192, k: 320, transA: true, beta: 1 }),
  gemm({ name: "512 cubed", m: 512, n: 512, k: 512, transB: true, perfOnly: true }),
  gemm({ name: "1024 cubed NN", m: 1024, n: 1024, k: 1024, perfOnly: true }),
  gemm({ name: "1024 cubed TN", m: 1024, n: 1024, k: 1024, transA: true, perfOnly: true }),
  gemm({ name: "1024 cubed NT", m: 1024, n: 1024, k: 1024, transB: true, perfOnly: true }),
  gemm({ name: "decode 1x2048x2048", m: 1, n: 2048, k: 2048, transB: true, perfOnly: true }),
  gemm({ name: "decode 16x2048x2048", m: 16, n: 2048, k: 2048, transB: true, perfOnly: true }),
  ...norm(67, 1, 97),
  ...norm(33, 4, 64, { accumulate: true }),
  // Rows of whole 16-byte vectors: one to four a lane of a warp, then a block a row.
  ...norm(45, 3, 64, { accumulate: true, pad: 64 }),
  ...norm(37, 1, 376, { pad: 8 }),
  ...norm(21, 1, 640, { pad: 0 }),
  ...norm(19, 1, 1000, { accumulate: true, pad: 0 }),
  ...norm(11, 1, 2080, { pad: 0 }),
  ...norm(2048, 1, 1024, { perfOnly: true }),
  ...norm(16_384, 1, 1024, { pad: 0, perfOnly: true }),
  ...norm(8192, 1, 2048, { pad: 0, perfOnly: true }),
  rope(70, 64, 0),
  rope(70, 24, 1),
  rope(4096, 64, 0, true),
  ...swiglu(45, 77),
  ...swiglu(45, 80),
  ...swiglu(1024, 1024, true),
  ...lmHead(20, 48, 2101, false),
  ...lmHead(3, 16, 33003, false),
  ...lmHead(9, 32, 300, true),
  ...lmHead(12, 32, 2048, false),
  ...lmHead(512, 512, 8192, false, true),
];
