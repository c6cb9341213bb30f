// Every case of the tester on the CPU backend, its bits at one and two threads, and the reference's gradients.

import { philox4x32, uniformOf } from "@nsa/core";
import { afterAll, describe, expect, test } from "vitest";
import { needs } from "../../core/test/needs.ts";
import { Device, type Tensor } from "../src/index.ts";
import { isCpu, openBackend } from "./backend.ts";
import { normal } from "./backend-ops/case.ts";
import { gradCases } from "./backend-ops/cases/grad.ts";
import { cases } from "./backend-ops/cases/index.ts";
import { bitDifferences, check } from "./backend-ops/compare.ts";
import { gradErrors } from "./backend-ops/grad.ts";

const reference = Device.open("reference");
const one = openBackend({ threads: 1 });
const two = openBackend({ threads: 2 });
afterAll(() => {
  for (const device of [reference, one, two]) device.close();
});

const small = cases.filter((c) => !c.perfOnly);
const everyCase = small.flatMap((c) =>
  (c.dtypes ?? (["f32", "bf16"] as const)).map((dtype) => ({ c, dtype })),
);

describe("the_cpu_equals_the_reference", () => {
  for (const { c, dtype } of everyCase) {
    test(`${c.op} ${c.name} ${dtype}`, () => expect(check(c, dtype, two, reference)).toEqual([]));
  }
});

test("bits_are_equal_at_one_and_two_threads", () => {
  const differing = everyCase.filter(({ c, dtype }) => bitDifferences(c, dtype, one, two).length > 0);
  expect(differing.map(({ c, dtype }) => `${c.op} ${c.name} ${dtype}`)).toEqual([]);
});

describe("gradients_equal_central_differences", () => {
  for (const c of gradCases) {
    test(c.name, () => {
      for (const [name, error] of Object.entries(gradErrors(c, reference))) {
        expect(error, name).toBeLessThanOrEqual(1e-6);
      }
    });
  }
});

test("normals_are_those_of_philox_in_typescript", () => {
  const x = reference.empty([7], "f64");
  const [seed, stream, step] = [2 ** 33 + 5, 4, 11];
  reference.run("philox_normal", { x, seed, stream, step, mean: 0, std: 1 });
  const want = Float64Array.from({ length: 7 }, (_, i) => {
    const words = philox4x32(seed, [stream, step, Math.floor(i / 2), 0]);
    const radius = Math.sqrt(-2 * Math.log(uniformOf(words[0]!)));
    const angle = 2 * Math.PI * uniformOf(words[1]!);
    return radius * (i % 2 ? Math.sin(angle) : Math.cos(angle));
  });
  x.read().forEach((value, i) => {
    expect(value).toBeCloseTo(want[i]!, 13);
  });
});

needs(isCpu, "a promise of the CPU backend only")(
  "a_row_of_a_product_does_not_depend_on_the_other_rows",
  () => {
    const [m, n, k] = [29, 200, 700];
    const b = two.from(normal(2, n * k), [n, k], "f32");
    const a = two.from(normal(1, m * k), [m, k], "f32");
    const product = (rows: number, offset: number) => {
      const c = two.empty([rows, n], "f32");
      const layout = { lda: k, ldb: k, ldc: n, trans_a: 0, trans_b: 1, alpha: 1, beta: 0 };
      two.run("gemm", { a: two.view(a, offset * k, [rows, k]), b, c, m: rows, n, k, ...layout });
      return c.read();
    };
    const all = product(m, 0);
    for (const row of [0, 12, 28]) expect(product(1, row)).toEqual(all.slice(row * n, (row + 1) * n));
  },
);

