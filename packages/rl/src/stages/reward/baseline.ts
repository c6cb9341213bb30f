// The baseline that a reward model has to beat: a logistic regression on the lengths of output and prompt and on whether the output ended.
//
// Fitted by Newton's method with a small ridge; its AUC on held-out outputs is `held_out/length_and_form_auc`.
import type { LabelledText } from "./records.ts";

/** [4]: 1, log of the output's tokens, whether it ended by itself, and log of the prompt's tokens. */
const featuresOf = ({ ids, promptLength, ended }: LabelledText) => [
  1,
  Math.log(ids.length - promptLength),
  ended ? 1 : 0,
  Math.log(Math.max(1, promptLength)),
];

const dot = (a: readonly number[], b: readonly number[]) => a.reduce((sum, x, i) => sum + x * b[i]!, 0);
const sigmoid = (x: number) => 1 / (1 + Math.exp(-x));

/** Solves A·x = b for a small symmetric positive A by elimination. */
function solve(matrix: number[][], right: number[]): number[] {
  const a = matrix.map((row, i) => [...row, right[i]!]);
  const n = a.length;
  for (let i = 0; i < n; i++) {
    for (let j = i + 1; j < n; j++) {
      const factor = a[j]![i]! / a[i]![i]!;
      for (let k = i; k <= n; k++) a[j]![k]! -= factor * a[i]![k]!;
    }
  }
  const x = new Array<number>(n).fill(0);
  for (let i = n - 1; i >= 0; i--) {
    const rest = a[i]!.slice(i + 1, n).reduce((sum, c, k) => sum + c * x[i + 1 + k]!, 0);
    x[i] = (a[i]![n]! - rest) / a[i]![i]!;
  }
  return x;
}

const RIDGE = 1e-3;
const NEWTON_STEPS = 12;

/** Fits the regression to labelled outputs; returns its log-odds of being right for any output. */
export function lengthAndFormBaseline(texts: readonly LabelledText[]): (text: LabelledText) => number {
  const rows = texts.map((text) => ({ x: featuresOf(text), y: text.ends.at(-1)!.label }));
  let w = [0, 0, 0, 0];
  for (let step = 0; step < NEWTON_STEPS; step++) {
    const gradient = w.map((c) => -RIDGE * c);
    const hessian = w.map((_, i) => w.map((__, j) => (i === j ? RIDGE : 0)));
    for (const { x, y } of rows) {
      const p = sigmoid(dot(w, x));
      for (const [i, xi] of x.entries()) {
        gradient[i]! += ((y - p) * xi) / rows.length;
        for (const [j, xj] of x.entries()) hessian[i]![j]! += (p * (1 - p) * xi * xj) / rows.length;
      }
    }
    const delta = solve(hessian, gradient);
    w = w.map((c, i) => c + delta[i]!);
  }
  return (text) => dot(w, featuresOf(text));
}
