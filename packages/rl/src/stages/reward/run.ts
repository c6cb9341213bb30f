// `nsa reward`: a checkpoint with a scalar head learns to score right outputs, or right steps, above wrong ones.
import { join } from "node:path";
import {
  JsonlFile,
  type Metrics,
  type Resize,
  type StageContext,
  type StageRunner,
  sameSize,
} from "@nsa/core";
import { modelFiles, Tokenizer } from "@nsa/data";
import { openPlans } from "@nsa/kernels";
import {
  loadWithAdapters,
  loraOfRecipe,
  REWARD_FILE,
  readModelConfig,
  resolveModelConfig,
  writeRewardFile,
} from "@nsa/model";
import { checkVocabulary, rocAuc } from "@nsa/tasks";
import {
  collectivesOf,
  estimateTraining,
  openStageDevice,
  runTraining,
  ShuffledSource,
  Trainer,
} from "@nsa/train";
import { lengthAndFormBaseline } from "./baseline.ts";
import { checkRewardRecipe, type RewardModelConfig } from "./config.ts";
import {
  packTexts,
  positionsOfExample,
  type RewardData,
  readRewardData,
  weightOfExample,
} from "./examples.ts";
import { rewardLosses } from "./loss.ts";
import { measureHeldOut } from "./measure.ts";

/** Numbers of held-out outputs after the last measurement, one a line. */
export const HELD_OUT_FILE = "held-out.jsonl";

/** What a run will cost at most, with the architecture of `init.checkpoint`. */
export function estimateReward(
  config: RewardModelConfig,
  device?: string,
  resize: Resize = sameSize,
  world = 1,
): Record<string, number> {
  checkRewardRecipe(config);
  const base = readModelConfig(config.init.checkpoint);
  const model = resolveModelConfig({ ...base, head: "scalar", lora: loraOfRecipe(config.adapter, base) });
  return estimateTraining(resize(model), { ...config.train, device, world });
}

/** Steps over the learned examples, shuffled again each epoch. */
function sourceOf({ learned }: RewardData, { train, seed, loss }: RewardModelConfig): ShuffledSource {
  const at = (indices: readonly number[]) => indices.map((i) => learned[i]!);
  return new ShuffledSource(
    {
      count: learned.length,
      positions: (i) => positionsOfExample(learned[i]!),
      pack: (indices) => packTexts(at(indices), loss),
      weight: (_, indices) => at(indices).reduce((n, texts) => n + weightOfExample(texts), 0),
    },
    { ...train, seed },
  );
}

/** Area under the ROC curve of the baseline on length and form, on the held-out outputs. */
function baselineMetrics({ learned, heldOut }: RewardData): Metrics {
  const texts = [...new Set(heldOut.flat())];
  const score = lengthAndFormBaseline([...new Set(learned.flat())]);
  const auc = rocAuc(
    texts.map(score),
    texts.map(({ ends }) => ends.at(-1)!.label),
  );
  return Number.isFinite(auc) ? { "held_out/length_and_form_auc": auc } : {};
}

/** Measures the held-out data and leaves its numbers in the run folder. */
function validationOf(trainer: Trainer, data: RewardData, config: RewardModelConfig, context: StageContext) {
  if (data.heldOut.length === 0) return undefined;
  const baseline = config.kind === "outcome" ? baselineMetrics(data) : {};
  return (): Metrics => {
    const { metrics, numbers } = measureHeldOut(trainer.model, data.heldOut, config.loss);
    const file = new JsonlFile(join(context.runDir, HELD_OUT_FILE));
    file.truncate(0);
    for (const { policyStep, ...row } of numbers)
      file.append({ ...row, ...(policyStep === undefined ? {} : { policy_step: policyStep }) });
    file.close();
    return { ...metrics, ...baseline };
  };
}

/** Runs the stage; resumes exactly when the context names a checkpoint. */
export const runReward: StageRunner<RewardModelConfig> = async (config, context) => {
  checkRewardRecipe(config);
  const init = config.init.checkpoint;
  const tokenizer = Tokenizer.load(join(init, "tokenizer.json"));
  const data = readRewardData(config, tokenizer, (text, level) => context.log(text, level));
  const device = openStageDevice(context, config);
  try {
    openPlans(device, context);
    const { adapter, seed, train } = config;
    const opened = { head: "scalar", groups: train.groups, seed };
    const model = await loadWithAdapters(device, init, adapter, opened);
    checkVocabulary(tokenizer, model, init);
    const { optimizer, groups, schedule, recompute, logitsBudgetMb, skipZScore, shareState } = config.train;
    const trained = { optimizer, groups, schedule, recompute, logitsBudgetMb, skipZScore, shareState };
    const trainer = new Trainer(model, config.train.steps, trained, collectivesOf(context, device), {
      mayShare: true,
    });
    const { kind, loss, steps } = config;
    const { probability } = rewardLosses.get(loss);
    const file = { format: 1 as const, kind, loss, probability, steps, tokenizer: tokenizer.hash };
    return await runTraining(
      {
        trainer,
        source: sourceOf(data, config),
        loss: rewardLosses.get(loss).loss as never,
        config: config.train,
        validation: [],
        evaluate: validationOf(trainer, data, config, context),
        files: { ...modelFiles(init), [REWARD_FILE]: writeRewardFile(file) },
        sequenceLength:
          data.learned.reduce((n, e) => n + positionsOfExample(e), 0) / data.learned.flat().length,
      },
      context,
    );
  } finally {
    device.close();
  }
};