/** o, lse and dq of one document of `rows` queries behind another of `before`: q, k, v and the selected blocks do not depend on `before`. */
function selectedAttention(before: number, rows: number) {
  const [hq, hkv, d, block, n] = [8, 2, 64, 16, 4];
  const T = before + rows;
  const at = (seed: number, width: number) => {
    const values = [...normal(seed + 50, before * width), ...normal(seed, rows * width)];
    return two.from(values, [T, width], "bf16");
  };
  const idx = new Int32Array(T * hkv * n).fill(-1);
  for (let t = 0; t < rows; t++) {
    const own = Math.floor(t / block);
    const chosen = new Set([own, 0, Math.abs(own - 1), (t * 5) % (own + 1)]);
    for (let kv = 0; kv < hkv; kv++)
      idx.set(
        [...chosen].sort((a, b) => a - b),
        ((before + t) * hkv + kv) * n,
      );
  }
  const shared = {
    q: at(1, hq * d),
    k: at(2, hkv * d),
    v: at(3, hkv * d),
    idx: two.from(idx, [idx.length], "i32"),
    cu_seqlens: two.from([0, before, T], [3], "i32"),
    o: two.empty([T, hq * d], "bf16"),
    lse: two.empty([T, hq], "f32"),
  };
  const sizes = {
    tokens: T,
    hq,
    hkv,
    dim_k: d,
    dim_v: d,
    ldq: hq * d,
    ldk: hkv * d,
    ldv: hkv * d,
    ldo: hq * d,
  };
  const numbers = { ...sizes, n_docs: 2, selection_block_size: block, num_selected: n, scale: 0.125 };
  const [dq, dk, dv] = [shared.q, shared.k, shared.v].map((t) => two.empty(t.shape, "bf16"));
  two.run("nsa_selected_fwd", { ...shared, ...numbers });
  two.run("nsa_selected_bwd", { ...shared, do_: at(4, hq * d), dq, dk, dv, ...numbers, accumulate: 0 });
  return [shared.o, shared.lse, dq!].map((t) => t.read().slice((before * t.numel) / T));
}

test("selected_attention_of_a_query_does_not_depend_on_its_neighbours", () => {
  const alone = selectedAttention(0, 77);
  for (const before of [1, 5, 12]) expect(selectedAttention(before, 77)).toEqual(alone);
});

test.each([0.95, 1])("a_draw_does_not_depend_on_the_batch_top_p_%d", (topP) => {
  const v = 5000;
  const logits = normal(3, 3 * v, 2);
  const draw = (rows: number[]) => {
    const b = rows.length;
    const values = rows.flatMap((r) => [...logits.subarray(r * v, (r + 1) * v)]);
    const out = {
      ids: two.empty([b], "i32"),
      logp: two.empty([b], "f32"),
      kept_logmass: two.empty([b], "f32"),
    };
    two.run("sample", {
      logits: two.from(values, [b, v], "f32"),
      params: two.from(
        rows.flatMap(() => [0.9, topP, 0, 0]),
        [b, 4],
        "f32",
      ),
      seeds: two.from(
        rows.map((r) => r),
        [b],
        "i64",
      ),
      request: two.from(
        rows.map((r) => r + 4),
        [b],
        "i32",
      ),
      position: two.from(
        rows.map(() => 8),
        [b],
        "i32",
      ),
      ...out,
      b,
      v,
    });
    return [...out.ids.read()].map((id, i) => [id, out.logp.read()[i], out.kept_logmass.read()[i]]);
  };
  const together = draw([0, 1, 2]);
  expect([draw([2])[0], draw([1])[0], draw([0])[0]]).toEqual([together[2], together[1], together[0]]);
});

test("draws_follow_the_softmax", () => {
  const [v, b] = [5, 20_000];
  const z = [0, 1, 2, -1, 0.5];
  const ids = two.empty([b], "i32");
  const rest = { logp: two.empty([b], "f32"), kept_logmass: two.empty([b], "f32") };
  two.run("sample", {
    logits: two.from(Array.from({ length: b }, () => z).flat(), [b, v], "f32"),
    params: two.from(Array.from({ length: b }, () => [1, 1, 0, 0]).flat(), [b, 4], "f32"),
    seeds: two.from(new Float64Array(b).fill(9), [b], "i64"),
    request: two.from(new Float64Array(b), [b], "i32"),
    position: two.from(
      Float64Array.from({ length: b }, (_, i) => i),
      [b],
      "i32",
    ),
    ids,
    ...rest,
    b,
    v,
  });
  const counts = new Float64Array(v);
  for (const id of ids.read()) counts[id]! += 1 / b;
  const sum = z.reduce((a, x) => a + Math.exp(x), 0);
  // Five standard deviations of a frequency near one half.
  for (let j = 0; j < v; j++)
    expect(Math.abs(counts[j]! - Math.exp(z[j]!) / sum)).toBeLessThan(5 * Math.sqrt(0.25 / b));
});

