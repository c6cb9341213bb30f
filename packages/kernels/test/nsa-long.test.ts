// NSA over 256K tokens on a GPU: sampled rows of the output and of dq against a naive computation in double precision.
import { afterAll, expect } from "vitest";
import { needs } from "../../core/test/needs.ts";
import { type Device, type NsaConfig, nsaAttention, packDocuments, Tape, type Tensor } from "../src/index.ts";
import { isCpu, openBackend } from "./backend.ts";

const device: Device | undefined = isCpu ? undefined : openBackend();
afterAll(() => device?.close());

const T = 262_144;
const [H, D, n, w] = [16, 64, 16, 512];
const config: NsaConfig = {
  heads: H,
  kvHeads: 1,
  dimK: D,
  dimV: D,
  blockSize: 32,
  stride: 16,
  selectionBlockSize: 64,
  numSelectedBlocks: n,
  windowSize: w,
};

function normal(on: Device, shape: number[], seed: number): Tensor {
  const x = on.empty(shape, "bf16");
  on.run("philox_normal", { x, seed, stream: 0, step: 0, mean: 0, std: 1 });
  x.requiresGrad = true;
  return x;
}

/** Attention of one head on the listed keys, and the gradient of its query for the output's gradient `go`. */
function attend(q: Float64Array, go: Float64Array, k: Float64Array, v: Float64Array, keys: number[]) {
  const dot = (a: Float64Array, b: Float64Array, row: number) => {
    let s = 0;
    for (let c = 0; c < D; c++) s += a[c]! * b[row * D + c]!;
    return s;
  };
  const s = keys.map((j) => dot(q, k, j) / Math.sqrt(D));
  const top = s.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
  const e = s.map((x) => Math.exp(x - top));
  const total = e.reduce((a, b) => a + b, 0);
  const [o, dq] = [new Float64Array(D), new Float64Array(D)];
  const p = e.map((x) => x / total);
  keys.forEach((j, i) => {
    for (let c = 0; c < D; c++) o[c]! += p[i]! * v[j * D + c]!;
  });
  const delta = dot(o, go, 0);
  keys.forEach((j, i) => {
    const ds = (p[i]! * (dot(go, v, j) - delta)) / Math.sqrt(D);
    for (let c = 0; c < D; c++) dq[c]! += ds * k[j * D + c]!;
  });
  return { p, o, dq };
}

function relative(a: Float64Array, b: Float64Array): number {
  const diff = Math.hypot(...a.map((x, i) => x - b[i]!));
  return diff / Math.hypot(...b);
}

needs(!isCpu, "a GPU")(
  "sampled_rows_of_256k_tokens_are_right",
  () => {
    const on = device!;
    using _ = on.scope();
    const docs = packDocuments(on, [0, T], config);
    const [q, gate, go] = [normal(on, [T, H * D], 1), normal(on, [T, 3 * H], 2), normal(on, [T, H * D], 3)];
    const [kCmp, vCmp, kSlc, vSlc, kWin, vWin] = [4, 5, 6, 7, 8, 9].map((seed) =>
      normal(on, [T, D], seed),
    ) as [Tensor, Tensor, Tensor, Tensor, Tensor, Tensor];
    const phi = { kind: "mean" } as const;
    const tape = new Tape();
    const inputs = { q, kCmp, vCmp, kSlc, vSlc, kWin, vWin, gate, phiK: phi, phiV: phi };
    const { o, selected, kBlocks, vBlocks } = nsaAttention(tape, inputs, docs, config);
    tape.backward([[o, go]]);
    const [kb, vb, ks, vs, kw, vw] = [kBlocks, vBlocks, kSlc, vSlc, kWin, vWin].map((t) => t.read()) as [
      Float64Array,
      Float64Array,
      Float64Array,
      Float64Array,
      Float64Array,
      Float64Array,
    ];
    const raw = kCmp.read();
    // φ: the mean of 32 rows, rounded once.
    for (const block of [0, 4711, docs.compressed!.blocks - 1]) {
      for (let c = 0; c < D; c++) {
        let sum = 0;
        for (let j = 0; j < 32; j++) sum += raw[(block * 16 + j) * D + c]!;
        expect(Math.abs(kb[block * D + c]! - sum / 32)).toBeLessThan(0.004);
      }
    }
    const row = (t: Tensor, at: number, width: number) => t.view(at * width, [width]).read();
    for (const t of [0, 30, 31, 1000, 65_535, 131_072, 200_003, T - 1]) {
      const [queries, gradients, logits] = [row(q, t, H * D), row(go, t, H * D), row(gate, t, 3 * H)];
      const chosen = [...row(selected, t, n)].filter((j) => j >= 0);
      const visible = t < 31 ? 0 : Math.floor((t - 31) / 16) + 1;
      const here = Math.floor(t / 64);
      const keys = {
        cmp: Array.from({ length: visible }, (_, i) => i),
        slc: chosen.flatMap((b) => Array.from({ length: 64 }, (_, i) => b * 64 + i)).filter((j) => j <= t),
        win: Array.from({ length: Math.min(t + 1, w) }, (_, i) => t - i),
      };
      const p = new Float64Array(visible);
      const [want, wantDq] = [new Float64Array(H * D), new Float64Array(H * D)];
      for (let h = 0; h < H; h++) {
        const part = (a: Float64Array) => a.slice(h * D, (h + 1) * D);
        const branches = [
          [kb, vb, keys.cmp],
          [ks, vs, keys.slc],
          [kw, vw, keys.win],
        ] as const;
        branches.forEach(([k, v, list], b) => {
          const g = 1 / (1 + Math.exp(-logits[3 * h + b]!));
          const got = attend(
            part(queries),
            part(gradients).map((x) => x * g),
            k,
            v,
            list,
          );
          got.o.forEach((x, c) => {
            want[h * D + c]! += g * x;
          });
          got.dq.forEach((x, c) => {
            wantDq[h * D + c]! += x;
          });
          if (b === 0)
            got.p.forEach((x, i) => {
              p[i]! += x;
            });
        });
      }
      expect(relative(row(o, t, H * D), want), `o of row ${t}`).toBeLessThan(6e-3);
      if (t > 0) expect(relative(row(q.grad!, t, H * D), wantDq), `dq of row ${t}`).toBeLessThan(1.2e-2);
      // The chosen blocks are the forced ones and the best of the others, up to the rounding of a near-tie.
      const score = (j: number) =>
        [1, 2, 2, 2, 1].reduce((sum, weight, i) => sum + weight * (p[4 * j - 1 + i] ?? 0), 0);
      const forced = [...new Set([0, Math.max(0, here - 1), here])];
      expect(chosen.length).toBe(Math.min(n, here + 1));
      for (const j of forced) expect(chosen).toContain(j);
      const free = Array.from({ length: here + 1 }, (_, j) => j).filter((j) => !forced.includes(j));
      const least = Math.min(...free.filter((j) => chosen.includes(j)).map(score));
      const most = Math.max(...free.filter((j) => !chosen.includes(j)).map(score));
      expect(least).toBeGreaterThanOrEqual(most * (1 - 1e-4));
    }
  },
  300_000,
);
