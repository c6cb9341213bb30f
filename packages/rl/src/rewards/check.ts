// What can be wrong with the rewards of a recipe by its text alone, found before anything is opened.
import { ExitCode, NsaError } from "@nsa/core";
import { isPart, type RlTask, taskParts } from "../task/config.ts";
import type { RewardConfig } from "./config.ts";
import { rewardKinds } from "./registry.ts";

type Fault = [what: string, why: string, fix: string];

function faultOf(reward: RewardConfig, parts: readonly string[] | undefined): Fault | undefined {
  const { fromStep, toStep } = reward;
  if (toStep !== undefined && toStep < fromStep)
    return [
      `to_step ${toStep} is before from_step ${fromStep}`,
      "this reward would count at no step",
      "exchange the two, or remove the reward",
    ];
  const unknown = parts && reward.parts.find((name) => !parts.some((part) => isPart(part, name)));
  if (unknown !== undefined)
    return [
      `parts with ${unknown}`,
      `the parts of the task are ${parts!.join(", ")}, so this name fits no output`,
      "correct the name, or leave out `parts`",
    ];
  return undefined;
}

/** What to say of rewards that begin after the run's last step, as in a short trial; undefined where there are none. */
export function rewardsLeftOut(rewards: readonly RewardConfig[], steps: number): string | undefined {
  const late = rewards.filter(({ fromStep }) => fromStep > steps);
  if (late.length === 0) return undefined;
  const named = late.map(({ kind, fromStep }) => `${kind} (from_step ${fromStep})`).join(", ");
  return `the run has ${steps} steps, so these rewards never count: ${named}`;
}

/**
 * Throws NsaError `rewards_invalid` (exit 2) for rewards that can never count and where all weights are 0, and what the kinds' own
 * checks throw. `steps`: of the run.
 */
export function checkRewards(
  rewards: readonly RewardConfig[],
  { task, steps }: { task: RlTask; steps: number },
): void {
  const refuse = ([what, why, fix]: Fault) =>
    new NsaError({ code: "rewards_invalid", what, why, fix, exitCode: ExitCode.usage });
  const parts = taskParts(task);
  for (const [i, reward] of rewards.entries()) {
    const fault = faultOf(reward, parts);
    if (fault) throw refuse([`rewards.${i} (${reward.kind}): ${fault[0]}`, fault[1], fault[2]]);
    rewardKinds.get(reward.kind).check?.(reward);
  }
  if (rewards.length > 0 && rewards.every(({ fromStep }) => fromStep > steps))
    throw refuse([
      "all rewards begin after the run's last step",
      `the run has ${steps} steps`,
      "raise the number of steps, or lower a reward's from_step",
    ]);
  if (rewards.length > 0 && rewards.every(({ weight }) => weight === 0))
    throw refuse([
      "all rewards have weight 0",
      "no output would earn anything, so nothing could be learned",
      "give one of them a weight",
    ]);
}
