// NSA with its gradients on the fast backend against the double-precision oracle, on random and on adversarial inputs.
//
// The rule for bf16: an error of at most 2× (outputs) or 3× (gradients) that of the reference backend in bf16, which computes in
// double and rounds what each op stores. For f32: 1e-5. Selected blocks are the oracle's, so that no near-tie decides.
import { afterAll, describe, expect, test } from "vitest";
import {
  Device,
  fromBf16,
  type NsaInputs,
  nsaAttention,
  packDocuments,
  selectBlocks,
  Tape,
  type Tensor,
  toBf16,
} from "../src/index.ts";
import { flashForward } from "../src/ops/flash-attention.ts";
import { isCpu, openBackend } from "./backend.ts";
import type { NaiveConfig, NaiveInputs } from "./naive-nsa.ts";
import { deviceInputs, naiveInputs, noise, nsaConfig } from "./nsa-fixture.ts";

const oracle = Device.open("reference");
const fast = openBackend({ threads: 2 });
afterAll(() => {
  oracle.close();
  fast.close();
});

type Dtype = "f64" | "f32" | "bf16";
type Branches = "q" | "kCmp" | "vCmp" | "kSlc" | "vSlc" | "kWin" | "vWin" | "gate";
const branches: Branches[] = ["q", "kCmp", "vCmp", "kSlc", "vSlc", "kWin", "vWin", "gate"];

const paper: NaiveConfig = { H: 4, G: 1, K: 64, V: 64, l: 32, d: 16, lp: 64, n: 4, w: 64 };
const small: NaiveConfig = { H: 4, G: 2, K: 16, V: 16, l: 8, d: 4, lp: 16, n: 4, w: 20 };
/** Head dims of the kernels that matter on a GPU; the CPU's are slow in its tests. */
const dim = isCpu ? 16 : 64;

interface Case {
  c: NaiveConfig;
  borders: number[];
  change?: (x: NaiveInputs, c: NaiveConfig) => void;
  /** Bound in f32, default 1e-5: scores of hundreds have lost digits before the exponential. */
  f32?: number;
}

const scaled = (factor: number) => (x: NaiveInputs) => {
  x.q = x.q.map((v) => v * factor);
};
/** Every token has the keys of the first. */
const equalKeys = (x: NaiveInputs, c: NaiveConfig) => {
  for (const name of ["kCmp", "kSlc", "kWin"] as const)
    x[name] = x[name].map((_, i) => x[name][i % (c.G * c.K)]!);
};

const cases: Record<string, Case> = {
  "one token": { c: small, borders: [0, 1] },
  "shorter than a compressed block": { c: paper, borders: [0, 31] },
  "exactly one compressed block": { c: paper, borders: [0, 32] },
  "one selection block and one token": { c: { ...paper, K: dim, V: dim }, borders: [0, 65] },
  "documents of one block and of one token": { c: small, borders: [0, 16, 17, 33, 49, 50, 66] },
  "ragged documents": { c: { ...small, K: dim, V: dim }, borders: [0, 1, 4, 35, 100, 165, 292, 421] },
  "groups of 16": { c: { ...small, H: 16, G: 1, K: dim, V: dim }, borders: [0, 5, 150] },
  "groups of 1": { c: { ...small, H: 2 }, borders: [0, 140] },
  "groups of 18": { c: { ...small, H: 18, G: 1 }, borders: [0, 90] },
  "groups of 40": { c: { ...small, H: 40, G: 1 }, borders: [0, 70] },
  "wide heads": { c: { ...small, K: 128, V: 128, H: 2, G: 1 }, borders: [0, 130] },
  "heads of 192 and 128": { c: { ...small, K: 192, V: 128, H: 2, G: 1 }, borders: [0, 80] },
  "other ratios of block sizes": { c: { ...small, l: 8, d: 8, lp: 16 }, borders: [0, 100] },
  "equal keys": { c: small, borders: [0, 60, 200], change: equalKeys },
  "all queries zero": { c: small, borders: [0, 120], change: scaled(0) },
  "huge scores": { c: small, borders: [0, 120], change: scaled(64), f32: 3e-5 },
  "4,097 tokens": { c: { ...paper, H: 2, K: dim, V: dim, n: 3, w: 32 }, borders: [0, 4097] },
};

