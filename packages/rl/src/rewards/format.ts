// The format reward of R1-Zero: one well-formed <think> … </think> <answer> … </answer>, strictly, and non-empty.
import { perOutput, type RewardKind } from "./kind.ts";

const shape = /^\s*<think>([\s\S]*?)<\/think>\s*<answer>([\s\S]*?)<\/answer>\s*$/;

/** 1 when the output is exactly one thought and one answer, neither empty nor nested; else 0. */
export function formatReward(completion: string): number {
  const match = shape.exec(completion);
  if (!match) return 0;
  const [, thought, answer] = match as unknown as [string, string, string];
  if (thought.trim() === "" || answer.trim() === "") return 0;
  return /<\/?(think|answer)>/.test(thought + answer) ? 0 : 1;
}

export const format: RewardKind = {
  name: "format",
  ofForm: true,
  open: () => perOutput((s) => formatReward(s.completion)),
};
