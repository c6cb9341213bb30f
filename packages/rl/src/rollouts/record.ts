// What is recorded of a step of `nsa grpo`: every output with its ids, both log-probabilities, reward, advantage and weight, the policy
// that sampled it, and fingerprints by which the step's updates can be checked when they are applied again.
import type { Insert } from "@nsa/eval";
import type { SampleRewards } from "../algorithm/advantages/kind.ts";
import type { Reward } from "../rewards/score.ts";

/** A row of `step-000123.jsonl`: what is text or differs in shape between outputs. */
export interface RecordedOutput {
  /** Number of the output in its step, from 0, in the order of the tensors. */
  output: number;
  /** Number of its question in the run: outputs of one question are a group. */
  group: number;
  id: string;
  question: string;
  answer: string;
  prompt: string;
  prompt_ids: readonly number[];
  completion: string;
  finish: "stop" | "length";
  /** Summed and weighted; null where a reward failed. */
  reward: number | null;
  /** Unweighted value of each reward by its label. */
  parts: Record<string, number>;
  outcome?: number;
  steps?: Reward["steps"];
  fault?: string;
  /** Replaced by another group with dynamic sampling. */
  discarded?: true;
  /** Steps that the policy that sampled it had learned from. */
  policy_version: number;
  /** Fingerprint of that policy's weights. */
  policy_weights: string;
}

/** Values of each token of each output; `logp` in nats at the sampling temperature. */
export interface RecordedTokens {
  /** Sampled ids; the values below are of these. */
  ids: ArrayLike<number>;
  /** What tools wrote between them. */
  inserts?: readonly Insert[];
  samplerLogp: ArrayLike<number>;
  /** The trainer's; NaN where the output was not learned from. */
  oldLogp: ArrayLike<number>;
  /** The reference's, where there is one. */
  refLogp?: ArrayLike<number>;
  advantage: ArrayLike<number>;
  /** Ids that each token was drawn among, itself first, where the run takes log-probabilities over them. */
  kept?: readonly (readonly number[])[];
  /** PPO's: V before the step's updates, and what it should have been; NaN where the output was not learned from. */
  oldValue?: ArrayLike<number>;
  returns?: ArrayLike<number>;
  /** Weight of each token in the loss; 0 where the output was left out. */
  weight: number;
}

export interface RecordedStep {
  step: number;
  outputs: RecordedOutput[];
  tokens: RecordedTokens[];
  /** What weighted token losses were divided by. */
  weightSum: number;
  /** Fingerprints of the weights before and after the step. */
  weightsBefore: string;
  weightsAfter: string;
  /** Fingerprint of the gradient of each of the step's updates. */
  gradients: string[];
}

/** A recorded reward as the scorer gave it. */
export function rewardOf({ reward, parts, outcome, steps, fault }: RecordedOutput): Reward {
  return {
    total: reward ?? Number.NaN,
    parts,
    ...(outcome === undefined ? {} : { outcome }),
    ...(steps ? { steps } : {}),
    ...(fault === undefined ? {} : { fault }),
  };
}

/** What the recorder needs of an output. */
export interface OutputToRecord {
  prompt: readonly number[];
  text: string;
  sample: { ids: readonly number[]; logp: readonly number[] };
  row: {
    id: string;
    question: string;
    answer: string;
    completion: string;
    finish: "stop" | "length";
    reward: Reward;
  };
  rewards: SampleRewards;
  discarded: boolean;
}

export function recordedOutput(
  o: OutputToRecord,
  output: number,
  policy: { version: number; weights: string },
): RecordedOutput {
  const { id, question, answer, completion, finish, reward } = o.row;
  const { total, parts, outcome, steps, fault } = reward;
  return {
    ...{ output, group: o.rewards.group, id, question, answer },
    ...{ prompt: o.text, prompt_ids: o.prompt, completion, finish },
    reward: fault === undefined ? total : null,
    parts,
    ...(outcome === undefined ? {} : { outcome }),
    ...(steps ? { steps } : {}),
    ...(fault === undefined ? {} : { fault }),
    ...(o.discarded ? { discarded: true } : {}),
    policy_version: policy.version,
    policy_weights: policy.weights,
  };
}
