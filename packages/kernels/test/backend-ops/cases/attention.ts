// Cases of flash attention and of NSA's gate on packed documents, with the softmax's statistics computed here.
import { added, given, input, normal, type OpCase, output } from "../case.ts";

export interface Sizes {
  /** Borders of the documents, from 0. */
  borders: number[];
  hq: number;
  hkv: number;
  dimK: number;
  dimV: number;
  /** Rows of k and v where they are not those of q. */
  keyRows?: number;
}

/** Calls `body` with each row, its document's first row, and its place in the document. */
export function eachRow(borders: number[], body: (row: number, start: number, t: number) => void): void {
  for (let i = 0; i + 1 < borders.length; i++)
    for (let row = borders[i]!; row < borders[i + 1]!; row++) body(row, borders[i]!, row - borders[i]!);
}

/** o and lse of softmax attention of q [T, hq, dk] on the key rows that `keysOf` lists for a row and KV head. */
function attend(
  s: Sizes,
  q: Float64Array,
  k: Float64Array,
  v: Float64Array,
  keysOf: (row: number, kv: number) => number[],
) {
  const rows = s.borders.at(-1)!;
  const o = new Float64Array(rows * s.hq * s.dimV);
  const lse = new Float64Array(rows * s.hq);
  for (let row = 0; row < rows; row++) {
    for (let h = 0; h < s.hq; h++) {
      const kv = Math.floor(h / (s.hq / s.hkv));
      const keys = keysOf(row, kv);
      const scores = keys.map((key) => {
        let z = 0;
        for (let c = 0; c < s.dimK; c++)
          z += q[(row * s.hq + h) * s.dimK + c]! * k[(key * s.hkv + kv) * s.dimK + c]!;
        return z / Math.sqrt(s.dimK);
      });
      const total = scores.reduce((sum, z) => sum + Math.exp(z), 0);
      lse[row * s.hq + h] = Math.log(total);
      keys.forEach((key, i) => {
        for (let c = 0; c < s.dimV; c++)
          o[(row * s.hq + h) * s.dimV + c]! +=
            (Math.exp(scores[i]!) / total) * v[(key * s.hkv + kv) * s.dimV + c]!;
      });
    }
  }
  return { o, lse };
}

function operands(s: Sizes) {
  const rows = s.borders.at(-1)!;
  const keyRows = s.keyRows ?? rows;
  const [nq, nk, nv] = [rows * s.hq * s.dimK, keyRows * s.hkv * s.dimK, keyRows * s.hkv * s.dimV];
  return { rows, keyRows, q: normal(1, nq), k: normal(2, nk), v: normal(3, nv) };
}

const strides = (s: Sizes) => ({
  hq: s.hq,
  hkv: s.hkv,
  dim_k: s.dimK,
  dim_v: s.dimV,
  ldq: s.hq * s.dimK,
  ldk: s.hkv * s.dimK,
  ldv: s.hkv * s.dimV,
  ldo: s.hq * s.dimV,
  scale: 1 / Math.sqrt(s.dimK),
});

/** Sums of a∘b over the channels of each (row, head). */
const rowSums = (a: ArrayLike<number>, b: ArrayLike<number>, { dimV }: Sizes) =>
  Float64Array.from({ length: a.length / dimV }, (_, i) => {
    let sum = 0;
    for (let c = i * dimV; c < (i + 1) * dimV; c++) sum += a[c]! * b[c]!;
    return sum;
  });

/** Forward and backward of one op; `fields` and `numbers` are what it takes besides q, k, v and their like. */
export function both(
  op: string,
  name: string,
  s: Sizes,
  perfOnly: boolean,
  keysOf: (row: number, kv: number) => number[],
  keys: number,
  fields: OpCase["buffers"],
  numbers: Record<string, number>,
): OpCase[] {
  const { rows, keyRows, q, k, v } = operands(s);
  const stats = perfOnly
    ? { o: normal(4, rows * s.hq * s.dimV), lse: new Float64Array(rows * s.hq).fill(Math.log(1000)) }
    : attend(s, q, k, v, keysOf);
  const shapes = {
    q: [rows, s.hq * s.dimK],
    k: [keyRows, s.hkv * s.dimK],
    v: [keyRows, s.hkv * s.dimV],
    o: [rows, s.hq * s.dimV],
  };
  const shared = {
    q: given(q, "float", shapes.q),
    k: given(k, "float", shapes.k),
    v: given(v, "float", shapes.v),
    ...fields,
  };
  const flops = 2 * keys * s.hq * (s.dimK + s.dimV);
  return [
    {
      op: `${op}_fwd`,
      name,
      perfOnly,
      flops,
      buffers: { ...shared, o: output(shapes.o), lse: output([rows, s.hq], "f32") },
      numbers: { ...strides(s), ...numbers },
    },
    // Gradients that cancel (a query with one key) have no relative error: f32 is checked on top of what is there.
    ...(perfOnly ? [0] : [3, 0]).map((accumulate): OpCase => {
      const gradient = (shape: number[], seed: number) => (accumulate ? added(seed, shape) : output(shape));
      return {
        op: `${op}_bwd`,
        name: accumulate ? `${name}, added` : name,
        perfOnly,
        backward: true,
        dtypes: accumulate ? ["f32", "bf16"] : ["bf16"],
        flops: flops * 2.5,
        buffers: {
          ...shared,
          o: given(stats.o, "float", shapes.o),
          lse: given(stats.lse, "f32", [rows, s.hq]),
          do_: input(5, shapes.o),
          dq: gradient(shapes.q, 6),
          dk: gradient(shapes.k, 7),
          dv: gradient(shapes.v, 8),
          // Known in the one, summed by the op in the other.
          ...(accumulate
            ? { delta: given(rowSums(stats.o, normal(5, stats.o.length), s), "f32", [rows, s.hq]) }
            : {}),
        },
        numbers: { ...strides(s), ...numbers, accumulate },
      };
    }),
  ];
}

