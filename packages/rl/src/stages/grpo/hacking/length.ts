// Whether rewards follow the lengths of outputs: a reward that pays for length ranks right over wrong where right outputs are longer.
import { byQuestion, type Judged } from "./figures.ts";

/** Rewards and lengths of a question that differ from one another, from which on an order of them means something. */
const DIFFERENT = 3;

/** Ranks from 0; equal values share the mean of theirs. */
function ranksOf(values: readonly number[]): number[] {
  return values.map((x) => {
    const below = values.filter((y) => y < x).length;
    const same = values.filter((y) => y === x).length;
    return below + (same - 1) / 2;
  });
}

/** Spearman's rank correlation of two lists; NaN where one is constant. */
export function rankCorrelation(a: readonly number[], b: readonly number[]): number {
  const [x, y] = [ranksOf(a), ranksOf(b)];
  const middle = (a.length - 1) / 2;
  const dot = (u: readonly number[], v: readonly number[]) =>
    u.reduce((sum, value, i) => sum + (value - middle) * (v[i]! - middle), 0);
  return dot(x, y) / Math.sqrt(dot(x, x) * dot(y, y));
}

/**
 * Mean rank correlation of rewards and lengths inside questions, and the number of these. Only questions with right and wrong outputs
 * count, as among right ones alone a price of length is wanted, and with three different rewards and lengths or more, so that two
 * lengths of two verdicts are none. The length is that in tokens or in characters, whichever the rewards follow more.
 */
export function lengthFigures(judged: readonly Judged[]): Record<string, number> {
  const lengths = [
    ({ output }: Judged) => output.row.tokens,
    ({ output }: Judged) => output.row.completion.length,
  ];
  const groups = byQuestion(judged, ({ output }) => output).filter((group) => {
    const different = (values: readonly number[]) => new Set(values).size >= DIFFERENT;
    const mixed = group.some(({ right }) => right) && group.some(({ right }) => !right);
    return (
      mixed && different(group.map(({ reward }) => reward)) && lengths.every((of) => different(group.map(of)))
    );
  });
  if (groups.length === 0) return { "verdict/length_correlation": 0, "verdict/length_questions": 0 };
  const means = lengths.map((of) => {
    const all = groups.map((group) =>
      rankCorrelation(
        group.map(({ reward }) => reward),
        group.map(of),
      ),
    );
    return all.reduce((sum, x) => sum + x, 0) / all.length;
  });
  const most = means.reduce((a, b) => (Math.abs(b) > Math.abs(a) ? b : a));
  return { "verdict/length_correlation": most, "verdict/length_questions": groups.length };
}
