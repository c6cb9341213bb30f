// Outcome supervision: one number for an output, from its total reward R and those of its group, for all of its tokens.
import { type AdvantageKind, MIN_STD, meanStd, type SampleRewards, totalReward } from "./kind.ts";

/** Advantages of a group's outputs from their total rewards, in their order. */
type Rule = (rewards: readonly number[]) => number[];

/** Reward of the steps, without the rewards per token. */
const ofSteps = ({ steps }: SampleRewards) => steps.reduce((sum, { reward }) => sum + reward, 0);

const spread =
  (rule: Rule): AdvantageKind["estimate"] =>
  (group) =>
    rule(group.map(totalReward)).map((a, i) => new Float32Array(group[i]!.length).fill(a));

/** One that compares the outputs of a group: equal rewards give no signal. */
const compared = (name: string, rule: Rule): AdvantageKind => ({
  name,
  groupOfOne: false,
  estimate: spread(rule),
  flat: (group) => meanStd(group.map(ofSteps)).std < MIN_STD,
});

/** (R − mean R) / std R (DeepSeekMath §4.1.2). */
export const grpo = compared("grpo", (rewards) => {
  const { mean, std } = meanStd(rewards);
  return rewards.map((r) => (std < MIN_STD ? 0 : (r - mean) / std));
});

/** R − mean R. */
export const drGrpo = compared("dr_grpo", (rewards) => {
  const { mean } = meanStd(rewards);
  return rewards.map((r) => r - mean);
});

/** R − the mean of the others' R. */
export const rloo = compared("rloo", (rewards) => {
  const { mean } = meanStd(rewards);
  const n = rewards.length;
  return rewards.map((r) => (n > 1 ? ((r - mean) * n) / (n - 1) : 0));
});

/** R. There is no baseline: equal rewards are a signal unless they are 0. */
export const reinforce: AdvantageKind = {
  name: "reinforce",
  groupOfOne: true,
  estimate: spread((rewards) => [...rewards]),
  flat: (group) => group.every((sample) => ofSteps(sample) === 0),
};
