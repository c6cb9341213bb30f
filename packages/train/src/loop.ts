// The loop that pretraining and fine-tuning share: steps, validation, samples, checkpoints, interruption, exact resume.
import {
  type Batch,
  type BatchSource,
  type Metrics,
  NsaError,
  type StageContext,
  type StageResult,
  turn,
} from "@nsa/core";
import { savePlans } from "@nsa/kernels";
import { CheckpointStore, resumeCheckpoint, TrainWork, trainFlops } from "@nsa/model";
import { z } from "zod";
import type { LossFunction } from "./loss.ts";
import { peakTflops } from "./peak.ts";
import { StepProfiler } from "./profile.ts";
import { shareOf } from "./rank-source.ts";
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
  loss: LossFunction;
  config: LoopConfig;
  validation: readonly Batch[];
  /** Turns validation nats per token into bits per byte. */
  bytesPerToken?: number;
  /** Files to keep with each checkpoint. */
  files?: Record<string, string>;
  /** Reports samples after a validation. */
  onEval?: (step: number) => void | Promise<void>;
  /** Document length for the FLOPs per token that are told at the start; the steps count their own documents. */
  sequenceLength: number;
}

/** Trains to the last step or until the user stops, which saves first. Emits start, step, eval, checkpoint, done. */
export async function runTraining(run: TrainingRun, context: StageContext): Promise<StageResult> {
  const { trainer, source, config } = run;
  const { model, optimizer } = trainer;
  const store = new CheckpointStore(`${context.runDir}/checkpoints`, config.keepLast);
  const stateful = [trainer, source];
  if (context.resumeFrom) {
    await resumeCheckpoint(context.resumeFrom, { model, optimizer, stateful }, context);
  }
  const flops = trainFlops(model.config, run.sequenceLength);
  context.emit({
    type: "start",
    totalSteps: config.steps,
    step: trainer.stepsDone,
    info: {
      parameters: model.parameters.layout.parameterCount,
      flops_per_token: flops.actual,
      attention_read_share: flops.readShare,
      device: model.device.name,
    },
  });

  const work = new TrainWork(model.config);
  const peak = peakTflops(model.device.info, model.config.dtype);
  let lastPath = context.resumeFrom;
  let valLoss: number | undefined;
  let final: Metrics = {};
  const { rank, world } = trainer.collectives;
  const save = async () => {
    const step = trainer.stepsDone;
    if (rank !== 0) return;
    savePlans(model.device, context);
    lastPath = await store.save({ model, optimizer, stateful, step, valLoss, files: run.files });
    context.emit({ type: "checkpoint", step, path: lastPath });
  };
  const validate = async () => {
    if (run.validation.length === 0) return;
    const { loss } = trainer.evaluate(run.validation.filter((_, i) => i % world === rank));
    valLoss = loss;
    const metrics: Metrics = { "val/loss": loss };
    if (run.bytesPerToken) metrics["val/bits_per_byte"] = loss / Math.LN2 / run.bytesPerToken;
    final = { ...final, ...metrics };
    context.emit({ type: "eval", step: trainer.stepsDone, metrics });
    if (rank === 0) await run.onEval?.(trainer.stepsDone);
  };

  // By its third step a run is warm.
  const profiler = new StepProfiler(model, context, Math.min(trainer.stepsDone + 3, config.steps));

  // All ranks must stop after the same step.
  const anyRank = (yes: boolean) => trainer.collectives.allReduceNumbers([yes ? 1 : 0]).some((n) => n > 0);
  const begun = performance.now();
  const timeIsUp = () =>
    config.maxSeconds > 0 && anyRank(performance.now() - begun >= 1000 * config.maxSeconds);

  const steps = shareOf(source, trainer.collectives)[Symbol.asyncIterator]();
  try {
    while (trainer.stepsDone < config.steps) {
      await turn();
      if (anyRank(context.interrupted())) {
        await save();
        return { status: "interrupted", step: trainer.stepsDone, metrics: final, outputs: outputs(lastPath) };
      }
      const asked = performance.now();
      const next = await steps.next();
      if (next.done) break;
      const from = performance.now();
      profiler.begin(trainer.stepsDone + 1);
      const metrics = trainer.step(next.value, run.loss);
      profiler.end();
      const ended = performance.now();
      const seconds = (ended - from) / 1000;
      // Share of the step's time in which it waited for its data.
      metrics["perf/data_wait"] = (from - asked) / (ended - asked);
      metrics["perf/tokens_per_sec"] = metrics["train/tokens"]! / seconds;
      // Of this rank's documents; the tokens are those of all ranks.
      const { microBatches } = next.value;
      const own = microBatches.reduce((n, batch) => n + batch.tokens.length, 0);
      const flopsPerToken = microBatches.reduce((n, batch) => n + work.add(batch), 0) / Math.max(1, own);
      metrics["perf/tflops"] = (flopsPerToken * metrics["perf/tokens_per_sec"]) / 1e12;
      // FLOPs that attention really does, not those a dense one would: a sparse model gets no credit for skipping.
      if (peak !== undefined) metrics["perf/mfu"] = metrics["perf/tflops"] / (peak * world);
      const step = trainer.stepsDone;
      final = {
        ...final,
        "train/loss": metrics["train/loss"]!,
        "train/loss_ema": metrics["train/loss_ema"]!,
      };
      const early = step < config.steps && timeIsUp();
      if (early) context.log(`train.max_seconds are over at step ${step} of ${config.steps}`);
      const last = early || step === config.steps;
      if (step % config.logEvery === 0 || last) {
        context.emit({ type: "step", step, totalSteps: config.steps, metrics });
      }
      if (last || (config.evalEvery > 0 && step % config.evalEvery === 0)) await validate();
      if (last || (config.saveEvery > 0 && step % config.saveEvery === 0)) await save();
      if (last) break;
    }
  } catch (error) {
    if (!(error instanceof NsaError) || error.code !== "diverged") throw error;
    throw new NsaError({
      code: error.code,
      what: error.what,
      why: `${error.why}; the last good checkpoint is ${lastPath ?? "none yet"}`,
      fix: error.fix,
      exitCode: error.exitCode,
      cause: error,
    });
  }
  context.emit({ type: "done", step: trainer.stepsDone, metrics: final });
  return { status: "completed", step: trainer.stepsDone, metrics: final, outputs: outputs(lastPath) };
}

function outputs(checkpoint: string | undefined): Record<string, string> {
  return checkpoint ? { checkpoint } : {};
}
