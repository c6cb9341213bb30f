// Scores a batch of outputs by the configured rewards. A reward that throws or gives no number quarantines the outputs concerned.
import { WorkInterrupted } from "@nsa/core";
import { type Collectives, singleRank } from "@nsa/kernels";
import { gatherValues, shareItemsLater } from "@nsa/train";
import { isPart } from "../task/config.ts";
import type { RewardConfig } from "./config.ts";
import {
  type BatchReward,
  INTERRUPTED,
  type Notes,
  oneLine,
  type RewardContext,
  type RewardEnvironment,
  type Scored,
  type StepReward,
  VerifierError,
} from "./kind.ts";
import { rewardKinds } from "./registry.ts";

export interface Reward {
  total: number;
  /** Unweighted value of each reward by its label; of step rewards their sum. */
  parts: Record<string, number>;
  /** Weighted rewards of single steps by the label of what gave them, and of the output as a whole where there are any; the total is their sum. */
  steps?: (StepReward & { of: string })[];
  outcome?: number;
  /** Why the sample was quarantined. */
  fault?: string;
}

/** Labels of all that scored any of the outputs, in the order in which they are met. */
export const labelsOf = (rewards: readonly Pick<Reward, "parts">[]): string[] => [
  ...new Set(rewards.flatMap(({ parts }) => Object.keys(parts))),
];

/** The rewards of a recipe, opened. */
export interface Scorer {
  /** Scores all outputs of a batch, in their order. Throws WorkInterrupted where the run is to stop while it waits for verdicts. */
  score(outputs: readonly Scored[], context: RewardContext): Promise<Reward[]>;
  /** Ends programs and frees models. */
  close(): Promise<void>;
}

/** An entry of the recipe. */
interface OpenReward {
  label: string;
  weight: number;
  /** Steps at which it counts. */
  from: number;
  to: number;
  /** Parts of a mixed task whose outputs it scores; all where empty. */
  parts: readonly string[];
  reward: BatchReward;
}

/** Larger rewards could overflow when a standard deviation squares them. */
export const MAX_REWARD = 1e15;

/** Why a finite number is refused all the same. */
const tooLarge = (x: unknown) =>
  Number.isFinite(x) ? `, which is beyond ±${MAX_REWARD.toExponential()}` : "";

/** The steps of a verdict, or why it is none. */
function stepsOf(verdict: unknown, completion: string): StepReward[] | string {
  const { steps, fault } = (verdict ?? {}) as { steps?: unknown; fault?: unknown };
  if (typeof fault === "string") return fault;
  if (!Array.isArray(steps))
    return `returned ${typeof verdict === "string" ? JSON.stringify(verdict) : oneLine(verdict)}`;
  for (const step of steps as Partial<StepReward>[]) {
    if (typeof step?.reward !== "number" || !(Math.abs(step.reward) <= MAX_REWARD))
      return `returned a step of ${oneLine(step?.reward)}${tooLarge(step?.reward)}`;
    if (!(Number.isInteger(step.end) && step.end! > 0 && step.end! <= completion.length))
      return `returned a step that ends at ${step.end} of ${completion.length} characters`;
  }
  return steps as StepReward[];
}

/** Adds up the rewards of one output. */
class OutputScore {
  fault: string | undefined;
  private readonly parts: Record<string, number> = {};
  private readonly steps: NonNullable<Reward["steps"]> = [];
  private outcome: number | undefined;

  constructor(private readonly completion: string) {}

  add({ label, weight }: OpenReward, given: unknown): void {
    const verdict = this.plain(label, given);
    if (this.fault !== undefined) return;
    if (typeof verdict === "number") {
      if (!(Math.abs(verdict) <= MAX_REWARD)) {
        this.fault = `${label} returned ${verdict}${tooLarge(verdict)}`;
        return;
      }
      this.parts[label] = verdict;
      this.outcome = (this.outcome ?? 0) + weight * verdict;
      this.checkSize(label, this.outcome);
      return;
    }
    const own = stepsOf(verdict, this.completion);
    if (typeof own === "string") {
      this.fault = `${label} ${own}`;
      return;
    }
    this.parts[label] = own.reduce((sum, { reward }) => sum + reward, 0);
    for (const { reward } of own) this.checkSize(label, weight * reward);
    this.steps.push(...own.map(({ end, reward }) => ({ end, reward: weight * reward, of: label })));
  }

  /** A weighted reward has the same limit. */
  private checkSize(label: string, weighted: number): void {
    if (!(Math.abs(weighted) <= MAX_REWARD))
      this.fault = `${label} with its weight came to ${weighted}${tooLarge(weighted)}`;
  }

  /** A verdict without its notes, which become parts of their own. */
  private plain(label: string, verdict: unknown): unknown {
    if (typeof verdict !== "object" || verdict === null) return verdict;
    const { notes, reward } = verdict as { notes?: Notes; reward?: unknown };
    for (const [name, value] of Object.entries(notes ?? {})) {
      this.parts[`${label}_${name}`] = value;
      if (!Number.isFinite(value)) this.fault = `${label} returned a note \`${name}\` of ${oneLine(value)}`;
    }
    return reward === undefined ? verdict : reward;
  }

