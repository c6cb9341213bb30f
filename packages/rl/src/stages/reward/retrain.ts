// One retraining of a reward model: from its weights on, on fresh labelled outputs with a share of history.
import type { Metrics } from "@nsa/core";
import { modelFiles } from "@nsa/data";
import type { Device } from "@nsa/kernels";
import {
  loadModel,
  loraOfRecipe,
  REWARD_FILE,
  readModelConfig,
  readRewardFile,
  saveCheckpoint,
  writeRewardFile,
} from "@nsa/model";
import { Trainer } from "@nsa/train";
import type { RewardModelConfig } from "./config.ts";
import { examplesOfAll, type RewardExample } from "./examples.ts";
import { rewardLosses } from "./loss.ts";
import { measureHeldOut } from "./measure.ts";
import type { LabelledRecord } from "./records.ts";
import { ReplaySource } from "./replay.ts";

export interface Retraining {
  device: Device;
  /** Checkpoint to begin from, and the folder of the one that comes of it. */
  from: string;
  to: string;
  recipe: RewardModelConfig;
  fresh: readonly LabelledRecord[];
  history: readonly LabelledRecord[];
  heldOut: readonly LabelledRecord[];
  replayShare: number;
  seed: number;
  /** Step of the policy, noted in the checkpoint. */
  step: number;
  /** Called before each step; true ends the retraining without a result. */
  interrupted: () => boolean | Promise<boolean>;
}

/** Whether the examples' labels differ: equal ones teach nothing. */
function teaches(examples: readonly RewardExample[]): boolean {
  const labels = new Set(
    examples.flatMap((texts) => texts.flatMap(({ ends }) => ends.map(({ label }) => label))),
  );
  return labels.size > 1;
}

const prefixed = (metrics: Metrics, end: string): Metrics =>
  Object.fromEntries(
    Object.entries(metrics).map(([name, value]) => [
      `reward_model/${name.replace(/^held_out\//, "")}${end}`,
      value,
    ]),
  );

/**
 * Trains for the recipe's steps and writes the checkpoint. Resolves with figures on the held-out records before and after; undefined
 * where it was interrupted, and "nothing" where the labels teach nothing, which leaves no checkpoint.
 */
export async function retrainRewardModel(work: Retraining): Promise<Metrics | "nothing" | undefined> {
  const { device, from, to, recipe, replayShare: share, seed, step } = work;
  const fresh = examplesOfAll(work.fresh, recipe);
  const history = examplesOfAll(work.history, recipe);
  const heldOut = examplesOfAll(work.heldOut, recipe);
  if (!teaches(fresh)) return "nothing";
  const { train, loss } = recipe;
  // Adapters of the model are trained on; a whole one gets those of the recipe.
  const base = readModelConfig(from);
  const lora = base.lora ? {} : { lora: loraOfRecipe(recipe.adapter, base) };
  const model = await loadModel(device, from, { head: "scalar", ...lora }, train.groups, seed);
  const { optimizer, groups, schedule, recompute, logitsBudgetMb, skipZScore, steps } = train;
  const trainer = new Trainer(model, steps, {
    optimizer,
    groups,
    schedule,
    recompute,
    logitsBudgetMb,
    skipZScore,
  });
  try {
    const source = new ReplaySource(fresh, history, { share, seed, loss, ...train });
    const measured = () => (heldOut.length > 0 ? measureHeldOut(model, heldOut, loss).metrics : {});
    const before = measured();
    let last: Metrics = {};
    for (let n = 0; n < steps; n++) {
      if (await work.interrupted()) return undefined;
      last = trainer.step(source.next(), rewardLosses.get(loss).loss);
    }
    const after = measured();
    const files = { ...modelFiles(from), [REWARD_FILE]: writeRewardFile(readRewardFile(from)) };
    await saveCheckpoint(to, { model, step, files });
    return {
      "reward_model/train_loss": last["train/loss"]!,
      "reward_model/fresh_examples": fresh.length,
      "reward_model/history_examples": history.length,
      ...prefixed(before, "_before"),
      ...prefixed(after, ""),
    };
  } finally {
    trainer.free();
    model.free();
  }
}
