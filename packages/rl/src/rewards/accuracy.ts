// The accuracy reward: whether the final answer is right, by the grader.
import { gradeProblem } from "@nsa/tasks";
import { perOutput, type RewardKind } from "./kind.ts";

export const accuracy: RewardKind = {
  name: "accuracy",
  open: () => perOutput((s) => (gradeProblem(s.completion, s).verdict === "correct" ? 1 : 0)),
};
