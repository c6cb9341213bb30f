// Steps of a sampled output, and their labels by roll-outs from their ends (Math-Shepherd, arXiv 2312.08935).
import type { SampleVerdict } from "./rows.ts";

/** A step with its label. */
export interface LabeledStep {
  text: string;
  /** Characters of the completion up to the step's end. */
  end: number;
  /** Index of the step's last token in `ids`. */
  token: number;
  /** 1 where any output that continues from here is right (hard estimation), else 0. */
  hard: 0 | 1;
  /** Share of right outputs among those that continue from here (soft estimation). */
  soft: number;
  /** Outputs behind the label: the roll-outs, or, for the last step, the output itself. */
  n: number;
}

/** Where steps end in tokens: a step that ends inside of a token reaches to that token's end. */
export function alignSteps(
  completion: string,
  ends: readonly number[],
  /** Characters up to the end of each token. */
  tokenEnds: readonly number[],
): { text: string; end: number; token: number }[] {
  const steps: { text: string; end: number; token: number }[] = [];
  let from = 0;
  for (const [i, end] of ends.entries()) {
    const last = i === ends.length - 1;
    const token = last ? tokenEnds.length - 1 : tokenEnds.findIndex((chars) => chars >= end);
    const aligned = last ? completion.length : tokenEnds[token]!;
    if (!last && (aligned <= from || aligned >= completion.length)) continue;
    steps.push({ text: completion.slice(from, aligned), end: aligned, token });
    from = aligned;
  }
  return steps;
}

/**
 * The labels of an output's steps. `rollouts[j]` are the verdicts of the outputs that continue from the end of step j; the last step has none
 * and is judged by the output itself. Only `right` counts: an output whose answer cannot be read did not get there.
 */
export function labelSteps(
  steps: readonly { text: string; end: number; token: number }[],
  rollouts: readonly (readonly SampleVerdict[])[],
  own: SampleVerdict,
): LabeledStep[] {
  return steps.map((step, j) => {
    const verdicts = j === steps.length - 1 ? [own] : rollouts[j]!;
    const right = verdicts.filter((verdict) => verdict === "right").length;
    return { ...step, hard: right > 0 ? 1 : 0, soft: right / verdicts.length, n: verdicts.length };
  });
}