/** o, and the gradients of everything per token, as arrays by name. */
function run(device: Device, dtype: Dtype, x: NaiveInputs, { c, borders }: Case, chosen?: Float64Array) {
  using _ = device.scope();
  const T = borders.at(-1)!;
  const docs = packDocuments(device, borders, { blockSize: c.l, stride: c.d });
  const inputs: NsaInputs = deviceInputs(device, x, T, c, dtype);
  const tape = new Tape();
  const frozen = chosen && device.from(chosen, [T, c.G, c.n], "i32");
  const { o, selected } = nsaAttention(tape, inputs, docs, nsaConfig(c), { selected: frozen });
  const seed = Float64Array.from({ length: o.numel }, noise(77));
  tape.backward([[o, device.from(seed, o.shape, dtype)]]);
  const values: Record<string, Float64Array> = { o: o.read() };
  for (const name of branches) {
    const grad: Tensor | undefined = inputs[name].grad;
    values[name] = grad ? grad.read() : new Float64Array(inputs[name].numel);
  }
  return { values, selected: selected.read() };
}

function relative(a: Float64Array, b: Float64Array): number {
  let [diff, size] = [0, 0];
  b.forEach((want, i) => {
    diff += (a[i]! - want) ** 2;
    size += want ** 2;
  });
  return diff === 0 ? 0 : Math.sqrt(diff / (size || 1));
}

/** Memory that later tensors are made of is not zero by chance. */
function poison(device: Device): void {
  const t = device.full([1 << 22], "f32", Number.NaN);
  t.free();
}

const round: Record<"f32" | "bf16", (v: number) => number> = {
  f32: Math.fround,
  bf16: (v) => fromBf16(toBf16(v)),
};

describe("outputs_and_gradients_keep_the_rule_and_repeat_bit_for_bit", () => {
  for (const [name, one] of Object.entries(cases)) {
    for (const dtype of ["f32", "bf16"] as const) {
      test(`${name} ${dtype}`, { timeout: 120_000 }, () => {
        const x = naiveInputs(one.borders.at(-1)!, one.c, "mean", 5);
        one.change?.(x, one.c);
        for (const key of branches) x[key] = x[key].map(round[dtype]);
        const want = run(oracle, "f64", x, one);
        const low = dtype === "bf16" ? run(oracle, "bf16", x, one, want.selected) : undefined;
        const got = run(fast, dtype, x, one, want.selected);
        poison(fast);
        const again = run(fast, dtype, x, one, want.selected);
        for (const [key, exact] of Object.entries(want.values)) {
          const error = relative(got.values[key]!, exact);
          const bound = low
            ? (key === "o" ? 2 : 3) * relative(low.values[key]!, exact) + 1e-5
            : (one.f32 ?? 1e-5);
          // A gradient that is zero in exact arithmetic has no relative error.
          const size = Math.hypot(...exact.subarray(0, 4096));
          if (size > 1e-6) expect(error, `${key}: relative error`).toBeLessThanOrEqual(bound);
          else expect(Math.max(...got.values[key]!.map(Math.abs)), `${key}: zero`).toBeLessThan(1e-2);
          expect(
            Buffer.from(again.values[key]!.buffer).equals(Buffer.from(got.values[key]!.buffer)),
            key,
          ).toBe(true);
        }
      });
    }
  }
});

describe("equal_scores_select_the_lower_blocks", () => {
  for (const heads of [1, 2, 4, 8, 12, 16, 40]) {
    for (const dtype of ["f32", "bf16"] as const) {
      test(`groups of ${heads} ${dtype}`, () => {
        using _ = fast.scope();
        const c: NaiveConfig = { H: heads, G: 1, K: dim, V: dim, l: 8, d: 4, lp: 16, n: 5, w: 16 };
        const borders = [0, 7, 1500];
        const T = borders.at(-1)!;
        const docs = packDocuments(fast, borders, { blockSize: c.l, stride: c.d });
        const nb = docs.compressed!.blocks;
        const next = noise(3);
        const q = fast.from(Array.from({ length: T * heads * dim }, next), [T, heads * dim], dtype);
        const key = Array.from({ length: dim }, next);
        const k = fast.from(
          Array.from({ length: nb * dim }, (_, i) => key[i % dim]!),
          [nb, dim],
          dtype,
        );
        const grid = { cuKeys: docs.compressed!.cuBlocks, keys: nb, blockSize: c.l, stride: c.d };
        const config = nsaConfig(c);
        const { lse } = flashForward(fast, q, k, k, docs, grid, { ...config, windowSize: 0 });
        const idx = selectBlocks(q, k, lse, docs, config).read();
        for (let row = 0; row < T; row++) {
          const here = Math.floor((row - (row < 7 ? 0 : 7)) / c.lp);
          const forced = [0, here - 1, here].filter((j) => j >= 0);
          const want = new Set(forced);
          // Whole blocks tie; the first has no block before it and the last two are forced.
          for (let j = 1; want.size < Math.min(c.n, here + 1); j++) want.add(j);
          const sorted = [...want].sort((a, b) => a - b);
          const padded = Array.from({ length: c.n }, (_, i) => sorted[i] ?? -1);
          expect([...idx.subarray(row * c.n, (row + 1) * c.n)], `row ${row}`).toEqual(padded);
        }
      });
    }
  }
});
