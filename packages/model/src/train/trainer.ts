// One optimizer step: micro-batches forward and backward, clip, skip, update. Knows nothing of files or data sources.
import { type Batch, ExitCode, NsaError, type Stateful, type StepBatch } from "@nsa/core";
import { Tape, type Tensor, TensorMath } from "@nsa/kernels";
import { z } from "zod";
import type { Transformer } from "../transformer/transformer.ts";
import { type Collectives, singleRank } from "./collectives.ts";
import { headOn, logprobs } from "./head.ts";
import type { LossFunction } from "./loss.ts";
import { Optimizer, optimizerSchema } from "./optimizer.ts";
import { lrShare, scheduleSchema } from "./schedule.ts";

export const trainerSchema = z.strictObject({
  optimizer: optimizerSchema.prefault({}).describe("The update"),
  schedule: scheduleSchema.prefault({}).describe("Learning rate over the steps"),
  recompute: z
    .boolean()
    .default(false)
    .describe("Run layers again in the backward instead of keeping activations"),
  logitsBudgetMb: z
    .number()
    .min(0)
    .default(64)
    .describe("Logits are kept for the backward when they fit, else computed again, MiB"),
  skipZScore: z
    .number()
    .min(0)
    .default(0)
    .describe("Skip steps whose gradient norm lies so many deviations above the last 128; 0 = never"),
});

export type TrainerConfig = z.output<typeof trainerSchema>;
export type TrainerConfigInput = z.input<typeof trainerSchema>;

export interface StepOptions {
  /** Of the policy whose log-probabilities the loss sees. Default 1. */
  temperature?: number;
}

const HISTORY = 128;
const EMA = 0.98;

interface TrainerState {
  step: number;
  lossEma: number | null;
  norms: number[];
}

export class Trainer implements Stateful {
  readonly name = "trainer";
  readonly config: TrainerConfig;
  readonly optimizer: Optimizer;
  /** Steps done. */
  stepsDone = 0;
  private lossEma: number | undefined;
  private norms: number[] = [];

  constructor(
    readonly model: Transformer,
    readonly totalSteps: number,
    config: TrainerConfigInput = {},
    readonly collectives: Collectives = singleRank,
  ) {
    this.config = trainerSchema.parse(config);
    this.optimizer = new Optimizer(model.parameters, this.config.optimizer);
  }

  /**
   * Runs one step and returns its metrics (`train/loss`, `train/grad_norm`, `train/lr`, and those of the loss).
   * Throws NsaError `diverged` (exit 5) before touching the weights when loss or gradients are not finite.
   */
  step(stepBatch: StepBatch, loss: LossFunction, options: StepOptions = {}): Record<string, number> {
    const { parameters } = this.model;
    parameters.zeroGradients();
    let tokens = 0;
    // Losses and metrics are read after the last micro-batch: a read waits for the device.
    const parts = stepBatch.microBatches.map((batch) => {
      tokens += batch.tokens.length;
      return this.accumulate(batch, stepBatch.weightSum, loss, options);
    });
    const sums: Record<string, number> = { loss: 0 };
    for (const part of parts) addMetrics(sums, part);
    this.collectives.allReduceSum(parameters.gradients!);
    [sums.loss, tokens] = this.collectives.allReduceNumbers([sums.loss!, tokens]) as [number, number];
    const norm = this.optimizer.prepare();
    const step = this.stepsDone + 1;
    if (!Number.isFinite(sums.loss) || !Number.isFinite(norm)) this.diverged(step, sums.loss!, norm);
    const skip = this.isOutlier(norm);
    const lr = this.config.optimizer.lr * lrShare(this.config.schedule, step, this.totalSteps);
    if (!skip) {
      this.optimizer.apply(lr, step);
      this.norms.push(norm);
      if (this.norms.length > HISTORY) this.norms.shift();
    }
    this.stepsDone = step;
    const { loss: total, ...others } = sums;
    this.lossEma = this.lossEma === undefined ? total! : EMA * this.lossEma + (1 - EMA) * total!;
    return {
      "train/loss": total!,
      "train/loss_ema": this.lossEma,
      "train/grad_norm": norm,
      "train/lr": lr,
      "train/tokens": tokens,
      "train/skipped": skip ? 1 : 0,
      ...others,
    };
  }