function flash(name: string, s: Sizes, window: number, perfOnly = false): OpCase[] {
  const starts: number[] = [];
  let keys = 0;
  eachRow(s.borders, (row, start, t) => {
    starts[row] = start;
    keys += window ? Math.min(window, t + 1) : t + 1;
  });
  const keysOf = (row: number) => {
    const first = window ? Math.max(starts[row]!, row - window + 1) : starts[row]!;
    return Array.from({ length: row - first + 1 }, (_, i) => first + i);
  };
  const cu = given(s.borders, "i32");
  const rows = s.borders.at(-1)!;
  const numbers = { n_docs: s.borders.length - 1, tq: rows, tk: rows, window, block_size: 1, stride: 1 };
  const cases = unturned(both("flash", name, s, perfOnly, keysOf, keys, { cu_q: cu, cu_k: cu }, numbers));
  const plain = cases.filter((c) => c.op === "flash_bwd" && !c.perfOnly && !c.numbers.accumulate);
  return [...cases, ...plain.map((c) => turnedBack(c, s))];
}

const unturned = (cases: OpCase[]) =>
  cases.map((c) => (c.op === "flash_bwd" ? { ...c, numbers: { ...c.numbers, rot_dim: 0 } } : c));

/** A backward whose dq and dk are those before a rope of all even channels. */
function turnedBack(c: OpCase, s: Sizes): OpCase {
  const rotDim = s.dimK - (s.dimK % 2);
  const rows = s.borders.at(-1)!;
  const positions: number[] = [];
  eachRow(s.borders, (row, _, t) => {
    positions[row] = t;
  });
  const table = (f: (x: number) => number) =>
    given(
      Float64Array.from({ length: (rows * rotDim) / 2 }, (_, i) => f(0.37 * i)),
      "f32",
      [rows, rotDim / 2],
    );
  return {
    ...c,
    name: `${c.name}, turned back`,
    buffers: { ...c.buffers, cos: table(Math.cos), sin: table(Math.sin), positions: given(positions, "i32") },
    numbers: { ...c.numbers, rot_dim: rotDim },
  };
}

/** Compressed keys, of which the last documents, without queries, own some that nobody sees: their gradient is 0. */
function compressed(name: string, s: Sizes, block: number, stride: number, unused: number): OpCase[] {
  const cuK = [0];
  for (let i = 0; i + 1 < s.borders.length; i++) {
    const length = s.borders[i + 1]! - s.borders[i]!;
    cuK.push(cuK[i]! + (length < block ? 0 : Math.floor((length - block) / stride) + 1));
  }
  cuK[cuK.length - 1]! += unused;
  const first: number[] = [];
  const local: number[] = [];
  for (let i = 0; i + 1 < s.borders.length; i++)
    for (let row = s.borders[i]!; row < s.borders[i + 1]!; row++) {
      first[row] = cuK[i]!;
      local[row] = row - s.borders[i]!;
    }
  const keysOf = (row: number) =>
    Array.from(
      { length: Math.max(0, Math.floor((local[row]! - block + 1) / stride) + 1) },
      (_, j) => first[row]! + j,
    );
  const rows = s.borders.at(-1)!;
  const keyRows = cuK.at(-1)!;
  const numbers = {
    n_docs: s.borders.length - 1,
    tq: rows,
    tk: keyRows,
    window: 0,
    block_size: block,
    stride,
  };
  const fields = { cu_q: given(s.borders, "i32"), cu_k: given(cuK, "i32") };
  return unturned(both("flash", name, { ...s, keyRows }, false, keysOf, rows * keyRows, fields, numbers));
}