test("stochastic_rounding_of_moments_is_unbiased_and_repeats", () => {
  const n = 40_000;
  const step = (device: Device) => {
    const m = device.zeros([n], "bf16");
    device.run("adamw", {
      p: device.zeros([n], "f32"),
      g: device.full([n], "f32", 1.001),
      m,
      v: device.zeros([n], "bf16"),
      state: device.from([1e-3, 1, 1, 0, 0, 0, 0, 0], [8], "f32"),
      lr_mult: 1,
      beta1: 0.9,
      beta2: 0.95,
      eps: 1e-8,
      weight_decay: 0,
      seed: 3,
    });
    return m.read();
  };
  const a = step(two);
  expect(step(one)).toEqual(a);
  expect(new Set(a).size).toBe(2);
  const mean = a.reduce((s, x) => s + x, 0) / n;
  expect(Math.abs(mean / 0.1001 - 1)).toBeLessThan(2e-4);
});

test("moments_in_bf16_are_those_of_the_oracle_up_to_rounding_at_the_edge", () => {
  const n = 20_001;
  const step = (device: Device) => {
    const of = (values: ArrayLike<number>, dtype: "f32" | "bf16") => device.from(values, [n], dtype);
    const p = of(normal(1, n), "f32");
    const m = of(normal(3, n, 0.1), "bf16");
    const v = of(
      normal(4, n).map((x) => x * x * 1e-3),
      "bf16",
    );
    const low = device.empty([n], "bf16");
    device.run("adamw", {
      p,
      g: of(normal(2, n), "f32"),
      m,
      v,
      p_low: low,
      state: device.from([3e-4, 7, 0.6, 0, 1.3, 0, 0, 0], [8], "f32"),
      lr_mult: 1,
      beta1: 0.9,
      beta2: 0.95,
      eps: 1e-8,
      weight_decay: 0.1,
      seed: 0xdead_beef,
    });
    return [m.read(), v.read(), p.read()] as const;
  };
  const [fast, exact] = [step(two), step(reference)];
  for (const k of [0, 1] as const) {
    let other = 0;
    for (let i = 0; i < n; i++) {
      const [a, b] = [fast[k][i]!, exact[k][i]!];
      if (a === b) continue;
      other++;
      // The sum of value and random bits lay at the border of two neighbours.
      expect(Math.abs(a - b)).toBeLessThanOrEqual(Math.abs(b) * 2 ** -7);
    }
    expect(other / n).toBeLessThan(2e-3);
  }
  const worst = fast[2].reduce((w, x, i) => Math.max(w, Math.abs(x - exact[2][i]!)), 0);
  expect(worst).toBeLessThan(1e-6);
});

