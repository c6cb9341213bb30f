// A divergence between the distributions of two language-model heads, over the whole vocabulary or the teacher's most likely tokens.
//
// Rows are worked on in chunks, so that logits of a few rows alone are in memory: both heads' logits, their log-probabilities, the
// divergence of each row and its slope in the student's logits, and from that the student's gradients, all in the forward.
//
// Legend: n rows, c rows of a chunk, D model width of a head, V vocabulary.
import type { Device, Tensor } from "../device/tensor.ts";
import { Tape } from "../tape.ts";
import { statsDtype } from "./flash-attention.ts";
import { kthLargestOfRows } from "./kth-largest.ts";
import { TensorMath } from "./math.ts";
import { gradientBuffer } from "./nsa-compress.ts";

/** Expressions on a chunk without gradients: [c·V], and [c] for one number a row. */
export interface RowMath {
  math: TensorMath;
  /** Σ over the vocabulary, [c·V] → [c]. */
  sum(x: Tensor): Tensor;
  /** The number of each row for its whole vocabulary, [c] → [c·V]. */
  spread(y: Tensor): Tensor;
}

/**
 * Of each row, from log-probabilities of student and teacher [c·V]: the divergence [c], and its slope in the student's logits [c·V]. Tokens
 * that the teacher leaves out have −10,000 in place of a log-probability.
 */
export type Divergence = (rows: RowMath, student: Tensor, teacher: Tensor) => { loss: Tensor; slope: Tensor };

/** A head: hidden states [n, D] and its weight [V, D]. */
export interface HeadOperands {
  h: Tensor;
  w: Tensor;
}

export interface DistillOptions {
  /** Both heads' logits are divided by it. Default 1. */
  temperature?: number;
  /** The teacher's most likely tokens, whose probabilities are scaled to 1; equals of the last one are kept, too. 0 = all. Default 0. */
  topK?: number;
  /** Numbers of a chunk's logits. Default 2²² on the CPU, 2²⁵ on a GPU. */
  chunk?: number;
}

const LEFT_OUT = -1e4;

function rowMath(device: Device, c: number, v: number): RowMath {
  const math = new TensorMath(new Tape(false));
  const cu = device.from(
    Int32Array.from({ length: c + 1 }, (_, i) => i * v),
    [c + 1],
    "i32",
  );
  return { math, sum: (x) => math.segmentSum(x, cu), spread: (y) => math.segmentBroadcast(y, cu, c * v) };
}

/** log softmax(h·Wᵀ / temperature) of rows [c, D] → [c·V]. */
function logProbabilities({ h, w }: HeadOperands, temperature: number, rows: RowMath): Tensor {
  const { device } = h;
  const [v, d] = [w.shape[0]!, w.shape[1]!];
  const n = h.numel / d;
  const stats = statsDtype(h);
  const logits = device.empty([n * v], stats);
  const [logp, lse, entropy] = [0, 0, 0].map(() => device.empty([n], stats)) as [Tensor, Tensor, Tensor];
  const targets = device.zeros([n], "i32");
  const sizes = { n, d, v, inv_temperature: 1 / temperature };
  device.run("lm_head_fwd", { h, w, targets, logp, lse, entropy, logits, ...sizes });
  return rows.math.sub(logits, rows.spread(lse));
}

/** The teacher's log-probabilities over its k most likely tokens, scaled to 1 in sum. */
function truncated(teacher: Tensor, c: number, k: number, rows: RowMath): Tensor {
  const { math } = rows;
  const { device, dtype } = teacher;
  const least = rows.spread(device.from(kthLargestOfRows(teacher, c, k), [c], dtype));
  const kept = math.ge(teacher, least);
  const mass = rows.sum(math.mul(math.exp(teacher), kept));
  const scaled = math.sub(teacher, rows.spread(math.log(mass)));
  return math.add(math.mul(scaled, kept), math.mul(math.sub(kept, 1), -LEFT_OUT));
}

/**
 * Divergence of each row, [n]. `weight` [n]: what the loss multiplies each row by; the gradients of h and w are taken at once, and none
 * flows in through the result. The teacher gets no gradient; its width may be another one.
 */
export function distillHead(
  tape: Tape,
  student: HeadOperands,
  teacher: HeadOperands,
  weight: Tensor,
  divergence: Divergence,
  { temperature = 1, topK = 0, chunk }: DistillOptions = {},
): Tensor {
  const { h, w } = student;
  const { device } = h;
  const [v, d] = [w.shape[0]!, w.shape[1]!];
  const n = h.numel / d;
  const taped = tape.needs(h, w);
  const dh = taped ? device.empty(h.shape, h.dtype) : undefined;
  const dw = taped && w.requiresGrad ? gradientBuffer(w) : undefined;
  const out = device.empty([n], statsDtype(h));
  const size = Math.max(1, Math.floor((chunk ?? (device.name === "cuda" ? 2 ** 25 : 2 ** 22)) / v));
  for (let from = 0; from < n; from += size) {
    using _ = device.scope();
    const c = Math.min(size, n - from);
    const cut = (t: Tensor, cols: number) => t.view(from * cols, [c, cols]);
    const rows = rowMath(device, c, v);
    const { math } = rows;
    const dt = teacher.w.shape[1]!;
    const s = logProbabilities({ h: cut(h, d), w }, temperature, rows);
    const whole = logProbabilities({ h: cut(teacher.h, dt), w: teacher.w }, temperature, rows);
    const t = topK > 0 && topK < v ? truncated(whole, c, topK, rows) : whole;
    const { loss, slope } = divergence(rows, s, t);
    device.run("copy", { x: loss, y: out.view(from, [c]) });
    if (!dh) continue;
    const scaled = math.mul(slope, rows.spread(weight.view(from, [c])));
    const dz = device.empty([c, v], h.dtype);
    device.run("copy", { x: scaled, y: dz });
    const plain = { alpha: 1 / temperature, beta: 0, trans_a: 0, trans_b: 0 };
    const down = { m: c, n: d, k: v, lda: v, ldb: d, ldc: d };
    device.run("gemm", { a: dz, b: w, c: cut(dh, d), ...plain, ...down });
    const up = { m: v, n: d, k: c, lda: v, ldb: d, ldc: d, trans_a: 1, beta: 1 };
    if (dw) device.run("gemm", { a: dz, b: cut(h, d), c: dw, ...plain, ...up });
  }
  if (dh) tape.accumulate(h, dh);
  return out;
}
