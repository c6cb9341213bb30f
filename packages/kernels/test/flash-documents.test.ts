// Attention of one document does not see what stands behind its end, not even infinite values, which no weight of 0 removes.
import { afterAll, afterEach, expect, test, vi } from "vitest";
import { openBackend } from "./backend.ts";
import { normal } from "./backend-ops/case.ts";

const device = openBackend({ threads: 2 });
afterEach(() => {
  vi.unstubAllEnvs();
});
afterAll(() => {
  device.close();
});

test.each([64, 128])("infinite_values_of_the_next_document_do_not_reach_one_heads_of_%d", (d) => {
  const [hq, T, first] = [2, 300, 150];
  const outputs = (value: number) => {
    const rows = (seed: number, heads: number) => [...normal(seed, T * heads * d)];
    const v = rows(3, 1).map((x, i) => (i < first * d ? x : value));
    const at = (values: number[], heads: number) => device.from(values, [T, heads * d], "bf16");
    const o = device.empty([T, hq * d], "bf16");
    const cu = device.from([0, first, T], [3], "i32");
    device.run("flash_fwd", {
      q: at(rows(1, hq), hq),
      k: at(rows(2, 1), 1),
      v: at(v, 1),
      o,
      lse: device.empty([T, hq], "f32"),
      cu_q: cu,
      cu_k: cu,
      ...{ n_docs: 2, tq: T, tk: T, hq, hkv: 1, dim_k: d, dim_v: d, window: 0, block_size: 1, stride: 1 },
      ...{ ldq: hq * d, ldk: d, ldv: d, ldo: hq * d, scale: 0.1 },
    });
    return o.read().slice(0, first * hq * d);
  };
  expect(outputs(Number.POSITIVE_INFINITY)).toEqual(outputs(1));
});

test.each([
  [64, "onepass"],
  [64, "twopass"],
  [128, "onepass"],
  [128, "twopass"],
])("infinite_gradients_of_the_next_document_do_not_reach_one_heads_of_%d_%s", (d, passes) => {
  const [hq, T, first] = [2, 450, 225];
  const gradients = (value: number) => {
    const rows = (seed: number, heads: number) => {
      const x = [...normal(seed, T * heads * d)].map((x, i) => (i < first * heads * d ? x : value));
      return device.from(x, [T, heads * d], "bf16");
    };
    const [q, k, v] = [rows(1, hq), rows(2, 1), rows(3, 1)];
    const out = [q, k, v].map((t) => device.full([t.numel], "bf16", Number.NaN));
    const cu = device.from([0, first, T], [3], "i32");
    device.run("flash_bwd", {
      ...{ q, k, v, o: rows(4, hq), do_: rows(5, hq), lse: device.full([T * hq], "f32", 5) },
      ...{ dq: out[0], dk: out[1], dv: out[2], cu_q: cu, cu_k: cu, rot_dim: 0, accumulate: 0 },
      ...{ n_docs: 2, tq: T, tk: T, hq, hkv: 1, dim_k: d, dim_v: d, window: 0, block_size: 1, stride: 1 },
      ...{ ldq: hq * d, ldk: d, ldv: d, ldo: hq * d, scale: 0.1 },
    });
    return out.map((t) => t.read().slice(0, t.numel / 2));
  };
  vi.stubEnv("NSA_FLASH", passes);
  const finite = gradients(1);
  expect(finite.every((x) => x.every(Number.isFinite))).toBe(true);
  expect(gradients(Number.POSITIVE_INFINITY)).toEqual(finite);
});
