// Cases of the elementwise ops, reductions and moves of rows.
import { added, given, input, normal, type OpCase, output } from "../case.ts";

const positive = (seed: number, n: number) => normal(seed, n).map((x) => Math.abs(x) + 0.1);
const unaryNames = "neg exp log sigmoid square sqrt reciprocal abs tanh silu relu log-sigmoid sign".split(
  " ",
);
const binaryNames = "add sub mul div min max gt ge eq rsub rdiv".split(" ");
const n = 5003;

const unary = unaryNames.flatMap((name, kind): OpCase[] => {
  const x = kind === 2 || kind === 5 || kind === 6 ? positive(kind, n) : normal(kind, n, 2);
  const f = [
    (v: number) => -v,
    Math.exp,
    Math.log,
    (v: number) => 1 / (1 + Math.exp(-v)),
    (v: number) => v * v,
    Math.sqrt,
    (v: number) => 1 / v,
    Math.abs,
    Math.tanh,
    (v: number) => v / (1 + Math.exp(-v)),
    (v: number) => Math.max(v, 0),
    (v: number) => Math.min(v, 0) - Math.log1p(Math.exp(-Math.abs(v))),
    Math.sign,
  ][kind]!;
  return [
    { op: "unary", name, buffers: { x: given(x, "float"), y: output([n]) }, numbers: { kind } },
    {
      op: "unary_bwd",
      name,
      backward: true,
      buffers: {
        x: given(x, "float"),
        y: given(x.map(f), "float"),
        dy: input(50 + kind, [n]),
        dx: output([n]),
      },
      numbers: { kind },
    },
  ];
});

// Values on a coarse grid, so that comparisons meet equal elements.
const grid = (seed: number) => normal(seed, n).map((x) => Math.round(x * 4) / 4 || 0.25);
const binary = binaryNames.flatMap((name, kind): OpCase[] => {
  const a = given(grid(kind), "float");
  const scalar: OpCase = {
    op: "binary_scalar",
    name,
    buffers: { a, y: output([n]) },
    numbers: { kind, value: 0.75 },
  };
  if (kind > 8) return [scalar];
  const cases = [given(grid(90 + kind), "float"), given([0.5], "float")].map((b, i): OpCase => {
    return {
      op: "binary",
      name: `${name}${i ? " by one" : ""}`,
      buffers: { a, b, y: output([n]) },
      numbers: { kind },
    };
  });
  return [...cases, scalar];
});

const cu = [0, 0, 3, 700, 5003];
const reductions = ["sum", "max", "min"].flatMap((name, kind): OpCase[] => [
  { op: "reduce", name, buffers: { x: input(kind, [100_003]), y: output([1]) }, numbers: { kind } },
  {
    op: "segment_reduce",
    name,
    buffers: { x: input(kind + 9, [n]), cu: given(cu, "i32"), y: output([4]) },
    numbers: { n: 4, kind },
  },
]);

const perm = Array.from({ length: 70 }, (_, i) => (i % 9 === 4 ? -1 : (i * 37) % 101));
const ids = Array.from({ length: 300 }, (_, i) => (i % 11 === 3 ? -1 : (i * i) % 17));

