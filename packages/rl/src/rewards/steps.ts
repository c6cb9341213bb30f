// Rewards of single steps: where in an output each was earned, and the built-in one that checks every equation.
import type { Tokenizer } from "@nsa/data";
import { sameAnswer } from "@nsa/tasks";
import { perOutput, type RewardKind, type StepReward } from "./kind.ts";

const equation = /([\d(][\d\s.+\-*/×÷()]*?)\s*=\s*(-?\d+(?:\.\d+)?)/g;

/**
 * Every equation `3*8=24` of a thought as a step: 1 when it holds, else 0. The grader computes both sides; text is never
 * run. A completion without a thought has no step.
 */
export function equationSteps(completion: string): StepReward[] {
  const thought = /^\s*<think>([\s\S]*?)(?:<\/think>|$)/.exec(completion);
  if (!thought) return [];
  const from = thought[0].indexOf(thought[1]!);
  return [...thought[1]!.matchAll(equation)].map((m) => ({
    end: from + m.index + m[0].length,
    reward: sameAnswer(m[1]!, m[2]!) ? 1 : 0,
  }));
}

export const equations: RewardKind = {
  name: "equations",
  open: () => perOutput((s) => ({ steps: equationSteps(s.completion) })),
};

/** Token that holds the character before each place, by decoding the ids one after another. */
export function tokensAt(tokenizer: Tokenizer, ids: readonly number[], ends: readonly number[]): number[] {
  const stream = tokenizer.stream();
  let length = 0;
  const lengths = ids.map((id) => {
    length += stream.push(id).length;
    return length;
  });
  return ends.map((end) => {
    const at = lengths.findIndex((l) => l >= end);
    return at < 0 ? ids.length - 1 : at;
  });
}
