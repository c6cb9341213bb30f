// What a step tells about its ratios: clip fractions, importance ratios, KL; computed on the host from read values.

export interface RatioDiagnostics {
  ratioMean: number;
  ratioMax: number;
  clipFractionLow: number;
  clipFractionHigh: number;
  /** k3 estimate of KL(π_θ ‖ π_ref); 0 without a reference. */
  kl: number;
}

/** Means over tokens. A token counts as clipped where the clip changes the objective. */
export function ratioDiagnostics(
  logp: ArrayLike<number>,
  oldLogp: ArrayLike<number>,
  advantage: ArrayLike<number>,
  refLogp: ArrayLike<number> | undefined,
  clipEpsLow: number,
  clipEpsHigh: number,
): RatioDiagnostics {
  const n = logp.length;
  const d = { ratioMean: 0, ratioMax: 0, clipFractionLow: 0, clipFractionHigh: 0, kl: 0 };
  for (let t = 0; t < n; t++) {
    const ratio = Math.exp(logp[t]! - oldLogp[t]!);
    d.ratioMean += ratio / n;
    d.ratioMax = Math.max(d.ratioMax, ratio);
    if (ratio < 1 - clipEpsLow && advantage[t]! < 0) d.clipFractionLow += 1 / n;
    if (ratio > 1 + clipEpsHigh && advantage[t]! > 0) d.clipFractionHigh += 1 / n;
    if (refLogp) {
      const r = refLogp[t]! - logp[t]!;
      d.kl += (Math.exp(r) - r - 1) / n;
    }
  }
  return d;
}
