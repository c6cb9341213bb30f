// One optimizer step: micro-batches forward and backward, clip, skip, update. Knows nothing of files or data sources.
import { type Batch, ExitCode, NsaError, parseState, type Stateful, type StepBatch } from "@nsa/core";
import { type Collectives, singleRank, type Tensor } from "@nsa/kernels";
import type { BucketReady, GradientBucket, Transformer } from "@nsa/model";
import { logprobs } from "@nsa/model";
import { z } from "zod";
import type { AnyLoss, LossContext, LossFunction } from "./loss.ts";
import { MicroSteps } from "./micro-step.ts";
import { groupsSchema, optimizerSchema } from "./optim/config.ts";
import { Optimizer, type UpdateOutcome } from "./optim/optimizer.ts";
import { stateBytesPerParameter } from "./optim/registry.ts";
import { sharesBytes, sumForOwners } from "./optim/shared.ts";
import { figuresOverRanks } from "./rank-figures.ts";
import { lrShare, scheduleSchema } from "./schedule.ts";
import { addPart, StepResults } from "./step-results.ts";

export const trainerSchema = z.strictObject({
  optimizer: optimizerSchema.prefault({}).describe("The update"),
  groups: groupsSchema.describe(
    "Weights that are frozen, or trained otherwise than the rest; the first that names one has it",
  ),
  schedule: scheduleSchema.prefault({}).describe("Learning rate over the steps"),
  recompute: z
    .boolean()
    .default(false)
    .describe("Run layers again in the backward instead of keeping activations"),
  shareState: z
    .enum(["auto", "always", "never"])
    .default("auto")
    .describe(
      "Shard fp32 master weights and optimizer state across ranks (ZeRO stage 1). auto: when they take 256 MiB or more on one rank",
    ),
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
  /** Step of the learning-rate schedule, from 1, where a step of the stage makes several updates or none. Default: the update's number. */
  scheduleStep?: number;
  /**
   * Called for each bucket of gradients, in the order in which the backward of the last micro-batch completes them. In a run of
   * several ranks the bucket is by then their sum.
   */
  onReady?: BucketReady;
}

export interface TrainerOptions {
  /** Bytes from which on a bucket of gradients is closed. Default 25 MiB. */
  bucketBytes?: number;
  /** Whether ranks may share out masters and moments, as `config.shareState` asks; a stage that allows it must save by `saving`. */
  mayShare?: boolean;
}

function sharesState(
  { parameters, base }: Transformer,
  { shareState, optimizer, groups }: TrainerConfig,
  { world }: Collectives,
  mayShare: boolean,
): boolean {
  if (world === 1 || shareState === "never") return false;
  const able = mayShare && !base;
  if (shareState === "always" && !able)
    throw new NsaError({
      code: "ranks_unsupported",
      what: "train.share_state: always",
      why: base
        ? "a model with adapters keeps its base, and the adapters' masters and moments are small"
        : "ranks of this stage hold all masters and moments, since it reads the weights of the policy as they are stored",
      fix: "leave out train.share_state",
      exitCode: ExitCode.unavailable,
    });
  if (!able) return false;
  const masters = parameters.low ? 4 : 0;
  const bytes = parameters.layout.trainableNumel * (masters + stateBytesPerParameter(optimizer, groups));
  return sharesBytes(shareState, bytes);
}

const HISTORY = 128;
const EMA = 0.98;

const stateSchema = z.strictObject({
  step: z.number().int().min(0),
  lossEma: z.number().nullable(),
  norms: z.array(z.number().min(0)).max(HISTORY),
});

type TrainerState = z.output<typeof stateSchema>;

export class Trainer implements Stateful {
  readonly name = "trainer";
  readonly config: TrainerConfig;
  readonly optimizer: Optimizer;
  readonly microSteps: MicroSteps;
  /** Steps done. */
  stepsDone = 0;
  private lossEma: number | undefined;
  private norms: number[] = [];
  private readonly results: StepResults;

  constructor(
    readonly model: Transformer,
    readonly totalSteps: number,
    config: TrainerConfigInput = {},
    readonly collectives: Collectives = singleRank,
    { bucketBytes, mayShare = false }: TrainerOptions = {},
  ) {
    this.config = trainerSchema.parse(config);
    if (sharesState(model, this.config, collectives, mayShare)) model.parameters.shareOut(collectives);
    this.optimizer = new Optimizer(model.parameters, this.config.optimizer, collectives);
    this.microSteps = new MicroSteps(model, { ...this.config, bucketBytes });
    this.results = new StepResults(model.device, this.microSteps.stats);
  }

  /**
   * Runs one step and returns its metrics (`train/loss`, `train/grad_norm`, `train/lr`, and those of the loss).
   * Throws NsaError `diverged` (exit 5) before touching the weights when loss or gradients are not finite.
   */
  step<C = LossContext>(
    stepBatch: StepBatch,
    loss: LossFunction<C>,
    options: StepOptions = {},
  ): Record<string, number> {
    const { results } = this;
    const { parameters, device } = this.model;
    using _ = device.scope();
    const { weightSum, microBatches } = stepBatch;
    const { temperature } = options;
    const { collectives } = this;
    const reduce = collectives.world > 1 || options.onReady;
    const beside = collectives.overlaps;
    const ready = (bucket: GradientBucket) => {
      if (!beside) this.sumOverRanks(bucket);
      options.onReady?.(bucket);
    };
    const start = (bucket: GradientBucket) => this.sumOverRanks(bucket);
    const transfers = beside ? { start, settle: () => collectives.settle() } : undefined;
    parameters.zeroGradients();
    results.begin(microBatches.length);
    const rows: Record<string, Tensor>[] = [];
    let tokens = 0;
    for (const [i, batch] of microBatches.entries()) {
      tokens += batch.tokens.length;
      const last = i + 1 === microBatches.length;
      const onReady = last && reduce ? ready : undefined;
      this.microSteps.run(
        batch,
        { weightSum, loss: loss as AnyLoss, temperature, onReady, transfers: last ? transfers : undefined },
        (part, found) => {
          results.put(i, part);
          rows[i] = found;
        },
      );
    }
    // A rank without a share of the step adds zeros to each bucket, in the order of the others' backward.
    if (microBatches.length === 0 && reduce)
      for (const bucket of this.microSteps.gradientBuckets()) {
        transfers?.start(bucket);
        transfers?.settle();
        ready(bucket);
      }
    const step = this.stepsDone + 1;
    const lr =
      this.config.optimizer.lr * lrShare(this.config.schedule, options.scheduleStep ?? step, this.totalSteps);
    const { sums, outcome } = this.update(step, lr);
    [sums.loss, tokens] = this.collectives.allReduceNumbers([sums.loss!, tokens]) as [number, number];
    const { norm } = outcome;
    if (!Number.isFinite(sums.loss) || outcome.skipped === "not_finite")
      this.diverged(step, sums.loss!, norm);
    const skip = outcome.skipped === "outlier";
    if (!skip) {
      this.norms.push(norm);
      if (this.norms.length > HISTORY) this.norms.shift();
    }
    this.stepsDone = step;
    const { loss: total, ...others } = sums;
    const figures = figuresOverRanks(this.collectives, { ...others, ...figuresOf(loss, microBatches, rows) });
    this.lossEma = this.lossEma === undefined ? total! : EMA * this.lossEma + (1 - EMA) * total!;
    return {
      "train/loss": total!,
      "train/loss_ema": this.lossEma,
      "train/grad_norm": norm,
      "train/lr": lr,
      "train/tokens": tokens,
      "train/skipped": skip ? 1 : 0,
      ...figures,
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

  /** Runs `save` on rank 0, to which the others hand what they hold. All ranks must call it. */
  async saving<R>(save: () => Promise<R>): Promise<R | undefined> {
    const { model, optimizer, collectives } = this;
    const { sharing, flat } = model.parameters;
    if (sharing) return sharing.saving([flat, ...Object.values(optimizer.buffers)], save);
    return collectives.rank === 0 ? save() : undefined;
  }

  save(): TrainerState {
    return { step: this.stepsDone, lossEma: this.lossEma ?? null, norms: [...this.norms] };
  }

  /** Throws NsaError `state_invalid` (exit 3). */
  load(state: unknown): void {
    const { step, lossEma, norms } = parseState("trainer", stateSchema, state);
    this.stepsDone = step;
    this.lossEma = lossEma ?? undefined;
    this.norms = norms;
  }

  free(): void {
    this.microSteps.free();
    this.results.free();
    this.optimizer.free();
  }

  /** The bucket's gradients become their sum over ranks. */
  private sumOverRanks(bucket: GradientBucket): void {
    if (this.collectives.world === 1) return;
    using _ = this.model.device.scope();
    const { parameters } = this.model;
    if (parameters.sharing) {
      sumForOwners(parameters, parameters.sharing, bucket);
      return;
    }
    this.collectives.together(() => {
      for (const { from, to } of bucket.ranges)
        this.collectives.allReduce(parameters.gradients!.view(from, [to - from]));
    });
  }

  /** Clips and updates; the host waits once, for what became of it. */
  private update(step: number, lr: number): { sums: Record<string, number>; outcome: UpdateOutcome } {
    const { results, optimizer } = this;
    const limit = this.outlierLimit();
    const losses = results.losses();
    if (optimizer.onDevice) {
      optimizer.update(lr, step, losses, limit, results.memory);
      return { sums: results.read(), outcome: optimizer.outcome() };
    }
    // Updates that take no skip flag need the host's eye before the weights are touched.
    optimizer.prepare(lr, step, losses, limit);
    const sums = results.read();
    const outcome = optimizer.outcome();
    if (outcome.skipped === "no") optimizer.apply(lr);
    return { sums, outcome };
  }

  /** Gradient norm above which a step is an outlier; 0 = none is. */
  private outlierLimit(): number {
    const { skipZScore } = this.config;
    const n = this.norms.length;
    if (skipZScore === 0 || n < 32) return 0;
    const mean = this.norms.reduce((a, b) => a + b, 0) / n;
    const std = Math.sqrt(this.norms.reduce((a, b) => a + (b - mean) ** 2, 0) / n);
    return mean + skipZScore * Math.max(std, 1e-12);
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

/** What the loss makes of its rows on the host, over the step's micro-batches. */
function figuresOf<C>(
  { figures }: LossFunction<C>,
  batches: readonly Batch[],
  rows: readonly Record<string, Tensor>[],
): Record<string, number> {
  const sums: Record<string, number> = {};
  if (!figures) return sums;
  for (const [i, batch] of batches.entries()) {
    const values = Object.entries(rows[i]!).map(([name, row]) => [name, row.read()] as const);
    addPart(sums, figures(batch, Object.fromEntries(values)));
  }
  return sums;
}