  /** Mean −log p of the weighted targets, nats, without gradients. */
  evaluate(batches: Iterable<Batch>): { loss: number; weight: number } {
    let [sum, weight] = [0, 0];
    for (const batch of batches) {
      const { logp } = logprobs(this.model, batch);
      for (let t = 0; t < logp.length; t++) {
        sum -= batch.lossWeight[t]! * logp[t]!;
        weight += batch.lossWeight[t]!;
      }
    }
    [sum, weight] = this.collectives.allReduceNumbers([sum, weight]) as [number, number];
    return { loss: weight > 0 ? sum / weight : 0, weight };
  }

  save(): TrainerState {
    return { step: this.stepsDone, lossEma: this.lossEma ?? null, norms: [...this.norms] };
  }

  load(state: TrainerState): void {
    this.stepsDone = state.step;
    this.lossEma = state.lossEma ?? undefined;
    this.norms = [...state.norms];
  }

  free(): void {
    this.optimizer.free();
  }

  private accumulate(
    batch: Batch,
    weightSum: number,
    loss: LossFunction,
    options: StepOptions,
  ): Record<string, Tensor | number> {
    const { model, config } = this;
    const { device } = model;
    using scope = device.scope();
    const tape = new Tape();
    const uploaded = model.upload(batch);
    const hidden = model.forward(tape, uploaded, { recompute: config.recompute });
    const head = headOn(model, tape, hidden, batch.targets, {
      temperature: options.temperature,
      logitsBudgetBytes: config.logitsBudgetMb * 2 ** 20,
    });
    const stats = head.logp.dtype;
    const onDevice = (values: Float32Array) => device.from(values, [values.length], stats);
    const result = loss(batch, {
      ...head,
      tape,
      math: new TensorMath(tape),
      hidden,
      aux: [],
      weight: onDevice(batch.lossWeight),
      column: (name) => {
        const values = batch.columns?.[name];
        if (!values) throw new Error(`the batch has no column ${name}`);
        return onDevice(values);
      },
      device: uploaded,
      weightSum,
    });
    tape.backward([[result.loss, device.full([1], stats, 1)]]);
    const part = { ...result.metrics, loss: result.loss };
    for (const value of Object.values(part)) if (typeof value !== "number") scope.detach(value);
    return part;
  }

  private isOutlier(norm: number): boolean {
    const { skipZScore } = this.config;
    const n = this.norms.length;
    if (skipZScore === 0 || n < 32) return false;
    const mean = this.norms.reduce((a, b) => a + b, 0) / n;
    const std = Math.sqrt(this.norms.reduce((a, b) => a + (b - mean) ** 2, 0) / n);
    return norm > mean + skipZScore * Math.max(std, 1e-12);
  }

  private diverged(step: number, loss: number, norm: number): never {
    throw new NsaError({
      code: "diverged",
      what: `training diverged at step ${step}`,
      why: `loss ${loss}, gradient norm ${norm}`,
      fix: "resume from the last good checkpoint with a lower train.optimizer.lr or a longer warm-up",
      exitCode: ExitCode.diverged,
    });
  }
}

/** Adds one micro-batch's metrics, freeing its tensors; names ending in `_max` take the largest. */
function addMetrics(sums: Record<string, number>, part: Record<string, Tensor | number>): void {
  for (const [name, value] of Object.entries(part)) {
    const x = typeof value === "number" ? value : value.item();
    sums[name] = name.endsWith("_max") ? Math.max(sums[name] ?? -Infinity, x) : (sums[name] ?? 0) + x;
  }
  const tensors = new Set(Object.values(part).filter((v) => typeof v !== "number"));
  for (const t of tensors) if (t.isLive) t.free();
}
