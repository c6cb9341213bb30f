// Decoding token by token over a paged cache gives the rows of a prefill, whatever else is in the batch.
import { afterAll, describe, expect, test } from "vitest";
import {
  Device,
  decodeAttention,
  flashAttention,
  nsaAttention,
  nsaDecode,
  nsaDecodeAttention,
  nsaLayerCache,
  packDocuments,
  planDecode,
  Tape,
  writeCache,
} from "../src/index.ts";
import { backendName, openBackend } from "./backend.ts";
import type { NaiveConfig } from "./naive-nsa.ts";
import { deviceInputs, naiveInputs, nsaConfig, sliceInputs } from "./nsa-fixture.ts";

const reference = Device.open("reference");
const fast = openBackend();
afterAll(() => {
  reference.close();
  fast.close();
});

/** Where a test runs, and how many digits prefill and decode share there. */
interface Place {
  device: Device;
  dtype: "f64" | "f32";
  digits: number;
}
const exact: Place = { device: reference, dtype: "f64", digits: 12 };
const places: Record<string, Place> = {
  reference: exact,
  [backendName]: { device: fast, dtype: "f32", digits: 5 },
};

const c: NaiveConfig = { H: 4, G: 2, K: 4, V: 3, l: 4, d: 2, lp: 4, n: 4, w: 5 };
const pageSize = 8;
const maxPages = 6;
const T = 41;
const pages = [
  [7, 2, 9, 4, 11, 0],
  [1, 10, 3, 8, 5, 6],
];

/** Decodes documents side by side, the second one `lag` steps behind; outputs [sequence][t][H·V]. */
function decodeAll(
  { device, dtype }: Place,
  phi: "mean" | "weighted" | "mlp",
  everyRow: boolean,
  lag: number,
  alone = false,
) {
  const config = nsaConfig(c);
  const xs = alone ? [naiveInputs(T, c, phi, 1)] : [1, 2].map((seed) => naiveInputs(T, c, phi, seed));
  const shared = deviceInputs(device, xs[0]!, T, c, dtype);
  const cache = nsaLayerCache(device, config, 12, pageSize, dtype);
  const out: number[][][] = xs.map(() => []);
  for (let step = 0; step < T + lag; step++) {
    using _ = device.scope();
    const at = xs.map((_, s) => step - s * lag);
    const active = at.map((t) => t >= 0 && t < T);
    const sequences = at.map((t, s) => ({ length: active[s] ? t + 1 : 0, pages: pages[s]! }));
    const plan = planDecode(device, sequences, pageSize, maxPages, config, everyRow);
    const rows = xs.map((x, s) => sliceInputs(x, T, active[s] ? at[s]! : 0, (active[s] ? at[s]! : 0) + 1));
    const names = ["q", "kCmp", "vCmp", "kSlc", "vSlc", "kWin", "vWin", "gate"] as const;
    const joined = Object.fromEntries(names.map((name) => [name, rows.flatMap((r) => r[name])]));
    const inputs = {
      ...deviceInputs(device, { ...xs[0]!, ...joined }, xs.length, c, dtype, T),
      ...weights(shared),
    };
    const o = nsaDecode(inputs, cache, plan, config).read();
    xs.forEach((_, s) => {
      if (active[s]) out[s]!.push([...o.slice(s * c.H * c.V, (s + 1) * c.H * c.V)]);
    });
  }
  return { out, xs, shared };
}

const weights = (x: ReturnType<typeof deviceInputs>) => ({ phiK: x.phiK, phiV: x.phiV, rope: x.rope });

describe("decode_equals_prefill", () => {
  for (const [name, place] of Object.entries(places)) {
    for (const phi of ["mean", "weighted", "mlp"] as const) {
      for (const everyRow of [false, true]) {
        test(`${name}, ${phi}, compressing ${everyRow ? "every row" : "completed rows only"}`, () => {
          const { device, dtype, digits } = place;
          using _ = device.scope();
          const { out, xs, shared } = decodeAll(place, phi, everyRow, 3);
          const docs = packDocuments(device, [0, T], { blockSize: c.l, stride: c.d });
          xs.forEach((x, s) => {
            const inputs = { ...deviceInputs(device, x, T, c, dtype), ...weights(shared) };
            const { o } = nsaAttention(new Tape(false), inputs, docs, nsaConfig(c));
            const want = o.read();
            out[s]!.flat().forEach((y, i) => void expect(y).toBeCloseTo(want[i]!, digits));
            expect(out[s]!.flat().length).toBe(want.length);
          });
        });
      }
    }
  }
});

