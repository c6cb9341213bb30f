// Iterative GRPO as numbers: how many steps a run has, and which iteration a step belongs to.
import { ExitCode, NsaError } from "@nsa/core";
import type { RewardConfig } from "../../../rewards/config.ts";
import type { GrpoConfig } from "../config.ts";

function refuse(what: string, why: string, fix: string): NsaError {
  return new NsaError({ code: "iterations_invalid", what, why, fix, exitCode: ExitCode.usage });
}

/** The entry whose model is retrained. */
export const isRewardModel = ({ kind }: RewardConfig) => kind === "model" || kind === "process_model";

/**
 * The recipe with the steps and the reference's interval that its iterations come to; itself without iterations.
 * Throws NsaError `iterations_invalid` (exit 2).
 */
export function withIterations(config: GrpoConfig): GrpoConfig {
  const { iterations, algorithm, rewards } = config;
  if (!iterations) return config;
  if (algorithm.referenceEvery > 0)
    throw refuse(
      "iterations beside algorithm.reference_every",
      "each iteration begins with reference ← policy already",
      "remove reference_every",
    );
  const models = rewards.filter(isRewardModel);
  if (iterations.rewardModel && models.length !== 1)
    throw refuse(
      `iterations.reward_model with ${models.length} rewards of kind model or process_model`,
      "it retrains the model of one reward",
      "name exactly one",
    );
  if (iterations.rewardModel && models[0]!.ensemble.length > 0)
    throw refuse(
      "iterations.reward_model with an ensemble",
      "one model is retrained, and the others would grow old beside it",
      "remove rewards.ensemble",
    );
  return {
    ...config,
    steps: iterations.count * iterations.steps,
    algorithm: { ...algorithm, referenceEvery: iterations.steps },
  };
}
