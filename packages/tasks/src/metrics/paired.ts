// Whether two models differ on the same problems: McNemar's exact test and a paired bootstrap.
import { Rng } from "@nsa/core";

const STREAM = 32;

/** Two-sided exact McNemar test: b problems only the first solved, c only the second. */
export function mcnemar(b: number, c: number): number {
  const n = b + c;
  if (n === 0) return 1;
  // 2·P(X ≤ min(b, c)) for X ~ Binomial(n, 1/2), in logarithms.
  let [logTerm, sum] = [-n * Math.LN2, 0];
  for (let k = 0; k <= Math.min(b, c); k++) {
    sum += Math.exp(logTerm);
    logTerm += Math.log((n - k) / (k + 1));
  }
  return Math.min(1, 2 * sum);
}

export interface PairedDifference {
  /** Mean of second − first. */
  difference: number;
  /** 95 % percentile interval over problems. */
  low: number;
  high: number;
  /** Two-sided p by flipping signs at random. */
  p: number;
}

/** Paired difference of per-problem scores in [0, 1], seeded. */
export function pairedDifference(
  first: readonly number[],
  second: readonly number[],
  options: { seed?: number; resamples?: number } = {},
): PairedDifference {
  const n = first.length;
  if (n !== second.length) throw new Error("paired scores must be of the same problems");
  if (n === 0) return { difference: 0, low: 0, high: 0, p: 1 };
  const resamples = options.resamples ?? 2000;
  const rng = new Rng(options.seed ?? 0, STREAM);
  const d = first.map((x, i) => second[i]! - x);
  const difference = d.reduce((a, b) => a + b, 0) / n;
  const means = new Float64Array(resamples);
  let extreme = 0;
  for (let r = 0; r < resamples; r++) {
    let [sum, flipped] = [0, 0];
    for (let i = 0; i < n; i++) {
      sum += d[Math.floor(rng.uniform(r, i) * n)]!;
      flipped += rng.uniform(r, i, 1) < 0.5 ? d[i]! : -d[i]!;
    }
    means[r] = sum / n;
    if (Math.abs(flipped / n) >= Math.abs(difference) - 1e-12) extreme++;
  }
  means.sort();
  return {
    difference,
    low: means[Math.floor(0.025 * resamples)]!,
    high: means[Math.ceil(0.975 * resamples) - 1]!,
    p: (extreme + 1) / (resamples + 1),
  };
}