test("ops_that_allow_it_give_the_same_result_in_place", () => {
  const [rows, cols] = [37, 96];
  const size = rows * cols;
  for (const dtype of ["f32", "bf16"] as const) {
    const fresh = (seed: number) => two.from(normal(seed, size), [rows, cols], dtype);
    const out = () => two.empty([rows, cols], dtype);
    const [a, b, w] = [fresh(1), fresh(2), two.from(normal(3, cols), [cols], dtype)];
    const rstd = two.empty([rows], "f32");
    const plain = { rows, heads: 1, cols, ldx: cols, ldy: cols };
    const angles = normal(4, 8 * 16);
    const turns = {
      cos: two.from(angles.map(Math.cos), [8, 16], "f32"),
      sin: two.from(angles.map(Math.sin), [8, 16], "f32"),
      positions: two.from(
        Array.from({ length: rows }, (_, i) => i % 8),
        [rows],
        "i32",
      ),
    };
    const heads = { rows, heads: 2, head_dim: 48, rot_dim: 32, ldx: cols, ldy: cols, inverse: 0 };
    const bodies: [string, (y: Tensor, x: Tensor) => void][] = [
      ["add", (y, x) => two.run("add", { a: x, b, y, alpha: 2, beta: 3 })],
      ["unary", (y, x) => two.run("unary", { x, y, kind: 9 })],
      ["binary", (y, x) => two.run("binary", { a: x, b, y, kind: 3 })],
      ["rms_norm_fwd", (y, x) => two.run("rms_norm_fwd", { x, w, y, rstd, ...plain, eps: 1e-6 })],
      ["rope", (y, x) => two.run("rope", { x, y, ...turns, ...heads })],
      [
        "rms_norm_bwd",
        (dx, dy) => {
          const dw = two.zeros([cols], "f32");
          two.run("rms_norm_bwd", { dy, x: a, w, rstd, dx, dw, ...plain, accumulate: 0 });
        },
      ],
    ];
    for (const [name, body] of bodies) {
      const [y, x] = [out(), fresh(1)];
      body(y, x);
      body(x, x);
      expect(x.read(), `${name} ${dtype}`).toEqual(y.read());
    }
  }
});

test("tensors_that_are_too_short_are_refused", () => {
  const t = (...shape: number[]) => two.zeros(shape, "f32");
  const i = (...values: number[]) => two.from(values, [values.length], "i32");
  const norm = { w: t(8), rstd: t(4), rows: 4, heads: 1, cols: 8, ldx: 8, ldy: 8 };
  const head = { w: t(10, 8), lse: t(4), entropy: t(4), n: 4, d: 8, v: 10, inv_temperature: 1 };
  const layout = { lda: 8, ldb: 8, ldc: 4, trans_a: 0, trans_b: 1, alpha: 1, beta: 0 };
  const bad: [string, () => void][] = [
    ["rms_norm_fwd", () => two.run("rms_norm_fwd", { ...norm, x: t(3, 8), y: t(4, 8), eps: 1e-6 })],
    [
      "lm_head_fwd",
      () => two.run("lm_head_fwd", { ...head, h: t(3, 8), logp: t(4), targets: i(0, 1, 2, 3) }),
    ],
    [
      "lm_head_fwd target",
      () => two.run("lm_head_fwd", { ...head, h: t(4, 8), logp: t(4), targets: i(0, 1, 2, 10) }),
    ],
    ["gemm", () => two.run("gemm", { a: t(4, 8), b: t(4, 7), c: t(4, 4), m: 4, n: 4, k: 8, ...layout })],
    ["gather_rows", () => two.run("gather_rows", { x: t(3, 2), idx: i(3), y: t(1, 2), rows: 1, cols: 2 })],
  ];
  const paged = {
    q: t(2, 8),
    k_cache: t(16, 8),
    v_cache: t(16, 8),
    o: t(2, 8),
    lse: t(2, 1),
    seq_lens: i(1, 1),
  };
  const sizes = {
    b: 2,
    hq: 1,
    hkv: 1,
    dim_k: 8,
    dim_v: 8,
    ldq: 8,
    ldo: 8,
    page_size: 8,
    max_pages: 1,
    scale: 1,
  };
  const plain = { ...paged, ...sizes, window: 0, block_size: 1, stride: 1, rot_dim: 0, block_table: i(0, 1) };
  for (const wrong of [
    { page_size: 0 },
    { stride: 0 },
    { ldq: 1 },
    { rot_dim: 3 },
    { block_table: i(0) },
    { o: t(1) },
    { seq_lens: t(2) },
  ])
    bad.push(["paged_attn", () => two.run("paged_attn", { ...plain, ...wrong })]);
  // Indices lie in the device's memory: only the CPU looks at them before it runs.
  const seen = bad.filter(
    ([name]) => isCpu || !["lm_head_fwd target", "gather_rows", "paged_attn"].includes(name),
  );
  for (const [name, body] of seen) expect(body, name).toThrow();
});
