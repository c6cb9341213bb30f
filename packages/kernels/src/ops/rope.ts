// Rotary position embedding: tables with YaRN and Llama-3 scaling, and the split of a fused projection into heads.
//
// Legend: T tokens, P positions in the tables, K head_dim.
import type { FloatDtype } from "../device/dtype.ts";
import type { Device, Tensor } from "../device/tensor.ts";
import type { Tape } from "../tape.ts";
import type { RopeTables } from "./nsa-compress.ts";

/** How frequencies are stretched for contexts longer than the one trained on; names as in Hugging Face configs. */
export type RopeScaling =
  | { type: "linear"; factor: number }
  | {
      type: "llama3";
      factor: number;
      lowFreqFactor: number;
      highFreqFactor: number;
      originalMaxPositionEmbeddings: number;
    }
  | {
      type: "yarn";
      factor: number;
      originalMaxPositionEmbeddings: number;
      betaFast: number;
      betaSlow: number;
      /** Multiplies cos and sin; default 0.1·ln(factor) + 1 (YaRN eq. 15). */
      attentionFactor?: number;
      /** Whether the ramp's ends are rounded to whole channels; default true. */
      truncate?: boolean;
    };

/** Angular frequencies θ^(−2j/K), j < K/2, after scaling, and the factor on cos and sin. */
export function ropeFrequencies(
  rotDim: number,
  theta: number,
  scaling?: RopeScaling,
): { frequencies: Float64Array; attentionFactor: number } {
  const half = rotDim / 2;
  const frequencies = Float64Array.from({ length: half }, (_, j) => theta ** ((-2 * j) / rotDim));
  let attentionFactor = 1;
  if (scaling?.type === "linear") {
    for (let j = 0; j < half; j++) frequencies[j]! /= scaling.factor;
  } else if (scaling?.type === "llama3") {
    const { factor, lowFreqFactor, highFreqFactor, originalMaxPositionEmbeddings: original } = scaling;
    for (let j = 0; j < half; j++) {
      const f = frequencies[j]!;
      const turns = (original * f) / (2 * Math.PI);
      const smooth = (turns - lowFreqFactor) / (highFreqFactor - lowFreqFactor);
      const blend = Math.min(1, Math.max(0, smooth));
      frequencies[j] = (1 - blend) * (f / factor) + blend * f;
    }
  } else if (scaling?.type === "yarn") {
    const { factor, originalMaxPositionEmbeddings: original, betaFast, betaSlow } = scaling;
    // Channel whose wave turns `turns` times within the original context (YaRN §3.2).
    const channel = (turns: number) =>
      (rotDim * Math.log(original / (turns * 2 * Math.PI))) / (2 * Math.log(theta));
    const [first, last] = [channel(betaFast), channel(betaSlow)];
    const rounded = scaling.truncate ?? true;
    const low = Math.max(0, rounded ? Math.floor(first) : first);
    const high = Math.min(rotDim - 1, rounded ? Math.ceil(last) : last);
    for (let j = 0; j < half; j++) {
      const ramp = Math.min(1, Math.max(0, (j - low) / Math.max(0.001, high - low)));
      frequencies[j] = frequencies[j]! * (1 - ramp) + (frequencies[j]! / factor) * ramp;
    }
    attentionFactor = scaling.attentionFactor ?? 0.1 * Math.log(factor) + 1;
  }
  return { frequencies, attentionFactor };
}

/** Tables of cos and sin for positions 0 … P−1, [P, rotDim/2]; the caller or the scope owns them. */
export function ropeTables(
  device: Device,
  options: {
    rotDim: number;
    positions: number;
    theta: number;
    scaling?: RopeScaling;
    dtype?: FloatDtype;
  },
): RopeTables {
  const { rotDim, positions, theta, scaling, dtype = "f32" } = options;
  const half = rotDim / 2;
  const { frequencies, attentionFactor } = ropeFrequencies(rotDim, theta, scaling);
  const cos = new Float64Array(positions * half);
  const sin = new Float64Array(positions * half);
  for (let p = 0; p < positions; p++)
    for (let j = 0; j < half; j++) {
      cos[p * half + j] = Math.cos(p * frequencies[j]!) * attentionFactor;
      sin[p * half + j] = Math.sin(p * frequencies[j]!) * attentionFactor;
    }
  const shape = [positions, half];
  return { cos: device.from(cos, shape, dtype), sin: device.from(sin, shape, dtype), rotDim };
}

/** Columns [offset, offset + heads·headDim) of a fused projection, one contiguous tensor each; turned where asked. */
export interface HeadColumns {
  offset: number;
  heads: number;
  headDim: number;
  rotate: boolean;
}

function runRope(
  x: Tensor,
  y: Tensor,
  tables: RopeTables,
  positions: Tensor,
  part: HeadColumns,
  ld: { ldx: number; ldy: number },
  inverse: number,
): void {
  x.device.run("rope", {
    x,
    y,
    cos: tables.cos,
    sin: tables.sin,
    positions,
    rows: positions.numel,
    heads: part.heads,
    head_dim: part.headDim,
    rot_dim: part.rotate ? tables.rotDim : 0,
    ...ld,
    inverse,
  });
}

/**
 * Cuts fused [T, W] into parts and turns the marked ones by their position; the parts must cover all W columns.
 * One op, so that q, k, v (and gates) cost one matmul and one pass.
 */
export function splitHeads(
  tape: Tape,
  fused: Tensor,
  parts: readonly HeadColumns[],
  tables: RopeTables,
  positions: Tensor,
): Tensor[] {
  const rows = fused.shape[0]!;
  const width = fused.numel / rows;
  const onColumns = (t: Tensor, offset: number, body: (columns: Tensor) => void) => {
    const columns = t.view(offset, [t.numel - offset]);
    body(columns);
    columns.free();
  };
  const outputs = parts.map((part) => {
    const cols = part.heads * part.headDim;
    const y = fused.device.empty([rows, cols], fused.dtype);
    const ld = { ldx: width, ldy: cols };
    onColumns(fused, part.offset, (x) => runRope(x, y, tables, positions, part, ld, 0));
    return y;
  });
  if (!tape.needs(fused)) return outputs;
  tape.push(outputs, () => {
    const covered = outputs.every((t) => t.grad);
    const d = covered
      ? fused.device.empty(fused.shape, fused.dtype)
      : fused.device.zeros(fused.shape, fused.dtype);
    for (const [i, part] of parts.entries()) {
      const dy = outputs[i]!.grad;
      if (!dy) continue;
      const ld = { ldx: part.heads * part.headDim, ldy: width };
      onColumns(d, part.offset, (dx) => runRope(dy, dx, tables, positions, part, ld, 1));
    }
    tape.accumulate(fused, d);
  });
  // A copy: callers may put other tensors in its places.
  return [...outputs];
}

/** Turns x [T, heads·headDim] by its positions. */
export function rope(
  tape: Tape,
  x: Tensor,
  heads: number,
  headDim: number,
  tables: RopeTables,
  positions: Tensor,
): Tensor {
  const part = { offset: 0, heads, headDim, rotate: true };
  return splitHeads(tape, x, [part], tables, positions)[0]!;
}

/** Turns the first heads·headDim of x's `width` columns in place. */
export function turnColumns(
  x: Tensor,
  tables: RopeTables,
  positions: Tensor,
  columns: { heads: number; headDim: number; width: number },
): void {
  const { heads, headDim, width } = columns;
  const part = { offset: 0, heads, headDim, rotate: true };
  runRope(x, x, tables, positions, part, { ldx: width, ldy: width }, 0);
}
