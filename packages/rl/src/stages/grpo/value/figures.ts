// How good the values of a step were: against the returns that came, over all tokens and by their place in the output.
import type { Metrics } from "@nsa/core";

export interface ValuedOutput {
  /** V of the state in which each token was sampled, and what came of it. */
  values: ArrayLike<number>;
  returns: ArrayLike<number>;
}

/** Places that an output is divided into. */
const QUARTERS = 4;

const mean = (xs: readonly number[]) => xs.reduce((a, b) => a + b, 0) / xs.length;
const variance = (xs: readonly number[]) => {
  const m = mean(xs);
  return mean(xs.map((x) => (x - m) ** 2));
};

/**
 * `value/explained_variance` = 1 − Var(R − V) / Var(R), `value/mean`, `value/return_mean`, and `value/error_quarter_1` … `4`: the mean
 * |R − V| of the first to the last quarter of the outputs' tokens.
 */
export function valueMetrics(outputs: readonly ValuedOutput[]): Metrics {
  const [values, returns, errors]: [number[], number[], number[]] = [[], [], []];
  const quarters: number[][] = Array.from({ length: QUARTERS }, () => []);
  for (const output of outputs) {
    const { length } = output.values;
    for (let t = 0; t < length; t++) {
      const [v, r] = [output.values[t]!, output.returns[t]!];
      values.push(v);
      returns.push(r);
      errors.push(r - v);
      quarters[Math.floor((QUARTERS * t) / length)]!.push(Math.abs(r - v));
    }
  }
  if (values.length === 0) return {};
  const spread = variance(returns);
  const metrics: Metrics = { "value/mean": mean(values), "value/return_mean": mean(returns) };
  // Returns that are all equal explain nothing and leave nothing to explain.
  if (spread > 0) metrics["value/explained_variance"] = 1 - variance(errors) / spread;
  for (const [i, own] of quarters.entries())
    if (own.length > 0) metrics[`value/error_quarter_${i + 1}`] = mean(own);
  return metrics;
}
