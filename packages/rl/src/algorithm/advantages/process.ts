// Process supervision (DeepSeekMath §4.1.3): a token's advantage is the sum of what the steps that end at or after it earned.
import { type AdvantageKind, MIN_STD, meanStd, type SampleRewards } from "./kind.ts";

/** Mean and deviation of all step rewards of all outputs of the group. */
const ofAllSteps = (group: readonly SampleRewards[]) =>
  meanStd(group.flatMap(({ steps }) => steps.map(({ reward }) => reward)));

/** Σ over steps that end at or after t of (r − mean) / std, and of the rewards per token from t on. */
export const process: AdvantageKind = {
  name: "process",
  byStep: true,
  groupOfOne: true,
  estimate(group) {
    const { mean, std } = ofAllSteps(group);
    return group.map(({ steps, length, perToken }) => {
      const out = new Float32Array(length);
      let sum = 0;
      let next = steps.length - 1;
      for (let t = length - 1; t >= 0; t--) {
        for (; next >= 0 && steps[next]!.token >= t; next--)
          if (std >= MIN_STD) sum += (steps[next]!.reward - mean) / std;
        sum += perToken?.[t] ?? 0;
        out[t] = sum;
      }
      return out;
    });
  },
  flat: (group) => ofAllSteps(group).std < MIN_STD,
};