function gate(tokens: number, hq: number, dimV: number, { perfOnly = false, sums = true } = {}): OpCase[] {
  const [wide, ldg] = [[tokens, hq * dimV], 3 * hq + 2];
  const shared = {
    gate: input(1, [tokens, ldg]),
    o_cmp: input(2, wide),
    o_slc: input(3, wide),
    o_win: input(4, wide),
  };
  const numbers = { tokens, hq, dim_v: dimV, ldg };
  const name = `${tokens}x${hq}x${dimV}`;
  return [
    { op: "nsa_gate_fwd", name, perfOnly, buffers: { ...shared, o: output(wide) }, numbers },
    {
      op: "nsa_gate_bwd",
      name,
      perfOnly,
      backward: true,
      buffers: {
        ...shared,
        do_: input(5, wide),
        dgate: { ...input(6, [tokens, ldg]), role: "add" },
        do_cmp: output(wide),
        do_slc: output(wide),
        do_win: output(wide),
        ...(sums ? { deltas: output([3 * tokens, hq], "f32") } : {}),
      },
      numbers,
    },
  ];
}

/** Backwards in bf16 by each of the kernels that a GPU with `wgmma` chooses from by the length of documents. */
const byPasses = (cases: OpCase[]): OpCase[] =>
  cases.flatMap((c) =>
    c.op === "flash_bwd"
      ? [
          { ...c, name: `${c.name}, two passes`, env: { NSA_FLASH: "twopass" } },
          { ...c, name: `${c.name}, one pass`, dtypes: ["bf16"], env: { NSA_FLASH: "onepass" } },
        ]
      : [c],
  );

const docs = [0, 37, 37, 38, 70];
// Cases are made on import, so even these stay modest.
const long = [0, 2048];
const small = { borders: docs, hq: 6, hkv: 2, dimK: 24, dimV: 16 };

export const attentionCases: OpCase[] = [
  ...flash("three documents", small, 0),
  ...flash("window, odd dims", { borders: docs, hq: 3, hkv: 1, dimK: 13, dimV: 7 }, 9),
  // Several tiles of every width that tensor-core kernels are made for.
  ...byPasses([
    ...flash("tiles of 64", { borders: [0, 150, 215], hq: 2, hkv: 1, dimK: 64, dimV: 64 }, 0),
    ...flash("tiles of 128, window", { borders: [0, 210], hq: 2, hkv: 1, dimK: 128, dimV: 128 }, 70),
    // Borders inside tiles, an empty document, documents of one token, the last key tile of one key.
    ...flash(
      "tiles of 128, ragged",
      { borders: [0, 1, 2, 67, 67, 196, 325], hq: 4, hkv: 2, dimK: 128, dimV: 128 },
      0,
    ),
    ...flash(
      "tiles of 64, ragged, window",
      { borders: [0, 1, 130, 137, 400], hq: 4, hkv: 2, dimK: 64, dimV: 64 },
      129,
    ),
    // Backwards alone: the lse of a document of one token is near 0, where no error is small beside it.
    ...flash(
      "more documents than threads of a block",
      { borders: [...Array(1100).keys(), 1200, 1399], hq: 1, hkv: 1, dimK: 64, dimV: 64 },
      0,
    ).filter((c) => c.op === "flash_bwd"),
    ...flash("one token", { borders: [0, 1], hq: 1, hkv: 1, dimK: 128, dimV: 128 }, 0),
    ...flash("window of two", { borders: [0, 131], hq: 2, hkv: 2, dimK: 128, dimV: 128 }, 2),
    ...flash("64 heads a group", { borders: [0, 133], hq: 64, hkv: 1, dimK: 64, dimV: 64 }, 0),
    ...flash("8 heads a group", { borders: [0, 140], hq: 16, hkv: 2, dimK: 128, dimV: 128 }, 0),
    ...compressed(
      "compressed keys, tiles of 128, some unused",
      { borders: [0, 20, 610, 610], hq: 2, hkv: 1, dimK: 128, dimV: 128 },
      8,
      4,
      150,
    ),
  ]),
  ...flash("tiles of 192 and 128", { borders: [0, 135], hq: 2, hkv: 1, dimK: 192, dimV: 128 }, 0),
  ...flash("tiles of 256", { borders: [0, 130], hq: 1, hkv: 1, dimK: 256, dimV: 256 }, 0),
  ...compressed("compressed keys, some unused", { ...small, borders: [...docs, 70, 70] }, 8, 4, 5),
  ...byPasses(
    compressed(
      "compressed keys, tiles of 64, some unused",
      { borders: [0, 300, 300], hq: 2, hkv: 1, dimK: 64, dimV: 64 },
      8,
      4,
      70,
    ),
  ),
  ...flash("dense 2k, 16 q / 4 kv", { borders: long, hq: 16, hkv: 4, dimK: 64, dimV: 64 }, 0, true),
  ...gate(37, 6, 16),
  ...gate(5, 3, 7, { sums: false }),
  // Less than, exactly and more than the accesses of 8, 16 and 32 lanes.
  ...[24, 72, 128, 136, 264].flatMap((dimV) => gate(11, 3, dimV)),
  ...gate(2048, 16, 64, { perfOnly: true }),
];
