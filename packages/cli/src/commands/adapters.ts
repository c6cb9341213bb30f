// `nsa model merge|unmerge|rebase`: checkpoints of adapters and whole ones.
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { modelFiles } from "@nsa/data";
import { type Device, openDevice } from "@nsa/kernels";
import {
  importPeft,
  mergeAdapters,
  REWARD_FILE,
  rebaseCheckpoint,
  saveCheckpoint,
  unmergeAdapters,
} from "@nsa/model";

/** What travels with the weights: tokenizer, chat template, and what a reward model's numbers mean. */
function filesOf(checkpoint: string): Record<string, string> {
  const reward = join(checkpoint, REWARD_FILE);
  const files = modelFiles(checkpoint);
  return existsSync(reward) ? { ...files, [REWARD_FILE]: readFileSync(reward, "utf8") } : files;
}

async function onCpu(body: (device: Device) => Promise<void>): Promise<void> {
  const device = openDevice("cpu");
  try {
    await body(device);
  } finally {
    device.close();
  }
}

export const mergeCommand = (checkpoint: string, to: string) =>
  onCpu(async (device) => {
    const { model, step } = await mergeAdapters(device, checkpoint);
    await saveCheckpoint(to, { model, step, files: filesOf(checkpoint) });
  });

export const unmergeCommand = (whole: string, checkpoint: string, to: string) =>
  onCpu(async (device) => {
    const model = await unmergeAdapters(device, whole, checkpoint);
    await saveCheckpoint(to, { model, step: 0, files: filesOf(whole) });
  });

/** The adapters of a PEFT folder become a checkpoint on a base. */
export const importPeftCommand = (folder: string, base: string, to: string) =>
  onCpu(async (device) => {
    const model = await importPeft(device, folder, base);
    await saveCheckpoint(to, { model, step: 0, files: filesOf(base) });
  });

export const rebaseCommand = (checkpoint: string, base: string) => rebaseCheckpoint(checkpoint, base);
