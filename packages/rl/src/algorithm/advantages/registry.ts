// The advantage estimators by name, and their use on the outputs of many questions. A plugin registers its own beside these.
import { Registry } from "@nsa/core";
import { gae } from "./gae.ts";
import { type AdvantageKind, type AdvantageSettings, type SampleRewards, totalReward } from "./kind.ts";
import { drGrpo, grpo, reinforce, rloo } from "./outcome.ts";
import { process } from "./process.ts";

export const advantageKinds = new Registry<AdvantageKind>("advantage", {
  needs: { groupOfOne: "boolean", estimate: "function", flat: "function" },
}).register(grpo, drGrpo, rloo, reinforce, process, gae);

/** Indices of the samples of each question whose rewards are numbers. */
function scoredByGroup(samples: readonly SampleRewards[]): Map<number, number[]> {
  const groups = new Map<number, number[]>();
  samples.forEach((s, i) => {
    const members = groups.get(s.group) ?? [];
    groups.set(s.group, members);
    if (Number.isNaN(totalReward(s))) return;
    members.push(i);
  });
  return groups;
}

/**
 * Advantage of every token of every sample, in the order given, by the estimator of this name. Samples whose reward is not a number
 * are left out of the group's statistics and get advantage 0.
 */
export function advantages(
  samples: readonly SampleRewards[],
  kind: string,
  settings: AdvantageSettings = { gamma: 1, lambda: 1 },
): Float32Array[] {
  const out: Float32Array[] = samples.map((s) => new Float32Array(s.length));
  const estimator = advantageKinds.get(kind);
  for (const members of scoredByGroup(samples).values()) {
    if (members.length === 0) continue;
    const own = estimator.estimate(
      members.map((i) => samples[i]!),
      settings,
    );
    members.forEach((i, k) => {
      out[i] = own[k]!;
    });
  }
  return out;
}

/** Groups that teach nothing under an advantage: none of their outputs could be scored, or the estimator finds them flat. */
export function flatGroups(samples: readonly SampleRewards[], kind: string): Set<number> {
  const estimator = advantageKinds.get(kind);
  const groups = [...scoredByGroup(samples)];
  return new Set(
    groups.flatMap(([group, members]) =>
      members.length === 0 || estimator.flat(members.map((i) => samples[i]!)) ? [group] : [],
    ),
  );
}
