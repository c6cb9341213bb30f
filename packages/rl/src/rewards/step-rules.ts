// Where the steps of an output end: the places at which a process reward model gives its numbers and Math-Shepherd begins its roll-outs.
import type { StepRule } from "@nsa/model";
import { equationSteps } from "./steps.ts";

/** Where the lines that are not blank begin, but for the first of them. */
function lineStarts(text: string): number[] {
  const starts: number[] = [];
  let at = 0;
  for (const line of text.split("\n")) {
    if (line.trim() !== "") starts.push(at);
    at += line.length + 1;
  }
  return starts.slice(1);
}

/**
 * Characters up to the end of each step. The steps that are given are taken where there are any (rewards of steps have written them), and
 * what follows the last of them is a step, too. Otherwise each line is a step with its line end; blank lines belong to the line before
 * them, leading ones to the first. The last step always ends with the completion. A text of white space alone has no step.
 */
export function stepEnds(completion: string, given: readonly { end: number }[] = []): number[] {
  if (completion.trim() === "") return [];
  const inner = given.length > 0 ? given.map(({ end }) => end) : lineStarts(completion);
  const ends = new Set(inner.filter((end) => end > 0 && completion.slice(end).trim() !== ""));
  return [...ends].sort((a, b) => a - b).concat(completion.length);
}

/** {@link stepEnds} by a rule. equations: every equation of the thought that computes something, once, and what follows the last. */
export const stepEndsBy = (rule: StepRule, completion: string): number[] =>
  stepEnds(completion, rule === "equations" ? equationSteps(completion) : []);

/** Indices of the tokens that end the steps; the last step ends with the output. `tokenEnds`: characters up to the end of each token. */
export function stepTokens(ends: readonly number[], tokenEnds: readonly number[]): number[] {
  return ends.map((end, i) => {
    const last = tokenEnds.length - 1;
    if (i === ends.length - 1) return last;
    const at = tokenEnds.findIndex((chars) => chars >= end);
    return at < 0 ? last : at;
  });
}
