// Cases of paged attention: ragged and idle sequences, scattered pages, windows, compressed entries, groups of heads, and newest
// tokens that come with the call.
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
  /** Newest tokens are columns of a projection, this many of their channels turned. */
  rotDim?: number;
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
  const appends = s.rotDim !== undefined;
  const ldq = s.hq * s.dimK + (appends ? s.hkv * (s.dimK + s.dimV) : 0);
  const cache = appends ? added : input;
  return {
    op: "paged_attn",
    name,
    buffers: {
      q: input(1, [b, ldq]),
      k_cache: cache(2, [rows, s.hkv * s.dimK]),
      v_cache: cache(3, [rows, s.hkv * s.dimV]),
      block_table: given(table, "i32", [b, maxPages]),
      seq_lens: given(s.lens, "i32"),
      o: output([b, s.hq * s.dimV]),
      lse: output([b, s.hq], "f32"),
      ...(s.rotDim === undefined ? {} : newest(s, s.rotDim, ldq, table, maxPages)),
    },
    numbers: {
      rot_dim: s.rotDim ?? 0,
      b,
      hq: s.hq,
      hkv: s.hkv,
      dim_k: s.dimK,
      dim_v: s.dimV,
      ldq,
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

/** The newest tokens of sequences, rows `ld` apart; those of idle ones are written nowhere. */
function newest(s: Paged, rotDim: number, ld: number, table: Int32Array, maxPages: number) {
  const last = s.lens.map((n) => Math.max(0, n - 1));
  const slot = last.map((at, r) =>
    s.lens[r] ? table[r * maxPages + Math.floor(at / pageSize)]! * pageSize + (at % pageSize) : -1,
  );
  const positions = Math.max(...last) + 1;
  const angles = (f: (x: number) => number) =>
    given(
      Float64Array.from({ length: (positions * rotDim) / 2 }, (_, i) => f(0.37 * i)),
      "f32",
      [positions, rotDim / 2],
    );
  return {
    k: input(4, [s.lens.length, ld]),
    v: input(5, [s.lens.length, ld]),
    cos: angles(Math.cos),
    sin: angles(Math.sin),
    positions: given(last, "i32"),
    slot: given(slot, "i32"),
  };
}

export const pagedCases: OpCase[] = [
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
  paged("newest of a head a group", {
    lens: [1, 33, 0, 200, 64],
    hq: 3,
    hkv: 3,
    dimK: 64,
    dimV: 32,
    rotDim: 64,
  }),
  paged("newest, a part turned", { lens: [17, 0, 48], hq: 6, hkv: 3, dimK: 48, dimV: 64, rotDim: 32 }),
  paged("newest, none turned", { lens: [3, 80], hq: 2, hkv: 2, dimK: 32, dimV: 32, rotDim: 0 }),
  paged("newest, wide heads", { lens: [20, 0, 90], hq: 2, hkv: 1, dimK: 192, dimV: 128, rotDim: 192 }),
  paged("newest, odd dims", { lens: [2, 0, 40], hq: 4, hkv: 2, dimK: 7, dimV: 5, rotDim: 6, window: 16 }),
  paged("newest, angles not by vectors", { lens: [18, 5], hq: 2, hkv: 2, dimK: 24, dimV: 16, rotDim: 24 }),
  paged("newest, six heads a group, window", {
    lens: [65, 0, 1, 130, 40],
    hq: 12,
    hkv: 2,
    dimK: 128,
    dimV: 64,
    window: 40,
    rotDim: 128,
  }),
  // Few items and long sequences: several splits; the newest token of a short one is alone in the last.
  paged("newest of long and short sequences", {
    lens: [2100, 1, 0, 18],
    hq: 2,
    hkv: 1,
    dimK: 64,
    dimV: 64,
    rotDim: 64,
  }),
];