test("a_sequence_decodes_to_the_same_bits_alone_and_in_a_batch", () => {
  using _ = reference.scope();
  expect(decodeAll(exact, "mlp", false, 5).out[0]).toEqual(decodeAll(exact, "mlp", false, 0, true).out[0]);
});

test("dense_and_window_decode_equal_prefill", () => {
  const { device } = exact;
  for (const windowSize of [0, 5]) {
    using _ = device.scope();
    const x = naiveInputs(T, c, "mean", 4);
    const { q, kWin: k, vWin: v } = deviceInputs(device, x, T, c, "f64");
    const config = { heads: c.H, kvHeads: c.G, dimK: c.K, dimV: c.V, windowSize };
    const want = flashAttention(new Tape(false), { q, k, v }, packDocuments(device, [0, T]), config).read();
    const plan = planDecode(device, [{ length: T, pages: pages[0]! }], pageSize, maxPages);
    const [kCache, vCache] = [device.zeros([96, c.G * c.K], "f64"), device.zeros([96, c.G * c.V], "f64")];
    const slots = Array.from({ length: T }, (_, t) => pages[0]![Math.floor(t / 8)]! * 8 + (t % 8));
    const slot = device.from(slots, [T], "i32");
    writeCache(k, kCache, slot, T);
    writeCache(v, vCache, slot, T);
    const last = q.view((T - 1) * c.H * c.K, [1, c.H * c.K]);
    const o = decodeAttention(last, kCache, vCache, plan, config).read();
    o.forEach((y, i) => void expect(y).toBeCloseTo(want[(T - 1) * c.H * c.V + i]!, 12));
  }
});

/** Decodes the last token of each sequence from random caches; bf16 values whatever the dtype, lists and lengths uneven. */
function decodeRandom(
  device: Device,
  dtype: "f32" | "bf16" | "f64",
  [H, G, D]: number[],
  lengths: number[],
  n: number,
) {
  const config = {
    heads: H!,
    kvHeads: G!,
    dimK: D!,
    dimV: D!,
    blockSize: 32,
    stride: 16,
    selectionBlockSize: 64,
    numSelectedBlocks: n,
    windowSize: 100,
  };
  const each = Math.ceil(Math.max(...lengths) / 64);
  const cache = nsaLayerCache(device, config, lengths.length * each, 64, dtype);
  let state = 7;
  // Multiples of 1/16 below 8: bf16 holds them exactly.
  const values = (x: { numel: number }, scale: number) =>
    Float64Array.from({ length: x.numel }, () => {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      return (((state >>> 16) % 255) / 16 - 127 / 16) * scale;
    });
  for (const x of Object.values(cache)) x.write(values(x, 0.25));
  const q = device.empty([lengths.length, H! * D!], dtype);
  const gate = device.empty([lengths.length, 3 * H!], dtype);
  q.write(values(q, 0.25));
  gate.write(values(gate, 0.25));
  const sequences = lengths.map((length, s) => ({
    length,
    pages: Array.from({ length: each }, (_, i) => ((s * each + i) * 7) % (lengths.length * each)),
  }));
  const plan = planDecode(device, sequences, 64, each, config);
  const once = () => [...nsaDecodeAttention(q, gate, cache, plan, config).read()];
  return { o: once(), again: once() };
}

describe("decoding_in_one_op", () => {
  // Idle, shorter than a block, at block bounds, as many candidates as are chosen and one more; a prime number of pages a sequence.
  const lengths = [0, 1, 31, 32, 64, 65, 320, 321, 700, 1100];
  for (const shape of [
    [16, 1, 128],
    [16, 1, 64],
    [20, 1, 64],
    [32, 2, 64],
    [6, 2, 128],
    [4, 4, 64],
    [4, 2, 40],
  ])
    test(`bf16 heads ${shape.join("/")} give the doubles of the ops it is made of, and the same bits twice`, () => {
      using _ = fast.scope();
      using __ = reference.scope();
      const want = decodeRandom(reference, "f64", shape, lengths, 5).o;
      const { o, again } = decodeRandom(fast, "bf16", shape, lengths, 5);
      expect(again).toEqual(o);
      const width = shape[0]! * shape[2]!;
      lengths.forEach((_, s) => {
        const row = (x: number[]) => x.slice(s * width, (s + 1) * width);
        const [mine, theirs] = [row(o), row(want)];
        const norm = Math.hypot(...theirs);
        if (s === 0) expect(Math.hypot(...mine)).toBe(0);
        else expect(Math.hypot(...mine.map((x, i) => x - theirs[i]!)) / norm).toBeLessThan(0.01);
      });
    });
});
