// 95 % intervals of a mean over problems.
import { bootstrapInterval } from "./bootstrap.ts";

/** The 97.5 % point of the normal distribution. */
const Z = 1.959963984540054;

interface Interval {
  mean: number;
  low: number;
  high: number;
}

/** Wilson's interval of a share: none right, or all, are no certainty. */
export function wilsonInterval(right: number, n: number): Interval {
  if (n === 0) return { mean: Number.NaN, low: Number.NaN, high: Number.NaN };
  const p = right / n;
  const z2 = (Z * Z) / n;
  const middle = (p + z2 / 2) / (1 + z2);
  const half = (Z / (1 + z2)) * Math.sqrt((p * (1 - p)) / n + z2 / (4 * n));
  // At the ends the two meet but for rounding.
  return { mean: p, low: right === 0 ? 0 : middle - half, high: right === n ? 1 : middle + half };
}

/** The interval of a mean of problems' shares of right answers: Wilson's where each is 0 or 1, bootstrap otherwise. */
export function shareInterval(values: readonly number[]): Interval {
  if (values.some((v) => v !== 0 && v !== 1)) return bootstrapInterval(values);
  return wilsonInterval(
    values.reduce((sum, v) => sum + v, 0),
    values.length,
  );
}
