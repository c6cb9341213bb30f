// A plugin for tests: the reward less the largest of its group, for every token.
import type { Plugin } from "@nsa/core";
import type { AdvantageKind, SampleRewards } from "@nsa/rl";

const total = ({ steps }: SampleRewards) => steps.reduce((sum, { reward }) => sum + reward, 0);

export default {
  kind: "advantage",
  name: "below_best",
  groupOfOne: false,
  estimate(group) {
    const best = Math.max(...group.map(total));
    return group.map((sample) => new Float32Array(sample.length).fill(total(sample) - best));
  },
  flat: (group) => group.every((sample) => total(sample) === total(group[0]!)),
} satisfies Plugin<"advantage", AdvantageKind>;
