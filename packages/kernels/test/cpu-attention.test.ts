// Attention ops of the CPU backend against the reference on the same f32 and bf16 values, at one and two threads.
import { afterAll, describe, expect, test } from "vitest";
import {
  Device,
  nsaAttention,
  nsaDecode,
  nsaLayerCache,
  packDocuments,
  planDecode,
  Tape,
  type Tensor,
} from "../src/index.ts";
import { flashForward } from "../src/ops/flash-attention.ts";
import { isCpu, openBackend } from "./backend.ts";
import { naiveNsa } from "./naive-nsa.ts";
import { deviceInputs, naiveInputs, noise, nsaConfig, sliceInputs } from "./nsa-fixture.ts";

const reference = Device.open("reference");
const cpu = openBackend({ threads: 2 });
const single = openBackend({ threads: 1 });
afterAll(() => {
  for (const device of [reference, cpu, single]) device.close();
});

type Dtype = "f32" | "bf16";

/**
 * ‖a − b‖/‖b‖ over everything (the rms of a − b where b is all zeros: gradients of scores of a single key), and the most
 * |a − b| over max(rms(b), |b|): a value far above the rms is rounded by its own ulp.
 */
function errors(a: Float64Array, b: Float64Array) {
  let [diff, size] = [0, 0];
  b.forEach((want, i) => {
    if (want === a[i]) {
      size += Number.isFinite(want) ? want * want : 0;
      return;
    }
    diff += (a[i]! - want) ** 2;
    size += want ** 2;
  });
  const rms = Math.sqrt(size / b.length) || 1;
  const worst = b.reduce((most, want, i) => {
    return want === a[i] ? most : Math.max(most, Math.abs(a[i]! - want) / Math.max(rms, Math.abs(want)));
  }, 0);
  return { relative: Math.sqrt(diff / (size || b.length)), worst };
}

function close(a: Tensor, b: Tensor, dtype: Dtype, what: string) {
  const { relative, worst } = errors(a.read(), b.read());
  expect(relative, `${what}: relative`).toBeLessThanOrEqual(dtype === "f32" ? 1e-5 : 4e-3);
  // Tensor cores take P and dS rounded to bf16.
  expect(worst, `${what}: worst`).toBeLessThanOrEqual(dtype === "f32" ? 1e-4 : isCpu ? 4e-2 : 1e-1);
}

/** Runs `body` on the three devices, compares the outputs with the reference's and across thread counts. */
function compare(dtype: Dtype, body: (device: Device) => Record<string, Tensor>) {
  using a = reference.scope();
  using b = cpu.scope();
  using c = single.scope();
  void [a, b, c];
  const want = body(reference);
  const got = body(cpu);
  const alone = body(single);
  for (const [name, t] of Object.entries(want)) {
    close(got[name]!, t, dtype, name);
    expect([...alone[name]!.read()], `${name}: threads`).toEqual([...got[name]!.read()]);
  }
}

interface FlashCase {
  borders: number[];
  heads: number;
  kvHeads: number;
  dimK: number;
  dimV: number;
  window?: number;
  block?: number;
  stride?: number;
}

const edges = [0, 1, 64, 128, 193, 320, 448, 577]; // documents of 1, 63, 64, 65, 127, 128, 129

