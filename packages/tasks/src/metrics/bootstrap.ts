// Bootstrap confidence intervals of means over problems, seeded.
import { Rng } from "@nsa/core";

const STREAM = 31;

/** 95 % percentile interval of the mean. */
export function bootstrapInterval(
  values: readonly number[],
  options: { seed?: number; resamples?: number } = {},
): { mean: number; low: number; high: number } {
  const n = values.length;
  if (n === 0) return { mean: Number.NaN, low: Number.NaN, high: Number.NaN };
  const mean = values.reduce((a, b) => a + b, 0) / n;
  const resamples = options.resamples ?? 1000;
  const rng = new Rng(options.seed ?? 0, STREAM);
  const means = Array.from({ length: resamples }, (_, r) => {
    let sum = 0;
    for (let i = 0; i < n; i++) sum += values[Math.floor(rng.uniform(r, i) * n)]!;
    return sum / n;
  }).sort((a, b) => a - b);
  return { mean, low: means[Math.floor(0.025 * resamples)]!, high: means[Math.ceil(0.975 * resamples) - 1]! };
}
