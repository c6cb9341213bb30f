// Group-relative advantages: outcome supervision, process supervision, and their kin.
//
// Conventions, pinned because the papers leave them open: the standard deviation is the population one over the group,
// with no ε under it; a group whose deviation is below 1e-8 gets advantage 0. Samples whose reward is not a number are
// left out of the group's statistics and get advantage 0.

/** Rewards of one sampled output. Outcome supervision has one entry at the last token, process supervision one a step. */
export interface SampleRewards {
  /** Which question the output answers: outputs with the same number form a group. */
  group: number;
  /** Tokens of the output. */
  length: number;
  /** Reward given at the end of a step, by the index of the step's last token, ascending. */
  steps: { token: number; reward: number }[];
  /** Added to the reward of each token after normalization by steps, such as −β·KL; outcomes take in their sum. */
  perToken?: ArrayLike<number>;
}

export type AdvantageKind = "grpo" | "dr_grpo" | "rloo" | "reinforce" | "process";

const MIN_STD = 1e-8;

/** Mean and population standard deviation. */
export function meanStd(values: readonly number[]): { mean: number; std: number } {
  if (values.length === 0) return { mean: 0, std: 0 };
  const mean = values.reduce((a, b) => a + b, 0) / values.length;
  const variance = values.reduce((a, b) => a + (b - mean) ** 2, 0) / values.length;
  return { mean, std: Math.sqrt(variance) };
}

/** Sum of the step and token rewards; NaN when one is not finite. */
export function totalReward(sample: SampleRewards): number {
  let sum = 0;
  for (const s of sample.steps) sum += s.reward;
  for (let t = 0; t < (sample.perToken?.length ?? 0); t++) sum += sample.perToken![t]!;
  return Number.isFinite(sum) ? sum : Number.NaN;
}

/**
 * Advantage of every token of every sample, in the order given.
 *
 * - `grpo`: (R_i − mean R) / std R (DeepSeekMath §4.1.2)
 * - `dr_grpo`: R_i − mean R
 * - `rloo`: R_i − mean of the others' R
 * - `reinforce`: R_i
 * - `process`: Σ over steps ending at or after t of (r − mean) / std over all step rewards of the group (§4.1.3), and of
 *   the rewards per token from t on
 */
export function advantages(samples: readonly SampleRewards[], kind: AdvantageKind): Float32Array[] {
  const out = samples.map((s) => new Float32Array(s.length));
  const groups = new Map<number, number[]>();
  samples.forEach((s, i) => {
    if (Number.isNaN(totalReward(s))) return;
    const members = groups.get(s.group);
    if (members) members.push(i);
    else groups.set(s.group, [i]);
  });
  for (const members of groups.values()) {
    if (kind === "process") processGroup(samples, members, out);
    else outcomeGroup(samples, members, kind, out);
  }
  return out;
}

function outcomeGroup(
  samples: readonly SampleRewards[],
  members: readonly number[],
  kind: Exclude<AdvantageKind, "process">,
  out: Float32Array[],
): void {
  const rewards = members.map((i) => totalReward(samples[i]!));
  const { mean, std } = meanStd(rewards);
  const n = members.length;
  members.forEach((i, k) => {
    const r = rewards[k]!;
    let a = r;
    if (kind === "grpo") a = std < MIN_STD ? 0 : (r - mean) / std;
    else if (kind === "dr_grpo") a = r - mean;
    else if (kind === "rloo") a = n > 1 ? ((r - mean) * n) / (n - 1) : 0;
    out[i]!.fill(a);
  });
}

function processGroup(
  samples: readonly SampleRewards[],
  members: readonly number[],
  out: Float32Array[],
): void {
  const all = members.flatMap((i) => samples[i]!.steps.map((s) => s.reward));
  const { mean, std } = meanStd(all);
  for (const i of members) {
    const { steps, length, perToken } = samples[i]!;
    let sum = 0;
    let next = steps.length - 1;
    for (let t = length - 1; t >= 0; t--) {
      for (; next >= 0 && steps[next]!.token >= t; next--)
        if (std >= MIN_STD) sum += (steps[next]!.reward - mean) / std;
      sum += perToken?.[t] ?? 0;
      out[i]![t] = sum;
    }
  }
}

/**
 * Groups that teach nothing under an advantage: none of their outputs could be scored, or all rewards are equal (all 0
 * for `reinforce`, which has no baseline). Rewards per token do not count: a KL alone makes no group worth learning from.
 */
export function flatGroups(samples: readonly SampleRewards[], kind: AdvantageKind): Set<number> {
  const earned = new Map<number, number[]>();
  for (const s of samples) {
    const own = earned.get(s.group) ?? [];
    earned.set(s.group, own);
    if (Number.isNaN(totalReward(s))) continue;
    const steps = s.steps.map(({ reward }) => reward);
    if (kind === "process") own.push(...steps);
    else own.push(steps.reduce((a, b) => a + b, 0));
  }
  const flat = [...earned].filter(
    ([, rewards]) =>
      meanStd(rewards).std < MIN_STD && !(kind === "reinforce" && rewards.some((r) => r !== 0)),
  );
  return new Set(flat.map(([group]) => group));
}
