// A plugin for tests: pays each output for how much longer it is than the shortest of its group, in characters.
import type { Plugin } from "@nsa/core";
import type { RewardKind } from "@nsa/rl";

export default {
  kind: "reward",
  name: "longer",
  open: ({ options }) => {
    const factor = Number(options?.factor ?? 1);
    return {
      scoreBatch: (outputs, { group }) =>
        outputs.map(({ completion }, i) => {
          const lengths = outputs.filter((_, j) => group[j] === group[i]).map((o) => o.completion.length);
          return factor * (completion.length - Math.min(...lengths));
        }),
    };
  },
} satisfies Plugin<"reward", RewardKind>;