export const elementwiseCases: OpCase[] = [
  { op: "fill", name: "value", buffers: { x: output([n]) }, numbers: { value: 1.7 } },
  { op: "fill", name: "integers", buffers: { x: output([n], "i64") }, numbers: { value: 2 ** 40 + 1 } },
  // Whole 16-byte vectors.
  ...(["f32", "float"] as const).flatMap((kind): OpCase[] => [
    {
      op: "copy",
      name: `vectors to ${kind}`,
      buffers: { x: input(1, [4096]), y: output([4096], kind) },
      numbers: {},
    },
    {
      op: "copy",
      name: `vectors from ${kind}`,
      buffers: { x: input(1, [4096], 1, kind), y: output([4096]) },
      numbers: {},
    },
  ]),
  {
    op: "add",
    name: "vectors",
    buffers: { a: input(1, [4096]), b: input(2, [4096]), y: output([4096]) },
    numbers: { alpha: 0.7, beta: -1.3 },
  },
  { op: "unary", name: "vectors", buffers: { x: input(1, [4096]), y: output([4096]) }, numbers: { kind: 9 } },
  {
    op: "gather_rows",
    name: "vectors",
    buffers: { x: input(8, [101, 40]), idx: given(perm, "i32"), y: output([70, 40]) },
    numbers: { rows: 70, cols: 40 },
  },
  {
    op: "embedding_bwd",
    name: "one id in two thirds of the tokens",
    backward: true,
    buffers: {
      dy: input(10, [1000, 24]),
      ids: given(
        Int32Array.from({ length: 1000 }, (_, i) => (i % 3 ? 300 : (i * 7919) % 70_000)),
        "i32",
      ),
      dw: added(11, [70_000, 24], "f32"),
    },
    numbers: { tokens: 1000, vocab: 70_000, d: 24 },
  },
  { op: "copy", name: "same dtype", buffers: { x: input(1, [n]), y: output([n]) }, numbers: {} },
  { op: "copy", name: "to f32", buffers: { x: input(1, [n]), y: output([n], "f32") }, numbers: {} },
  { op: "copy", name: "from f32", buffers: { x: input(1, [n], 1, "f32"), y: output([n]) }, numbers: {} },
  {
    op: "add",
    name: "weighted",
    buffers: { a: input(1, [n]), b: input(2, [n]), y: output([n]) },
    numbers: { alpha: 0.7, beta: -1.3 },
  },
  ...unary,
  ...binary,
  ...reductions,
  {
    op: "segment_broadcast",
    name: "documents",
    buffers: { y: input(3, [4]), cu: given(cu, "i32"), x: output([n]) },
    numbers: { n: 4 },
  },
  {
    op: "col_sum",
    name: "tall",
    backward: true,
    buffers: { x: input(4, [517, 131]), y: added(5, [131], "f32") },
    numbers: { rows: 517, cols: 131 },
  },
  {
    op: "sum_squares",
    name: "long",
    buffers: { x: input(6, [70_001]), y: added(7, [1], "f32") },
    numbers: {},
  },
  {
    op: "fingerprint",
    name: "long",
    buffers: { x: given(normal(7, 70_001, 1e6).map(Math.trunc), "i32"), y: output([2], "i32") },
    numbers: {},
  },
  {
    op: "gather_rows",
    name: "with holes",
    buffers: { x: input(8, [101, 33]), idx: given(perm, "i32"), y: output([70, 33]) },
    numbers: { rows: 70, cols: 33 },
  },
  {
    op: "scatter_rows",
    name: "with holes",
    buffers: { y: input(9, [70, 33]), idx: given(perm, "i32"), x: output([101, 33]) },
    numbers: { rows: 70, cols: 33, x_rows: 101 },
  },
  {
    op: "embedding_bwd",
    name: "repeated ids",
    backward: true,
    buffers: { dy: input(10, [300, 150]), ids: given(ids, "i32"), dw: added(11, [17, 150], "f32") },
    numbers: { tokens: 300, vocab: 17, d: 150 },
  },
  {
    op: "paged_write",
    name: "strided rows",
    buffers: { x: input(12, [5, 60]), cache: added(13, [64, 40]), slot: given([3, -1, 63, 0, 17], "i32") },
    numbers: { rows: 5, cols: 40, ldx: 60 },
  },
  {
    op: "page_copy",
    name: "two pages",
    buffers: { cache: added(14, [8, 96]), src: given([1, 5], "i32"), dst: given([7, 0], "i32") },
    numbers: { n: 2, page_elems: 96 },
  },
  ...(["add", "unary", "binary"] as const).map((op): OpCase => {
    const shape = [4 << 20];
    const [a, b, y] = [given(new Float64Array(shape[0]!).fill(0.5), "float"), input(2, [1]), output(shape)];
    const buffers: OpCase["buffers"] =
      op === "add" ? { a, b: a, y } : op === "unary" ? { x: a, y } : { a, b, y };
    const numbers: Record<string, number> =
      op === "add" ? { alpha: 1, beta: 1 } : { kind: op === "unary" ? 9 : 2 };
    return { op, name: "4M", perfOnly: true, buffers, numbers };
  }),
];
