// The loop that pretraining and fine-tuning share: steps, validation, samples, checkpoints, interruption, exact resume.
import { resolve } from "node:path";
import {
  type Batch,
  type BatchSource,
  type Metrics,
  NsaError,
  type StageContext,
  type StageResult,
  type Stateful,
  type StepBatch,
  turn,
  unlessInterrupted,
} from "@nsa/core";
import { type Device, savePlans } from "@nsa/kernels";
import { CheckpointStore, refuseOtherStep, resumeCheckpoint, TrainWork, trainFlops } from "@nsa/model";
import { z } from "zod";
import type { AnyLoss } from "./loss.ts";
import { peakTflops } from "./peak.ts";
import { StepProfiler } from "./profile.ts";
import { anyRank } from "./rank-share.ts";
import { shareOf } from "./rank-source.ts";
import { rateWarning } from "./schedule.ts";
import type { Trainer } from "./trainer.ts";

export const loopSchema = z.strictObject({
  steps: z.number().int().min(1).default(200).describe("Optimizer steps"),
  logEvery: z.number().int().min(1).default(1).describe("Steps between metric rows"),
  evalEvery: z.number().int().min(0).default(50).describe("Steps between validations; 0 = at the end only"),
  saveEvery: z.number().int().min(0).default(100).describe("Steps between checkpoints; 0 = at the end only"),
  maxSeconds: z
    .number()
    .min(0)
    .default(0)
    .describe(
      "Ends the run, as its last step does, after so many seconds of training; 0 = never. Resumes count anew",
    ),
  keepLast: z.number().int().min(1).default(2).describe("Checkpoints kept besides the best one"),
});

export type LoopConfig = z.output<typeof loopSchema>;

export interface TrainingRun {
  trainer: Trainer;
  source: BatchSource;
  loss: AnyLoss;
  config: LoopConfig;
  validation: readonly Batch[];
  /** Parts of it that are measured by themselves, as `val/loss_<name>`. */
  parts?: readonly { name: string; batches: readonly Batch[] }[];
  /** Figures on held-out data in place of the cross-entropy of `validation`; their `val/loss`, if any, decides on the best checkpoint. */
  evaluate?: () => Metrics | Promise<Metrics>;
  /** Whether a run that is not resumed is evaluated before its first step, too. */
  evaluateFirst?: boolean;
  /** Further figures of the step that was just done. */
  stepMetrics?: () => Metrics;
  /** UTF-8 bytes of the validation texts per target, which turn its nats per target into bits per byte. */
  bytesPerToken?: number;
  /** Files to keep with each checkpoint. */
  files?: Record<string, string>;
  /** Reports samples after a validation. */
  onEval?: (step: number) => void | Promise<void>;
  /** Document length for the FLOPs per token that the start event reports; the steps count their own documents. */
  sequenceLength: number;
}

/** Trains to the last step or until the user stops, which saves first. Emits start, step, eval, checkpoint, done. */
export async function runTraining(run: TrainingRun, context: StageContext): Promise<StageResult> {
  const loop = new TrainingLoop(run, context);
  await loop.begin();
  return loop.train();
}

/** Bytes of masters and moments on this rank, as the memory of the device counts them; masters of an fp32 model are its weights. */
const stateBytes = (device: Device): number =>
  device
    .tenants()
    .filter(({ purpose }) => purpose === "masters" || purpose === "moments")
    .reduce((n, { bytes }) => n + bytes, 0);

const outputs = (checkpoint: string | undefined): Record<string, string> =>
  checkpoint ? { checkpoint } : {};

class TrainingLoop {
  private readonly store: CheckpointStore;
  private readonly stateful: Stateful[];
  private readonly work: TrainWork;
  /** Peak TFLOP/s of the device; undefined where it is not known. */
  private readonly peak: number | undefined;
  private lastPath: string | undefined;
  /** The step of the newest checkpoint, on every rank. */
  private savedStep: number | undefined;
  /** The last validation. */
  private validated: { step: number; loss: number | undefined } | undefined;
  /** The newest figures of training and validation. */
  private final: Metrics = {};
  private begun = 0;