  get reward(): Reward {
    const { parts, steps, outcome, fault } = this;
    if (fault !== undefined) return { total: Number.NaN, parts, fault };
    return {
      total: steps.reduce((sum, { reward }) => sum + reward, outcome ?? 0),
      parts,
      ...(outcome === undefined ? {} : { outcome }),
      ...(steps.length ? { steps } : {}),
    };
  }
}

/** The verdicts of a batch; where there is none for each output, all are at fault. */
async function verdictsOf(
  { reward }: OpenReward,
  outputs: readonly Scored[],
  context: RewardContext,
): Promise<readonly unknown[]> {
  const all = (fault: string) => outputs.map(() => ({ fault }));
  try {
    const verdicts: unknown = await reward.scoreBatch(outputs, context);
    if (Array.isArray(verdicts) && verdicts.length === outputs.length) return verdicts;
    const found = Array.isArray(verdicts) ? `${verdicts.length} verdicts` : oneLine(verdicts);
    return all(`returned ${found} for ${outputs.length} outputs`);
  } catch (error) {
    // A program's failure is worded to follow the reward's name; anything else was thrown.
    return all(error instanceof VerifierError ? error.message : `threw: ${oneLine(error)}`);
  }
}

/** A verdict that passes between ranks: what is no plain data becomes the fault that it is. */
function plainVerdict(verdict: unknown): unknown {
  try {
    return structuredClone(verdict);
  } catch {
    return { fault: `returned ${oneLine(verdict)}` };
  }
}

/** The verdicts of a batch that all ranks have: shared out where each output is scored by itself, else made by rank 0. */
async function verdictsOfRanks(
  open: OpenReward,
  outputs: readonly Scored[],
  { step, group }: RewardContext,
  collectives: Collectives,
): Promise<readonly unknown[]> {
  if (collectives.world === 1) return verdictsOf(open, outputs, { step, group });
  const score = async (own: readonly number[]) => {
    const context = { step, group: own.map((i) => group[i]!) };
    const mine = own.map((i) => outputs[i]!);
    return mine.length === 0 ? [] : (await verdictsOf(open, mine, context)).map(plainVerdict);
  };
  const all = outputs.map((_, i) => i);
  if (open.reward.single) return shareItemsLater(collectives, all, score);
  return gatherValues(collectives, collectives.rank === 0 ? await score(all) : [])[0]!;
}

/** Labels of a recipe's rewards: the kind, and the number of further ones of a kind. */
export function labelsOfRewards(configs: readonly RewardConfig[]): string[] {
  return configs.map(({ kind }, i) => {
    const before = configs.slice(0, i).filter((other) => other.kind === kind).length;
    return before === 0 ? kind : `${kind}_${before + 1}`;
  });
}

async function openAll(
  configs: readonly RewardConfig[],
  environment: RewardEnvironment,
): Promise<OpenReward[]> {
  const rewards: OpenReward[] = [];
  const labels = labelsOfRewards(configs);
  for (const [i, c] of configs.entries()) {
    const kind = rewardKinds.get(c.kind);
    kind.check?.(c);
    const reward = await kind.open(c, environment);
    const label = labels[i]!;
    const steps = { from: c.fromStep, to: c.toStep ?? Number.POSITIVE_INFINITY };
    rewards.push({ label, weight: c.weight, ...steps, parts: c.parts, reward });
  }
  return rewards;
}

const isOf = ({ part }: Scored, parts: readonly string[]) =>
  parts.length === 0 || parts.some((name) => isPart(part, name));

/**
 * Prepares the rewards of a recipe; with several ranks all must score the same batches, and have all rewards. Throws NsaError `reward_file_invalid`, `reward_model_unfit`, `reward_command_missing` (exit 2),
 * `reward_model_invalid`, `reward_tokenizer_mismatch` (exit 3), `sandbox_missing` (exit 4), and what the kinds of plugins throw.
 */
export async function makeScorer(
  configs: readonly RewardConfig[],
  environment: RewardEnvironment,
  collectives: Collectives = singleRank,
): Promise<Scorer> {
  const rewards = await openAll(configs, environment);
  const score: Scorer["score"] = async (outputs, { step, group }) => {
    const scores = outputs.map(({ completion }) => new OutputScore(completion));
    for (const reward of rewards) {
      if (step < reward.from || step > reward.to) continue;
      const open = scores.flatMap((score, i) =>
        score.fault === undefined && isOf(outputs[i]!, reward.parts) ? [i] : [],
      );
      if (open.length === 0) continue;
      const context = { step, group: open.map((i) => group[i]!) };
      const scored = open.map((i) => outputs[i]!);
      const verdicts = await verdictsOfRanks(reward, scored, context, collectives);
      // All ranks have the same verdicts, so they stop together.
      if (verdicts.some((verdict) => (verdict as { fault?: unknown } | null)?.fault === INTERRUPTED))
        throw new WorkInterrupted(`${reward.label} ${INTERRUPTED}`);
      for (const [n, i] of open.entries()) scores[i]!.add(reward, verdicts[n]);
    }
    return scores.map((s) => s.reward);
  };
  return {
    score,
    close: async () => {
      for (const { reward } of rewards) await reward.close?.();
    },
  };
}
