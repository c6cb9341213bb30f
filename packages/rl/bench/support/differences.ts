// Differences of two methods over seeds, with Student's interval: what the seeds allow to say, and no more.

/** 97.5 % quantiles of Student's t by degrees of freedom, from 1. */
const T_975 = [12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179];

export interface Difference {
  mean: number;
  /** 95 % interval of the mean over seeds; infinite for one seed. */
  low: number;
  high: number;
}

/** Second less first, paired by seed. */
export function differenceOverSeeds(first: readonly number[], second: readonly number[]): Difference {
  const d = first.map((x, i) => second[i]! - x);
  const n = d.length;
  const mean = d.reduce((a, b) => a + b, 0) / n;
  if (n < 2) return { mean, low: Number.NEGATIVE_INFINITY, high: Number.POSITIVE_INFINITY };
  const std = Math.sqrt(d.reduce((a, b) => a + (b - mean) ** 2, 0) / (n - 1));
  const half = (T_975[Math.min(n - 1, T_975.length) - 1]! * std) / Math.sqrt(n);
  return { mean, low: mean - half, high: mean + half };
}

/** Whether a claim that the difference is positive holds; an interval that holds 0 decides nothing. */
export function verdictOn({ low, high }: Difference): "agrees" | "disagrees" | "undecided" {
  if (low > 0) return "agrees";
  return high < 0 ? "disagrees" : "undecided";
}
