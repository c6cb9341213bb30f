// Where the steps of an output end: the places at which a process reward model gives its values and Math-Shepherd begins its roll-outs.
import { equationSteps } from "./steps.ts";

export const stepRules = ["lines", "equations"] as const;
export type StepRule = (typeof stepRules)[number];

/**
 * Character behind each step of a completion, ascending. lines: every line that is not blank (as in Math-Shepherd's and PRM800K's data);
 * equations: every equation of the thought that computes something, once.
 */
export function stepEnds(completion: string, rule: StepRule): number[] {
  if (rule === "equations") return equationSteps(completion).map(({ end }) => end);
  const ends: number[] = [];
  for (const line of completion.matchAll(/[^\n]+/g)) {
    const text = line[0].trimEnd();
    if (text !== "") ends.push(line.index + text.length);
  }
  return ends;
}
