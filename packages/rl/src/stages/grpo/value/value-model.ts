// PPO's value model: a scalar head on a trunk of its own (as the policy's, or a reward model's), or on the policy's trunk.
//
// A model of its own has its own optimizer, and its checkpoints lie in `value/` beside the policy's: they are written first, so that a
// checkpoint of the policy always has one. A shared trunk is part of the policy and is saved with it.
import { existsSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { ExitCode, type Metrics, NsaError, runFolderOf, type StageContext } from "@nsa/core";
import { Tokenizer } from "@nsa/data";
import type { Collectives, Device } from "@nsa/kernels";
import {
  loadCheckpoint,
  loadModel,
  loadWithAdapters,
  loraOfRecipe,
  readModelConfig,
  saveCheckpoint,
  type Transformer,
  values,
} from "@nsa/model";
import { shareItems, shareOfStep, Trainer } from "@nsa/train";
import { outputsOf, type PolicySample, policyBatch, policyStep, splitByTokens } from "../batch.ts";
import type { GrpoConfig } from "../config.ts";
import { valueLoss } from "./loss.ts";

type Settings = NonNullable<GrpoConfig["value"]>;

export interface ValueParts {
  config: GrpoConfig;
  ctx: StageContext;
  device: Device;
  /** The policy, whose trunk may be shared. */
  policy: Transformer;
  collectives: Collectives;
}

/**
 * Values are of the policy's own ids and of outputs as long as it writes them. Throws NsaError `value_model_unfit` (exit 3) for a checkpoint
 * of another tokenizer or a shorter context.
 */
function checkTrunk(from: string, policy: Transformer, { init }: GrpoConfig): void {
  const refuse = (why: string) =>
    new NsaError({
      code: "value_model_unfit",
      what: `the value model cannot begin from ${from}`,
      why,
      fix: "set value.init to policy, or to a checkpoint that was made from the policy's base",
      exitCode: ExitCode.data,
    });
  const { hash } = Tokenizer.load(join(init.checkpoint, "tokenizer.json"));
  if (Tokenizer.load(join(from, "tokenizer.json")).hash !== hash)
    throw refuse("its tokenizer is not the policy's: the same ids would mean other texts");
  const { maxSeqLen } = readModelConfig(from);
  if (maxSeqLen < policy.config.maxSeqLen)
    throw refuse(`it reads ${maxSeqLen} tokens, and the policy ${policy.config.maxSeqLen}`);
}

/** As the policy begins, adapters included; or a checkpoint, with new adapters of the recipe's sizes. */
async function openTrunk(device: Device, policy: Transformer, from: string, config: GrpoConfig) {
  const { init, adapter, seed } = config;
  const head = "scalar";
  if (from === "policy") return loadWithAdapters(device, init.checkpoint, adapter, { head, seed });
  checkTrunk(from, policy, config);
  const lora = loraOfRecipe(adapter, readModelConfig(from));
  return loadModel(device, from, { head, lora }, undefined, seed);
}

export class ValueModel {
  private constructor(
    private readonly model: Transformer,
    private readonly settings: Settings,
    private readonly budget: number,
    private readonly dir: string,
    /** Undefined where the trunk is the policy's. */
    private readonly trainer: Trainer | undefined,
    private readonly collectives: Collectives,
  ) {}

  /** Undefined where the recipe has no value model. `step`: the last one done. Throws what loading a checkpoint throws. */
  static async open(parts: ValueParts, step: number): Promise<ValueModel | undefined> {
    const { config, ctx, device, policy, collectives } = parts;
    const { value, train, microBatchTokens } = config;
    if (!value) return undefined;
    const dir = join(runFolderOf(ctx), "value");
    if (value.shared) return new ValueModel(policy, value, microBatchTokens, dir, undefined, collectives);
    const model = await openTrunk(device, policy, value.init, config);
    const optimizer = { ...train.optimizer, lr: value.lr };
    const trainer = new Trainer(model, config.steps, { ...train, groups: [], optimizer }, collectives);
    const opened = new ValueModel(model, value, microBatchTokens, dir, trainer, collectives);
    if (ctx.resumeFrom) await opened.load(step);
    return opened;
  }

  /** V of the state in which each output token was sampled. */
  valuesOf(samples: readonly PolicySample[]): number[][] {
    const valued = (group: readonly PolicySample[]) => {
      const batch = policyBatch(group);
      return outputsOf(batch, values(this.model, batch));
    };
    const groups = splitByTokens(samples, this.budget);
    return shareItems(this.collectives, groups, (own) => own.map(valued)).flat();
  }

  /** One update of a step on the samples of a mini-batch; nothing where the trunk is the policy's. */
  update(samples: readonly PolicySample[], weightSum: number, step: number): Metrics {
    if (!this.trainer) return {};
    const batch = shareOfStep(policyStep(samples, this.budget, weightSum), this.collectives);
    const metrics = this.trainer.step(batch, valueLoss(this.settings.clip), { scheduleStep: step });
    return { "value/loss": metrics["train/loss"]!, "value/grad_norm": metrics["train/grad_norm"]! };
  }

  async save(step: number): Promise<void> {
    const { model, trainer } = this;
    if (!trainer) return;
    await saveCheckpoint(this.path(step), { model, optimizer: trainer.optimizer, stateful: [trainer], step });
  }

  /** Removes those that no kept checkpoint of the policy belongs to. */
  prune(kept: readonly number[]): void {
    if (!existsSync(this.dir)) return;
    for (const name of readdirSync(this.dir)) {
      const step = Number(/^step-(\d+)$/.exec(name)?.[1] ?? Number.NaN);
      if (!kept.includes(step)) rmSync(join(this.dir, name), { recursive: true, force: true });
    }
  }

  private async load(step: number): Promise<void> {
    const { model, trainer } = this;
    await loadCheckpoint(this.path(step), { model, optimizer: trainer!.optimizer, stateful: [trainer!] });
  }

  private path(step: number): string {
    return join(this.dir, `step-${String(step).padStart(6, "0")}`);
  }
}
