// Recorded outputs by question, for people: each with its reward and the advantage that it was learned with.
import type { RecordedOutput, RecordedTokens } from "./record.ts";
import type { RolloutStore } from "./store.ts";

/** A recorded output beside what its tokens come to. */
export interface ShownOutput extends RecordedOutput {
  tokens: number;
  /** Mean over its tokens; outcome supervision gives all of them the same. */
  advantage: number;
  /** Whether it was in the loss. */
  learned: boolean;
  /** Largest difference of the sampler's and the trainer's log-probabilities, nats; absent where it was not learned from. */
  sampler_difference?: number;
}

/** All outputs of one question in one step. */
export interface RolloutGroup {
  step: number;
  group: number;
  id: string;
  question: string;
  answer: string;
  outputs: ShownOutput[];
}

export interface RolloutFilter {
  step?: number;
  /** Name of a question, or a part of its text. */
  question?: string;
  minReward?: number;
  maxReward?: number;
}

function shown(row: RecordedOutput, t: RecordedTokens): ShownOutput {
  const n = t.ids.length;
  const advantages = Array.from(t.advantage);
  const learned = t.weight > 0;
  const differences = learned ? Array.from(t.oldLogp, (x, i) => Math.abs(x - t.samplerLogp[i]!)) : [];
  return {
    ...row,
    tokens: n,
    advantage: advantages.reduce((a, b) => a + b, 0) / Math.max(1, n),
    learned,
    ...(learned ? { sampler_difference: Math.max(...differences) } : {}),
  };
}

/** Whether an output's reward is in the wanted range; one without a reward is in none. */
export function inRange(
  { reward }: { reward: number | null },
  { minReward = Number.NEGATIVE_INFINITY, maxReward = Number.POSITIVE_INFINITY }: RolloutFilter,
): boolean {
  if (minReward === Number.NEGATIVE_INFINITY && maxReward === Number.POSITIVE_INFINITY) return true;
  return reward !== null && reward >= minReward && reward <= maxReward;
}

const asks = ({ id, question }: RecordedOutput, wanted: string | undefined) =>
  wanted === undefined || id === wanted || question.includes(wanted);

/** The groups of a step that ask the wanted question and have an output in the wanted range; they stay whole. Throws as the store. */
export function groupsOf(store: RolloutStore, step: number, filter: RolloutFilter = {}): RolloutGroup[] {
  const { outputs, tokens } = store.read(step);
  const groups = new Map<number, RolloutGroup>();
  for (const [i, row] of outputs.entries()) {
    if (!asks(row, filter.question)) continue;
    const { group, id, question, answer } = row;
    if (!groups.has(group)) groups.set(group, { step, group, id, question, answer, outputs: [] });
    groups.get(group)!.outputs.push(shown(row, tokens[i]!));
  }
  return [...groups.values()].filter(({ outputs: own }) => own.some((o) => inRange(o, filter)));
}

/** The recorded steps that the filter lets through. */
export function stepsOf(store: RolloutStore, { step }: RolloutFilter = {}): number[] {
  return store.steps().filter((s) => step === undefined || s === step);
}
