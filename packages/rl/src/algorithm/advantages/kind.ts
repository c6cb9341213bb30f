// The contract of an advantage estimator: from the rewards of one question's outputs to an advantage for every token.
//
// Conventions, pinned because the papers leave them open: the standard deviation is the population one over the group,
// with no ε under it; a group whose deviation is below 1e-8, or within the rounding of its rewards, gets advantage 0.

/** Rewards of one sampled output. Outcome supervision has one entry at the last token, process supervision one a step. */
export interface SampleRewards {
  /** Which question the output answers: outputs with the same number form a group. */
  group: number;
  /** Tokens of the output. */
  length: number;
  /** Reward given at the end of a step, by the index of the step's last token, ascending. */
  steps: { token: number; reward: number }[];
  /** Added to the reward of each token after normalization by steps, such as −β·KL; outcome rewards include their sum. */
  perToken?: ArrayLike<number>;
  /** V of the state in which each token was sampled, where a value model estimates it; [length]. */
  values?: ArrayLike<number>;
}

/** Settings of estimators. */
export interface AdvantageSettings {
  /** γ, the discount of later rewards, and λ of generalized advantage estimation. */
  gamma: number;
  lambda: number;
}

/** A member of the registry `advantage`. */
export interface AdvantageKind {
  readonly name: string;
  /** Whether an output without others to compare it with can have an advantage other than 0. */
  readonly groupOfOne: boolean;
  /** Whether a token's advantage depends on which steps are rewarded: others add up what an output's steps earn. */
  readonly byStep?: true;
  /** Whether it reads `values`, so that a recipe must have a value model. */
  readonly needsValues?: boolean;
  /** Advantage of every token of each output, in their order. All outputs answer one question and have finite rewards. */
  estimate(group: readonly SampleRewards[], settings: AdvantageSettings): Float32Array[];
  /**
   * Whether no output of a group (as for `estimate`, at least one) has an advantage other than 0 by its steps' rewards. Rewards per
   * token do not count: a KL alone makes no group worth learning from.
   */
  flat(group: readonly SampleRewards[]): boolean;
}

/** A deviation below this counts as none. */
export const MIN_STD = 1e-8;

/** Rounding of the values themselves, in units of the last place of the largest: a deviation within it is none. */
const ROUNDING = 4 * Number.EPSILON;

/** Mean and population standard deviation; equal values have exactly their value and 0, however large they are. */
export function meanStd(values: readonly number[]): { mean: number; std: number } {
  const [first = 0] = values;
  if (values.every((x) => x === first)) return { mean: first, std: 0 };
  const mean = values.reduce((a, b) => a + b, 0) / values.length;
  const variance = values.reduce((a, b) => a + (b - mean) ** 2, 0) / values.length;
  const std = Math.sqrt(variance);
  const largest = values.reduce((most, x) => Math.max(most, Math.abs(x)), 0);
  return { mean, std: std <= ROUNDING * largest ? 0 : std };
}

/** Sum of the step and token rewards; NaN when one is not finite. */
export function totalReward(sample: SampleRewards): number {
  let sum = 0;
  for (const s of sample.steps) sum += s.reward;
  for (let t = 0; t < (sample.perToken?.length ?? 0); t++) sum += sample.perToken![t]!;
  return Number.isFinite(sum) ? sum : Number.NaN;
}
