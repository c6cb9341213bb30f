// The dense ops of the CPU backend against the double oracle, and their independence of rows and threads.
import { afterAll, expect, test } from "vitest";
import { needs } from "../../core/test/needs.ts";
import { Device, type OpArgs, type Tensor } from "../src/index.ts";
import { isCpu, openBackend } from "./backend.ts";

const reference = Device.open("reference");
const one = openBackend({ threads: 1 });
const two = openBackend({ threads: 2 });
afterAll(() => {
  for (const d of [reference, one, two]) d.close();
});

let seed = 1;
/** Numbers that look like activations, from a small generator that no backend shares. */
function values(n: number): Float32Array {
  const out = new Float32Array(n);
  for (let i = 0; i < n; i++) {
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
    out[i] = (seed / 2 ** 32 - 0.5) * 3;
  }
  return out;
}

interface Case {
  ints: Record<string, number>;
  inputs: Record<string, Float32Array | Int32Array>;
  outputs: Record<string, number>;
}

/** Runs the op with poisoned outputs (or given starting values) and reads the outputs back. */
function run(device: Device, op: string, c: Case): Record<string, Float64Array> {
  using _scope = device.scope();
  const args: OpArgs = { ...c.ints };
  const float = device.name === "reference" ? "f64" : "f32";
  for (const [name, v] of Object.entries(c.inputs)) {
    args[name] = device.from(v, [v.length], v instanceof Int32Array ? "i32" : float);
  }
  const start = Object.keys(c.outputs).filter((n) => n in c.inputs);
  for (const [name, n] of Object.entries(c.outputs)) {
    if (!start.includes(name)) args[name] = device.full([n], float, Number.NaN);
  }
  device.run(op, args);
  return Object.fromEntries(Object.keys(c.outputs).map((n) => [n, (args[n] as Tensor).read()]));
}

function check(op: string, c: Case): void {
  const want = run(reference, op, c);
  const got = run(one, op, c);
  const again = run(two, op, c);
  for (const name of Object.keys(want)) {
    let err = 0;
    let norm = 0;
    for (let i = 0; i < want[name]!.length; i++) {
      err += (got[name]![i]! - want[name]![i]!) ** 2;
      norm += want[name]![i]! ** 2;
    }
    expect(Math.sqrt(err / (norm + 1e-30)), `${op}.${name}`).toBeLessThan(1e-5);
    expect(again[name], `${op}.${name} at two threads`).toEqual(got[name]);
  }
}

test("gemm_matches_the_oracle_for_every_transpose_and_ragged_size", () => {
  for (const [m, n, k] of [
    [1, 1, 1],
    [1, 70, 33],
    [5, 3, 700],
    [97, 131, 65],
    [200, 40, 1030],
  ] as const) {
    for (const ta of [0, 1]) {
      for (const tb of [0, 1]) {
        const ints = {
          m,
          n,
          k,
          lda: ta ? m : k,
          ldb: tb ? k : n,
          ldc: n,
          trans_a: ta,
          trans_b: tb,
          alpha: 0.7,
          beta: 1,
        };
        const inputs = {
          a: values(m * k),
          b: values(n * k),
          c: values(m * n),
          bias: values(n),
          residual: values(m * n),
        };
        check("gemm", { ints, inputs, outputs: { c: m * n } });
      }
    }
  }
});

needs(isCpu, "a promise of the CPU backend only")(
  "a_row_of_gemm_has_the_same_bits_alone_and_among_many",
  () => {
    const [m, n, k] = [130, 77, 900];
    const a = values(m * k);
    const b = values(n * k);
    const ints = { n, k, lda: k, ldb: k, ldc: n, trans_a: 0, trans_b: 1, alpha: 1, beta: 0 };
    const all = run(two, "gemm", { ints: { ...ints, m }, inputs: { a, b }, outputs: { c: m * n } }).c!;
    for (const row of [0, 63, 129]) {
      const alone = run(one, "gemm", {
        ints: { ...ints, m: 1 },
        inputs: { a: a.subarray(row * k, (row + 1) * k), b },
        outputs: { c: n },
      }).c!;
      expect(alone).toEqual(all.subarray(row * n, (row + 1) * n));
    }
  },
);

test("norms_rope_and_swiglu_match_the_oracle_forward_and_backward", () => {
  const [rows, heads, cols] = [130, 3, 40];
  const wide = rows * heads * cols;
  const ints = { rows, heads, cols, ldx: heads * cols, ldy: heads * cols };
  const x = values(wide);
  const w = values(cols);
  check("rms_norm_fwd", {
    ints: { ...ints, eps: 1e-5 },
    inputs: { x, w },
    outputs: { y: wide, rstd: rows * heads },
  });
  const rstd = Float32Array.from(
    run(reference, "rms_norm_fwd", {
      ints: { ...ints, eps: 1e-5 },
      inputs: { x, w },
      outputs: { y: wide, rstd: rows * heads },
    }).rstd!,
  );
  check("rms_norm_bwd", {
    ints: { ...ints, accumulate: 1 },
    inputs: { dy: values(wide), x, w, rstd, dx: values(wide), dw: values(cols) },
    outputs: { dx: wide, dw: cols },
  });
  const positions = Int32Array.from({ length: rows }, (_, i) => i % 50);
  for (const inverse of [0, 1]) {
    const rope = { rows, heads, head_dim: cols, rot_dim: 32, ldx: heads * cols, ldy: heads * cols, inverse };
    check("rope", {
      ints: rope,
      inputs: { x, positions, cos: values(50 * 16), sin: values(50 * 16) },
      outputs: { y: wide },
    });
  }
  const gu = values(rows * 2 * 70);
  check("swiglu_fwd", { ints: { rows, cols: 70 }, inputs: { gu }, outputs: { y: rows * 70 } });
  check("swiglu_bwd", {
    ints: { rows, cols: 70 },
    inputs: { gu, dy: values(rows * 70) },
    outputs: { dgu: rows * 140 },
  });
});

test("lm_head_and_adamw_match_the_oracle", () => {
  const [n, d, v] = [110, 24, 333];
  const targets = Int32Array.from({ length: n }, (_, i) => (i % 7 === 0 ? -1 : (i * 37) % v));
  const base = { h: values(n * d), w: values(v * d), targets };
  const ints = { n, d, v, inv_temperature: 1.3 };
  const shapes = { logp: n, lse: n, entropy: n };
  check("lm_head_fwd", { ints, inputs: base, outputs: shapes });
  const fwd = run(reference, "lm_head_fwd", { ints, inputs: base, outputs: shapes });
  check("lm_head_bwd", {
    ints,
    inputs: {
      ...base,
      lse: Float32Array.from(fwd.lse!),
      entropy: Float32Array.from(fwd.entropy!),
      dlogp: values(n),
      dlse: values(n),
      dentropy: values(n),
      dw: values(v * d),
    },
    outputs: { dh: n * d, dw: v * d },
  });
  const state = Float32Array.of(1e-2, 3, 0.5, 0, 1, 0, 0, 0);
  const m = values(1000);
  check("adamw", {
    ints: { lr_mult: 1, beta1: 0.9, beta2: 0.95, eps: 1e-8, weight_decay: 0.1, seed: 1 },
    inputs: { p: values(1000), g: values(1000), m, v: m.map((x) => x * x), state },
    outputs: { p: 1000, m: 1000, v: 1000 },
  });
  check("embedding_bwd", {
    ints: { tokens: n, vocab: v, d },
    inputs: { dy: values(n * d), ids: targets, dw: values(v * d) },
    outputs: { dw: v * d },
  });
});
