// Files that a recipe of reinforcement learning reads, so that those that are not there are named before a run begins.
import { isAbsolute, join } from "node:path";
import { findTask } from "@nsa/tasks";
import type { RewardConfig } from "../rewards/config.ts";
import type { RlTask } from "./config.ts";

/** Files of a task's problems: its own, or those of the built-in task that it names. */
export function taskInputs({ file, files, task, dataDir }: RlTask): string[] {
  const own = [file, ...files].filter((path) => path !== "");
  if (task === "" || file !== "") return own;
  const inFolder = (path: string) => (isAbsolute(path) ? path : join(dataDir, path));
  return [...findTask(task).files.map(inFolder), ...files.map(inFolder)];
}

/** Reward files, and the reward models' folders by their reward.json. */
export function rewardInputs(rewards: readonly RewardConfig[]): string[] {
  return rewards.flatMap(({ file, checkpoint, ensemble }) => [
    ...(file === "" ? [] : [file]),
    ...[checkpoint, ...ensemble].flatMap((folder) => (folder === "" ? [] : [join(folder, "reward.json")])),
  ]);
}

/** What every policy is loaded from besides its weights. */
export const policyInputs = (checkpoint: string): string[] => [join(checkpoint, "tokenizer.json")];