  constructor(
    private readonly run: TrainingRun,
    private readonly context: StageContext,
  ) {
    const { model } = run.trainer;
    this.store = new CheckpointStore(`${context.runDir}/checkpoints`, run.config.keepLast);
    this.stateful = [run.trainer, run.source];
    this.work = new TrainWork(model.config, model.groups);
    this.peak = peakTflops(model.device.info, model.config.dtype);
    this.lastPath = context.resumeFrom;
  }

  /** Loads the checkpoint that the context names, and reports the start. */
  async begin(): Promise<void> {
    const { run, context, stateful } = this;
    const { model, optimizer } = run.trainer;
    if (context.resumeFrom) {
      const state = await resumeCheckpoint(context.resumeFrom, { model, optimizer, stateful }, context);
      refuseOtherStep(context.resumeFrom, state);
      if (resolve(context.resumeFrom) === resolve(this.store.path(state.step))) this.savedStep = state.step;
    }
    const flops = trainFlops(model.config, run.sequenceLength, model.groups);
    context.emit({
      type: "start",
      totalSteps: run.config.steps,
      step: run.trainer.stepsDone,
      info: {
        parameters: model.parameters.layout.parameterCount,
        flops_per_token: flops.actual,
        attention_read_share: flops.readShare,
        device: model.device.name,
        state_bytes: stateBytes(model.device),
      },
    });
    const { schedule, optimizer: recipe } = run.trainer.config;
    const fault = rateWarning(schedule, recipe.lr, run.config.steps);
    if (fault) context.log(fault, "warn");
    if (run.evaluateFirst && !context.resumeFrom) await this.validate();
  }

  async train(): Promise<StageResult> {
    const { context } = this;
    const { trainer, source, config } = this.run;
    // By its third step a run is warm.
    const profiler = new StepProfiler(trainer.model, context, Math.min(trainer.stepsDone + 3, config.steps));
    this.begun = performance.now();
    const steps = shareOf(source, trainer.collectives)[Symbol.asyncIterator]();
    try {
      while (trainer.stepsDone < config.steps) {
        await turn();
        if (this.anyRank(context.interrupted())) return await this.stop();
        const asked = performance.now();
        const next = await unlessInterrupted(steps.next());
        if (!next) return await this.stop();
        if (next.done) break;
        const from = performance.now();
        profiler.begin(trainer.stepsDone + 1);
        const metrics = trainer.step(next.value, this.run.loss);
        profiler.end();
        this.measure(metrics, next.value, { asked, from, ended: performance.now() });
        Object.assign(metrics, this.run.stepMetrics?.());
        if (await this.endStep(metrics)) break;
      }
    } catch (error) {
      throw this.withCheckpoint(error);
    }
    context.emit({ type: "done", step: trainer.stepsDone, metrics: this.final });
    return this.result("completed");
  }

  private async stop(): Promise<StageResult> {
    // The checkpoint of a save that was due keeps its validation loss.
    if (this.savedStep !== this.run.trainer.stepsDone) await this.save({ due: false });
    return this.result("interrupted");
  }

  /** Adds the step's figures of time to its metrics. Times in ms: data asked for, data there, step done. */
  private measure(
    metrics: Metrics,
    { microBatches }: StepBatch,
    { asked, from, ended }: { asked: number; from: number; ended: number },
  ): void {
    const seconds = (ended - from) / 1000;
    // Share of the step's time in which it waited for its data.
    metrics["perf/data_wait"] = (from - asked) / (ended - asked);
    metrics["perf/tokens_per_sec"] = metrics["train/tokens"]! / seconds;
    // Of this rank's documents; the tokens are those of all ranks.
    const own = microBatches.reduce((n, batch) => n + batch.tokens.length, 0);
    const flopsPerToken = microBatches.reduce((n, batch) => n + this.work.add(batch), 0) / Math.max(1, own);
    metrics["perf/tflops"] = (flopsPerToken * metrics["perf/tokens_per_sec"]) / 1e12;
    // FLOPs that attention really does, not those a dense one would: a sparse model gets no credit for skipping.
    const { world } = this.run.trainer.collectives;
    metrics["perf/memory_peak_bytes"] = this.run.trainer.model.device.stats().peakBytes;
    if (this.peak !== undefined) metrics["perf/mfu"] = metrics["perf/tflops"] / (this.peak * world);
  }

