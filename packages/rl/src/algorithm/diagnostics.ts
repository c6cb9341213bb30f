// Importance ratios and clip fractions of a step's tokens, computed on the host from log-probabilities that were read back.

export interface RatioDiagnostics {
  ratioMean: number;
  ratioMax: number;
  clipFractionLow: number;
  clipFractionHigh: number;
  /** Share of ratios outside [0.9, 1.1]. */
  outsideShare: number;
}

/** Whether a ratio of probabilities lies outside [0.9, 1.1]: more than rounding makes of 1. */
export const isOutside = (ratio: number): boolean => ratio < 0.9 || ratio > 1.1;

/** Means over tokens of log-ratios log π_θ/π_old. A token counts as clipped where the clip changes the objective. */
export function ratioDiagnostics(
  logRatio: ArrayLike<number>,
  advantage: ArrayLike<number>,
  clipEpsLow: number,
  clipEpsHigh: number,
): RatioDiagnostics {
  const n = logRatio.length;
  const d = { ratioMean: 0, ratioMax: 0, clipFractionLow: 0, clipFractionHigh: 0, outsideShare: 0 };
  for (let t = 0; t < n; t++) {
    const ratio = Math.exp(logRatio[t]!);
    d.ratioMean += ratio / n;
    if (isOutside(ratio)) d.outsideShare += 1 / n;
    d.ratioMax = Math.max(d.ratioMax, ratio);
    if (ratio < 1 - clipEpsLow && advantage[t]! < 0) d.clipFractionLow += 1 / n;
    if (ratio > 1 + clipEpsHigh && advantage[t]! > 0) d.clipFractionHigh += 1 / n;
  }
  return d;
}

/** Every entry replaced by the mean of its segment: gspo's ratio is that of the sequence. */
export function segmentMeans(values: ArrayLike<number>, lengths: readonly number[]): Float64Array {
  const out = new Float64Array(values.length);
  let at = 0;
  for (const length of lengths) {
    let sum = 0;
    for (let t = at; t < at + length; t++) sum += values[t]!;
    out.fill(sum / Math.max(1, length), at, at + length);
    at += length;
  }
  return out;
}