const flashCases: Record<string, FlashCase> = {
  causal: { borders: [0, 300], heads: 4, kvHeads: 2, dimK: 64, dimV: 64 },
  "packed documents": { borders: [0, 1, 70, 71, 200, 333], heads: 4, kvHeads: 1, dimK: 32, dimV: 48 },
  window: { borders: [0, 260, 410], heads: 2, kvHeads: 2, dimK: 64, dimV: 64, window: 100 },
  "window of one": { borders: [0, 130], heads: 2, kvHeads: 1, dimK: 16, dimV: 16, window: 1 },
  "odd head sizes": { borders: [0, 97], heads: 3, kvHeads: 1, dimK: 20, dimV: 7 },
  "compressed blocks": {
    borders: [0, 20, 420, 700],
    heads: 8,
    kvHeads: 2,
    dimK: 64,
    dimV: 32,
    block: 32,
    stride: 16,
  },
  "documents at tile edges, 64": { borders: edges, heads: 4, kvHeads: 2, dimK: 64, dimV: 64 },
  "documents at tile edges, 128": { borders: edges, heads: 2, kvHeads: 1, dimK: 128, dimV: 128 },
  "one document past 1024": { borders: [0, 1025], heads: 1, kvHeads: 1, dimK: 64, dimV: 64 },
  "windows across tiles, 64": {
    borders: [0, 129, 386, 769],
    heads: 3,
    kvHeads: 1,
    dimK: 64,
    dimV: 64,
    window: 130,
  },
  "windows across tiles, 128": {
    borders: [0, 255, 511],
    heads: 2,
    kvHeads: 1,
    dimK: 128,
    dimV: 128,
    window: 64,
  },
  "compressed blocks across tiles": {
    borders: [0, 20, 580],
    heads: 4,
    kvHeads: 1,
    dimK: 64,
    dimV: 64,
    block: 8,
    stride: 4,
  },
  "one token": { borders: [0, 1], heads: 16, kvHeads: 1, dimK: 192, dimV: 128 },
};

describe("flash_equals_the_reference", () => {
  for (const [name, c] of Object.entries(flashCases)) {
    for (const dtype of ["f32", "bf16"] as const) {
      test(`${name} ${dtype}`, () => {
        compare(dtype, (device) => {
          const next = noise(9);
          const random = (rows: number, cols: number) =>
            device.from(Array.from({ length: rows * cols }, next), [rows, cols], dtype);
          const tokens = c.borders.at(-1)!;
          const [block, stride] = [c.block ?? 1, c.stride ?? 1];
          const cuK = [0];
          c.borders.slice(1).forEach((end, i) => {
            const length = end - c.borders[i]!;
            cuK.push(cuK[i]! + (length < block ? 0 : Math.floor((length - block) / stride) + 1));
          });
          const keys = cuK.at(-1)!;
          const q = random(tokens, c.heads * c.dimK);
          const k = random(keys, c.kvHeads * c.dimK);
          const v = random(keys, c.kvHeads * c.dimV);
          const do_ = random(tokens, c.heads * c.dimV);
          const o = device.empty(do_.shape, dtype);
          const lse = device.empty([tokens, c.heads], "f32");
          const sizes = {
            cu_q: device.from(c.borders, [c.borders.length], "i32"),
            cu_k: device.from(cuK, [cuK.length], "i32"),
            n_docs: c.borders.length - 1,
            tq: tokens,
            tk: keys,
            hq: c.heads,
            hkv: c.kvHeads,
            dim_k: c.dimK,
            dim_v: c.dimV,
            ldq: c.heads * c.dimK,
            ldk: c.kvHeads * c.dimK,
            ldv: c.kvHeads * c.dimV,
            ldo: c.heads * c.dimV,
            window: c.window ?? 0,
            block_size: block,
            stride,
            scale: 1 / Math.sqrt(c.dimK),
          };
          device.run("flash_fwd", { q, k, v, o, lse, ...sizes });
          const [dq, dk, dv] = [random(tokens, c.heads * c.dimK), random(...size(k)), random(...size(v))];
          const before = { q, k, v, o, lse, do_, ...sizes };
          device.run("flash_bwd", { ...before, dq, dk, dv, accumulate: 3, rot_dim: 0 });
          const fresh = [q, k, v].map((t) => device.empty(t.shape, dtype));
          device.run("flash_bwd", {
            ...before,
            dq: fresh[0],
            dk: fresh[1],
            dv: fresh[2],
            accumulate: 0,
            rot_dim: 0,
          });
          return { o, lse, dq, dk, dv, dq0: fresh[0]!, dk0: fresh[1]!, dv0: fresh[2]! };
        });
      });
    }
  }
});

