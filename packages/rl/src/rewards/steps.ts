// Rewards of single steps: where in an output each was earned, and the built-in one that checks every equation.
import type { Tokenizer } from "@nsa/data";
import { sameAnswer } from "@nsa/tasks";
import { perOutput, type RewardKind, type StepReward } from "./kind.ts";

const equation = /([\d(][\d\s.+\-*/×÷()]*?)\s*=\s*(-?\d+(?:\.\d+)?)/g;

/** Whether the left side computes something: numbers joined by an operator, not `92`, `-92` or `(92)`. */
const computes = (side: string) => /[\d.)]\s*[+\-*/×÷(]\s*[-+(]*\s*[\d.]/.test(side);

/**
 * Every equation `3*8=24` of a thought as a step: 1 when it holds, else 0. `92 = 92` computes nothing and is no step, nor
 * is an equation that stands there already. The grader computes both sides; text is never run. A completion without a
 * thought has no step.
 */
export function equationSteps(completion: string): StepReward[] {
  const thought = /^\s*<think>([\s\S]*?)(?:<\/think>|$)/.exec(completion);
  if (!thought) return [];
  const from = thought[0].indexOf(thought[1]!);
  const seen = new Set<string>();
  const isNew = (text: string) => !seen.has(text) && seen.add(text);
  return [...thought[1]!.matchAll(equation)]
    .filter((m) => computes(m[1]!) && isNew(m[0].replace(/\s+/g, "")))
    .map((m) => ({
      end: from + m.index + m[0].length,
      reward: sameAnswer(m[1]!, m[2]!) ? 1 : 0,
    }));
}

export const equations: RewardKind = {
  name: "equations",
  ofForm: true,
  ofSteps: true,
  // Trivial equations could be written without end.
  open: ({ maxSteps }) => perOutput((s) => ({ steps: equationSteps(s.completion).slice(0, maxSteps) })),
};

/** Characters of the text up to the end of each token, by decoding the ids one after another. */
export function tokenEnds(tokenizer: Tokenizer, ids: readonly number[]): number[] {
  const stream = tokenizer.stream();
  let length = 0;
  return ids.map((id) => {
    length += stream.push(id).length;
    return length;
  });
}

/**
 * Token that holds the character before each place. A place at the end of the text is at the last token: an end token has no characters,
 * and belongs to the step that it ends.
 */
export function tokensAt(tokenizer: Tokenizer, ids: readonly number[], ends: readonly number[]): number[] {
  const lengths = tokenEnds(tokenizer, ids);
  const last = ids.length - 1;
  return ends.map((end) => (end >= lengths[last]! ? last : lengths.findIndex((l) => l >= end)));
}
