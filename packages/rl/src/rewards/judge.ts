// The judge of a family without a rule, as people would decide. A recipe that learns from it has nothing left to find out: it makes
// preferences in `nsa sample`, and stands beside a reward model with weight 0.
import { judgeCompletion } from "@nsa/tasks";
import { perOutput, type RewardKind } from "./kind.ts";

export const judge: RewardKind = {
  name: "judge",
  // Questions with a rule have no judge.
  open: () => perOutput((s) => judgeCompletion({ ...s, question: s.question }, s.completion) ?? 0),
};
