// Generalized advantage estimation (arXiv 1506.02438), PPO's: sums of the temporal-difference errors of a value model, discounted by γλ.
import type { AdvantageKind } from "./kind.ts";

/**
 * δ_t = r_t + γ·V_{t+1} − V_t, A_t = δ_t + γλ·A_{t+1}; nothing follows the last token, cut or ended: V there is 0. r_t is what the steps
 * that end at t earned and the token's own reward (−β·KL). No group is flat: rewards that are all equal may still differ from V.
 */
export const gae: AdvantageKind = {
  name: "gae",
  groupOfOne: true,
  needsValues: true,
  byStep: true,
  estimate: (group, { gamma, lambda }) =>
    group.map(({ steps, length, perToken, values }) => {
      const rewards = Float64Array.from({ length }, (_, t) => perToken?.[t] ?? 0);
      for (const { token, reward } of steps) rewards[token]! += reward;
      const out = new Float32Array(length);
      let advantage = 0;
      for (let t = length - 1; t >= 0; t--) {
        const next = t + 1 < length ? values![t + 1]! : 0;
        advantage = rewards[t]! + gamma * next - values![t]! + gamma * lambda * advantage;
        out[t] = advantage;
      }
      return out;
    }),
  flat: () => false,
};
