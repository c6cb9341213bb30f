// Another reward for recorded outputs: a reward with another weight, or another sum for one output.
import { counted, ExitCode, NsaError } from "@nsa/core";
import { MAX_REWARD, type Reward } from "../../rewards/score.ts";
import type { RecordedOutput } from "../../rollouts/record.ts";
import type { GrpoConfig } from "./config.ts";

/** `id`: the label of a reward, whose weight becomes `value`; or the number of an output of the step, whose summed reward becomes it. */
export interface RewardChange {
  id: string;
  value: number;
}

/** Weights of a recipe's rewards by their labels, as the scorer names them. */
function weightsOf({ rewards }: GrpoConfig): Map<string, number> {
  const seen = new Map<string, number>();
  return new Map(
    rewards.map(({ kind, weight }) => {
      const n = (seen.get(kind) ?? 0) + 1;
      seen.set(kind, n);
      return [n === 1 ? kind : `${kind}_${n}`, weight];
    }),
  );
}

const isOutput = (id: string) => /^\d+$/.test(id);

/** Weights that a recipe may have. */
const MAX_WEIGHT = 1e6;

/** Why the change of an output's reward or of a reward's weight would change nothing, or what no run could have; undefined otherwise. */
function whyNot(
  { id, value }: RewardChange,
  rows: readonly RecordedOutput[],
  { rewards }: GrpoConfig,
  weights: ReadonlyMap<string, number>,
  step: number,
): string | undefined {
  if (isOutput(id)) {
    const row = rows[Number(id)];
    if (!row) return `the step has ${counted(rows.length, "output")}`;
    if (row.fault !== undefined) return "this output could not be scored and took no part in the update";
    return Math.abs(value) <= MAX_REWARD ? undefined : `a reward lies within ±${MAX_REWARD.toExponential()}`;
  }
  const weight = weights.get(id);
  if (weight === undefined) return "the recipe has no reward of this label";
  if (Math.abs(value) > MAX_WEIGHT) return `a weight lies within ±${MAX_WEIGHT.toExponential()}`;
  const { fromStep, toStep = Number.POSITIVE_INFINITY } = rewards[[...weights.keys()].indexOf(id)]!;
  if (step < fromStep || step > toStep) return `it did not count at step ${step}`;
  if (weight === 0 && rows.some(({ steps }) => steps?.some(({ of }) => of === id)))
    return "its weight is 0, so what it gave to each step was not recorded";
  return undefined;
}

/**
 * Throws NsaError `reward_unknown` (exit 2) where nothing has the name, what it gave to steps was not recorded, or the change could not
 * have been: a number beyond the limits of a recipe, a reward that did not count at the step, an output that was not scored.
 */
export function checkChanges(
  rows: readonly RecordedOutput[],
  config: GrpoConfig,
  changes: readonly RewardChange[],
  step: number,
): void {
  const weights = weightsOf(config);
  const refuse = (id: string, why: string) => {
    throw new NsaError({
      code: "reward_unknown",
      what: `--set-reward ${id}`,
      why,
      fix: `name one of ${[...weights.keys()].join(", ")}, or an output of the step from 0 to ${rows.length - 1}`,
      exitCode: ExitCode.usage,
    });
  };
  for (const change of changes) {
    const why = whyNot(change, rows, config, weights, step);
    if (why !== undefined) refuse(change.id, why);
  }
}

/** The recorded reward under the changes. */
export function changedReward(
  { output }: RecordedOutput,
  recorded: Reward,
  config: GrpoConfig,
  changes: readonly RewardChange[],
): Reward {
  if (recorded.fault !== undefined) return recorded;
  const weights = weightsOf(config);
  let { outcome, steps } = recorded;
  if (outcome === undefined && !steps) outcome = recorded.total;
  for (const { id, value } of changes) {
    const weight = weights.get(id);
    if (weight === undefined) continue;
    if (steps?.some(({ of }) => of === id))
      steps = steps.map((s) => (s.of === id ? { ...s, reward: (s.reward / weight) * value } : s));
    else if (recorded.parts[id] !== undefined && outcome !== undefined)
      outcome += (value - weight) * recorded.parts[id];
  }
  const set = changes.findLast(({ id }) => isOutput(id) && Number(id) === output);
  if (set) return { total: set.value, parts: recorded.parts, outcome: set.value };
  const total = (steps ?? []).reduce((sum, { reward }) => sum + reward, outcome ?? 0);
  return {
    total,
    parts: recorded.parts,
    ...(outcome === undefined ? {} : { outcome }),
    ...(steps ? { steps } : {}),
  };
}