const size = (t: Tensor): [number, number] => [t.shape[0]!, t.shape[1]!];

interface SelectedCase {
  borders: number[];
  heads: number;
  kvHeads: number;
  dimK: number;
  dimV: number;
  n: number;
  /** l, d, l'. */
  blocks: [number, number, number];
}

const selectedCases: Record<string, SelectedCase> = {
  "paper block sizes": {
    borders: [0, 700],
    heads: 4,
    kvHeads: 2,
    dimK: 64,
    dimV: 64,
    n: 5,
    blocks: [32, 16, 64],
  },
  "packed documents": {
    borders: [0, 3, 40, 41, 300],
    heads: 4,
    kvHeads: 1,
    dimK: 32,
    dimV: 48,
    n: 4,
    blocks: [8, 4, 16],
  },
  "groups of 16, odd sizes": {
    borders: [0, 130],
    heads: 16,
    kvHeads: 1,
    dimK: 20,
    dimV: 9,
    n: 3,
    blocks: [8, 4, 12],
  },
  "groups of 1": { borders: [0, 150], heads: 2, kvHeads: 2, dimK: 16, dimV: 16, n: 8, blocks: [4, 2, 8] },
};

describe("selection_and_selected_attention_equal_the_reference", () => {
  for (const [name, c] of Object.entries(selectedCases)) {
    for (const dtype of ["f32", "bf16"] as const) {
      test(`${name} ${dtype}`, () => {
        const [l, d, lp] = c.blocks;
        const tokens = c.borders.at(-1)!;
        compare(dtype, (device) => {
          const next = noise(21);
          const random = (rows: number, cols: number, type: Dtype = dtype) =>
            device.from(Array.from({ length: rows * cols }, next), [rows, cols], type);
          const docs = packDocuments(device, c.borders, { blockSize: l, stride: d });
          const nb = docs.compressed!.blocks;
          const sizes = { hq: c.heads, hkv: c.kvHeads, dim_k: c.dimK, scale: 1 / Math.sqrt(c.dimK) };
          const shared = { ...sizes, cu_seqlens: docs.cuSeqlens, n_docs: docs.count, tokens };
          const q = random(tokens, c.heads * c.dimK);
          const ld = { ldq: c.heads * c.dimK, ldk: c.kvHeads * c.dimK };
          const k = random(tokens, c.kvHeads * c.dimK);
          const kBlocks = random(nb, c.kvHeads * c.dimK);
          const branch = { heads: c.heads, kvHeads: c.kvHeads, dimK: c.dimK, dimV: c.dimK };
          const grid = { cuKeys: docs.compressed!.cuBlocks, keys: nb, blockSize: l, stride: d };
          const { lse: cmpLse } = flashForward(device, q, kBlocks, kBlocks, docs, grid, branch);
          const idx = device.empty([tokens, c.kvHeads, c.n], "i32");
          const max_blocks = Math.ceil(docs.longest / lp);
          const scores = device.empty([tokens, c.kvHeads, max_blocks], "f32");
          const rule = { selection_block_size: lp, num_selected: c.n, num_init: 1, num_local: 2 };
          const select = { ...shared, ...ld, ...rule, nb, block_size: l, stride: d, max_blocks };
          const cu_blocks = docs.compressed!.cuBlocks;
          device.run("nsa_select", { q, k_cmp: kBlocks, lse: cmpLse, idx, scores, cu_blocks, ...select });
          const v = random(tokens, c.kvHeads * c.dimV);
          const do_ = random(tokens, c.heads * c.dimV);
          const o = device.empty(do_.shape, dtype);
          const lse = device.empty([tokens, c.heads], "f32");
          const block = { selection_block_size: lp, num_selected: c.n, dim_v: c.dimV };
          const more = { ...shared, ...ld, ...block, ldv: c.kvHeads * c.dimV, ldo: c.heads * c.dimV };
          device.run("nsa_selected_fwd", { q, k, v, idx, o, lse, ...more });
          const [dq, dk, dv] = [random(...size(q)), random(...size(k)), random(...size(v))];
          device.run("nsa_selected_bwd", { q, k, v, idx, o, lse, do_, dq, dk, dv, ...more, accumulate: 3 });
          return { scores, idx, o, lse, dq, dk, dv };
        });
      });
    }
  }
});