  /** Reports the step, validates and saves where they are due; true after the last step. */
  private async endStep(metrics: Metrics): Promise<boolean> {
    const { context } = this;
    const { trainer, config } = this.run;
    const step = trainer.stepsDone;
    const [loss, average] = [metrics["train/loss"]!, metrics["train/loss_ema"]!];
    this.final = { ...this.final, "train/loss": loss, "train/loss_ema": average };
    const early = step < config.steps && this.timeIsUp();
    if (early) context.log(`train.max_seconds are over at step ${step} of ${config.steps}`);
    const last = early || step === config.steps;
    if (step % config.logEvery === 0 || last) {
      context.emit({ type: "step", step, totalSteps: config.steps, metrics });
    }
    if (last || (config.evalEvery > 0 && step % config.evalEvery === 0)) await this.validate();
    if (last || (config.saveEvery > 0 && step % config.saveEvery === 0)) await this.save({ due: true });
    return last;
  }

  private async validate(): Promise<void> {
    const { trainer, validation, evaluate, onEval } = this.run;
    if (validation.length === 0 && !evaluate) return;
    const { rank } = trainer.collectives;
    const metrics = evaluate ? await evaluate() : this.crossEntropies();
    this.validated = { step: trainer.stepsDone, loss: metrics["val/loss"] };
    this.final = { ...this.final, ...metrics };
    this.context.emit({ type: "eval", step: trainer.stepsDone, metrics });
    for (const { name, batches } of this.run.parts ?? []) {
      const loss = this.lossOver(batches);
      this.context.emit({ type: "eval", step: trainer.stepsDone, metrics: { [`val/loss_${name}`]: loss } });
    }
    if (rank === 0) await onEval?.(trainer.stepsDone);
  }

  /** Cross-entropy of the validation batches; each rank measures its share. */
  private crossEntropies(): Metrics {
    const { validation, bytesPerToken } = this.run;
    const loss = this.lossOver(validation);
    const metrics: Metrics = { "val/loss": loss };
    if (bytesPerToken) metrics["val/bits_per_byte"] = loss / Math.LN2 / bytesPerToken;
    return metrics;
  }

  /** Mean over these batches, of which each rank measures its share. */
  private lossOver(batches: readonly Batch[]): number {
    const { trainer } = this.run;
    const { rank, world } = trainer.collectives;
    return trainer.evaluate(batches.filter((_, i) => i % world === rank)).loss;
  }

  /**
   * Saves a checkpoint; the first rank does, with what the others hold. Its validation loss is that of this step, where it was measured
   * and the save is `due` in an unbroken run, too: which checkpoint is the best one does not depend on interruptions.
   */
  private async save({ due }: { due: boolean }): Promise<void> {
    const { stateful, validated, context } = this;
    const { trainer, files } = this.run;
    const { model, optimizer, stepsDone: step } = trainer;
    await trainer.saving(async () => {
      savePlans(model.device, context);
      context.sync();
      const valLoss = due && validated?.step === step ? validated.loss : undefined;
      this.lastPath = await this.store.save({ model, optimizer, stateful, step, valLoss, files });
      context.emit({ type: "checkpoint", step, path: this.lastPath });
    });
    this.savedStep = step;
  }

  /** All ranks must stop after the same step. */
  private anyRank(yes: boolean): boolean {
    return anyRank(this.run.trainer.collectives, yes);
  }

  private timeIsUp(): boolean {
    const { maxSeconds } = this.run.config;
    return maxSeconds > 0 && this.anyRank(performance.now() - this.begun >= 1000 * maxSeconds);
  }

  private result(status: StageResult["status"]): StageResult {
    const step = this.run.trainer.stepsDone;
    return { status, step, metrics: this.final, outputs: outputs(this.lastPath) };
  }

  /** An error of divergence with the checkpoint to go back to; others as they are. */
  private withCheckpoint(error: unknown): unknown {
    if (!(error instanceof NsaError) || error.code !== "diverged") return error;
    return new NsaError({
      code: error.code,
      what: error.what,
      why: `${error.why}; the last good checkpoint is ${this.lastPath ?? "none yet"}`,
      fix: error.fix,
      exitCode: error.exitCode,
      cause: error,
    });
  }
}
