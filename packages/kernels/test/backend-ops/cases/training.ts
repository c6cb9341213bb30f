// Cases of the optimizer, randomness and sampling.
import { added, given, input, normal, type OpCase, output } from "../case.ts";

const square = (seed: number, n: number) => normal(seed, n).map((x) => x * x * 1e-3);

function adamw(n: number, skip: number, perfOnly = false, beta2 = 0.95): OpCase {
  return {
    op: "adamw",
    name: skip ? "skipped step" : `${n}, beta2 ${beta2}`,
    dtypes: ["f32"],
    perfOnly,
    buffers: {
      p: added(1, [n]),
      g: input(2, [n]),
      m: { ...added(3, [n]), values: normal(3, n, 0.1) },
      v: { ...added(4, [n]), values: square(4, n) },
      p_low: skip ? added(5, [n]) : output([n]),
      state: given([3e-4, 7, 0.6, skip, 1.3, 0, 0, 0], "f32"),
    },
    numbers: { lr_mult: 0.5, beta1: 0.9, beta2, eps: 1e-8, weight_decay: 0.1, seed: 5 },
  };
}

const prepare = (
  name: string,
  sumsq: number,
  maxNorm: number,
  { losses, limit = 0 }: { losses?: number[]; limit?: number } = {},
): OpCase => ({
  op: "optim_prepare",
  name,
  dtypes: ["f32"],
  buffers: {
    sumsq: given([sumsq], "f32"),
    ...(losses && { losses: given(losses, "f32") }),
    state: { ...added(1, [8], "f32"), values: [1e-3, 4, 9, 9, 9, limit, 0, 0] },
  },
  numbers: { max_norm: maxNorm, grad_scale: 0.25 },
});

/** Rows of (temperature, top_p, min_p, top_k). */
function sample(
  name: string,
  v: number,
  rows: number[][],
  perfOnly = false,
  logits = input(7, [rows.length, v], 2),
): OpCase {
  const b = rows.length;
  return {
    op: "sample",
    name,
    dtypes: ["f32"],
    perfOnly,
    buffers: {
      logits,
      params: given(rows.flat(), "f32", [b, 4]),
      seeds: given(
        rows.map((_, i) => 1000 + i),
        "i64",
      ),
      request: given(
        rows.map((_, i) => i * 3),
        "i32",
      ),
      position: given(
        rows.map((_, i) => 17 + i),
        "i32",
      ),
      ids: output([b], "i32"),
      logp: output([b], "f32"),
      kept_logmass: output([b], "f32"),
    },
    numbers: { b, v },
  };
}

/** Logits in steps of a half, so that many share the top, with ids that cannot be drawn: rows of v over pieces of any size. */
const tied = (b: number, v: number) =>
  given(
    normal(11, b * v, 1).map((x, i) => (i % 3 === 0 ? Number.NEGATIVE_INFINITY : Math.round(2 * x) / 2)),
    "float",
    [b, v],
  );

const repeat = (row: number[]) => Array.from({ length: 16 }, () => row);

export const trainingCases: OpCase[] = [
  adamw(5003, 0),
  adamw(4096, 0, false, 0.999),
  adamw(100, 1),
  adamw(4 << 20, 0, true),
  prepare("clipped", 400, 1),
  prepare("below the norm", 4, 1),
  prepare("no clip", 400, 0),
  prepare("overflow", Number.POSITIVE_INFINITY, 1),
  prepare("an outlier", 400, 1, { limit: 4.9 }),
  prepare("no outlier", 400, 1, { limit: 5.1, losses: [1, 2] }),
  prepare("a loss that is no number", 400, 1, { losses: [1, Number.NaN, 2] }),
  {
    op: "philox_normal",
    name: "odd length",
    buffers: { x: output([5003]) },
    numbers: { seed: 2 ** 40 + 3, stream: 1, step: 9, mean: 0.5, std: 2 },
  },
  {
    op: "philox_normal",
    name: "1M",
    perfOnly: true,
    buffers: { x: output([1 << 20]) },
    numbers: { seed: 3, stream: 1, step: 9, mean: 0, std: 1 },
  },
  sample("greedy", 1003, repeat([0, 1, 0, 0])),
  sample("temperature", 1003, repeat([0.7, 1, 0, 0])),
  sample("top-k", 1003, repeat([1.3, 1, 0, 20])),
  sample("top-p", 1003, repeat([1, 0.8, 0, 0])),
  sample("min-p", 1003, repeat([1, 1, 0.05, 0])),
  sample("all filters", 1003, repeat([0.9, 0.7, 0.02, 50])),
  // Vocabularies of several pieces, whole and ragged.
  ...[4096, 4099, 9001].flatMap((v) => [
    sample(`greedy of ${v}`, v, repeat([0, 1, 0, 0])),
    sample(`temperature of ${v}`, v, repeat([0.7, 1, 0, 0])),
    sample(`greedy of ${v}, ties`, v, repeat([0, 1, 0, 0]), false, tied(16, v)),
    sample(`temperature of ${v}, ties`, v, repeat([1.1, 1, 0, 0]), false, tied(16, v)),
  ]),
  sample("16 of 32k", 32_768, repeat([1, 1, 0, 0]), true),
  sample("16 of 32k, top-p", 32_768, repeat([0.8, 0.95, 0, 0]), true),
];