describe("nsa_attention_and_its_gradients_equal_the_reference", () => {
  for (const phi of ["weighted", "mlp"] as const) {
    test(phi, () => {
      const c = { H: 4, G: 2, K: 16, V: 20, l: 8, d: 4, lp: 8, n: 4, w: 13 };
      const [T, borders] = [70, [0, 5, 70]];
      const x = naiveInputs(T, c, phi, 31);
      const frozen = naiveNsa(sliceInputs(x, T, 5, T), T - 5, c).selected;
      const first = [
        [0, -1, -1, -1],
        [0, -1, -1, -1],
      ];
      const rows = [...Array.from({ length: 5 }, () => first), ...frozen];
      const padded = rows.flat().map((chosen) => Array.from({ length: c.n }, (_, i) => chosen[i] ?? -1));
      compare("f32", (device) => {
        const inputs = deviceInputs(device, x, T, c, "f32");
        const docs = packDocuments(device, borders, { blockSize: c.l, stride: c.d });
        const tape = new Tape();
        const selected = device.from(padded.flat(), [T, c.G, c.n], "i32");
        const { o } = nsaAttention(tape, inputs, docs, nsaConfig(c), { selected });
        tape.backward([[o, device.from(Array.from({ length: o.numel }, noise(2)), o.shape, "f32")]]);
        const { phiK, phiV, rope, ...tensors } = inputs;
        const leaves = [tensors, phiK, phiV].flatMap((part, i) =>
          Object.entries(part).flatMap(([key, t]) =>
            typeof t === "string" ? [] : [[`${i}.${key}`, t.grad!] as const],
          ),
        );
        expect(leaves.length).toBe(phi === "mlp" ? 14 : 10);
        return { o, ...Object.fromEntries(leaves) };
      });
    });
  }
});

test("paged_decode_equals_the_reference_and_does_not_depend_on_the_batch", () => {
  const c = { H: 8, G: 2, K: 20, V: 16, l: 8, d: 4, lp: 8, n: 4, w: 13 };
  const [pageSize, maxPages] = [16, 8];
  const lengths = [1, 8, 100, 0, 57, 40];
  const x = naiveInputs(lengths.length, c, "mlp", 17);
  const decode = (device: Device, rows: number[]) => {
    const next = noise(4);
    const cache = nsaLayerCache(device, nsaConfig(c), lengths.length * maxPages, pageSize, "f32");
    for (const t of Object.values(cache)) t.write(Array.from({ length: t.numel }, next));
    const some = rows.map((r) => sliceInputs(x, lengths.length, r, r + 1));
    const names = ["q", "kCmp", "vCmp", "kSlc", "vSlc", "kWin", "vWin", "gate"] as const;
    const joined = Object.fromEntries(names.map((name) => [name, some.flatMap((part) => part[name])]));
    const inputs = deviceInputs(device, { ...x, ...joined }, rows.length, c, "f32", 128);
    const pages = (r: number) => Array.from({ length: maxPages }, (_, i) => r + i * lengths.length);
    const sequences = rows.map((r) => ({ length: lengths[r]!, pages: pages(r) }));
    return nsaDecode(
      inputs,
      cache,
      planDecode(device, sequences, pageSize, maxPages, nsaConfig(c)),
      nsaConfig(c),
    );
  };
  const all = lengths.map((_, i) => i);
  compare("f32", (device) => ({ o: decode(device, all) }));
  using _ = cpu.scope();
  const width = c.H * c.V;
  const together = decode(cpu, all).read();
  for (const r of all) {
    expect([...decode(cpu, [r]).read()]).toEqual([...together.slice(r * width, (r + 1) * width)]);
  }
});
