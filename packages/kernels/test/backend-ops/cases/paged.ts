// Cases of paged attention: ragged and idle sequences, scattered pages, windows, compressed entries, groups of heads.
import { added, given, input, type OpCase, output } from "../case.ts";

interface Paged {
  lens: number[];
  hq: number;
  hkv: number;
  dimK: number;
  dimV: number;
  window?: number;
  block?: number;
  stride?: number;
}

const pageSize = 16;

function paged(name: string, s: Paged): OpCase {
  const [b, block, stride] = [s.lens.length, s.block ?? 1, s.stride ?? 1];
  const entries = s.lens.map((n) => (n < block ? 0 : Math.floor((n - block) / stride) + 1));
  const maxPages = Math.max(1, ...entries.map((n) => Math.ceil(n / pageSize)));
  const rows = b * maxPages * pageSize;
  // A sequence's pages lie b apart, so that neighbours in the cache belong to others.
  const table = Int32Array.from(
    { length: b * maxPages },
    (_, i) => Math.floor(i / maxPages) + (i % maxPages) * b,
  );
  return {
    op: "paged_attn",
    name,
    buffers: {
      q: input(1, [b, s.hq * s.dimK]),
      k_cache: input(2, [rows, s.hkv * s.dimK]),
      v_cache: input(3, [rows, s.hkv * s.dimV]),
      block_table: given(table, "i32", [b, maxPages]),
      seq_lens: given(s.lens, "i32"),
      o: output([b, s.hq * s.dimV]),
      lse: output([b, s.hq], "f32"),
    },
    numbers: {
      b,
      hq: s.hq,
      hkv: s.hkv,
      dim_k: s.dimK,
      dim_v: s.dimV,
      ldq: s.hq * s.dimK,
      ldo: s.hq * s.dimV,
      page_size: pageSize,
      max_pages: maxPages,
      window: s.window ?? 0,
      block_size: block,
      stride,
      scale: 1 / Math.sqrt(s.dimK),
    },
  };
}

/** q, k and v as columns of rows `ld` apart; the second row is idle. */
function append(name: string, hq: number, hkv: number, dimK: number, dimV: number, rotDim: number): OpCase {
  const ld = hq * dimK + hkv * (dimK + dimV);
  const positions = 50;
  const slot = [37, -1, 0];
  const angle = (f: (x: number) => number) =>
    Float64Array.from({ length: (positions * rotDim) / 2 }, (_, i) => f(0.37 * i));
  const table = (f: (x: number) => number) => given(angle(f), "f32", [positions, rotDim / 2]);
  return {
    op: "paged_append",
    name,
    buffers: {
      q: added(21, [slot.length, ld]),
      k: input(22, [slot.length, ld]),
      v: input(23, [slot.length, ld]),
      k_cache: added(24, [48, hkv * dimK]),
      v_cache: added(25, [48, hkv * dimV]),
      cos: table(Math.cos),
      sin: table(Math.sin),
      positions: given([49, 3, 0], "i32"),
      slot: given(slot, "i32"),
    },
    numbers: { rows: slot.length, hq, hkv, dim_k: dimK, dim_v: dimV, rot_dim: rotDim, ld },
  };
}

export const pagedCases: OpCase[] = [
  append("vectors", 4, 2, 64, 32, 64),
  append("a part turned", 3, 1, 48, 64, 32),
  append("odd dims", 2, 2, 7, 5, 6),
  paged("a head a group", { lens: [1, 33, 0, 200, 64], hq: 3, hkv: 3, dimK: 64, dimV: 64 }),
  paged("six heads a group", { lens: [65, 7, 130], hq: 12, hkv: 2, dimK: 128, dimV: 64 }),
  paged("window, odd dims", { lens: [100, 31, 16], hq: 6, hkv: 2, dimK: 13, dimV: 7, window: 40 }),
  paged("compressed entries", {
    lens: [20, 500, 32],
    hq: 4,
    hkv: 1,
    dimK: 192,
    dimV: 128,
    block: 32,
    stride: 16,
  }),
];
