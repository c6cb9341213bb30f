// Learning-rate schedules: a multiple of the peak as a function of the step. One entry a kind; a plugin registers its own.
import { memberName, Registry } from "@nsa/core";
import { z } from "zod";

export const scheduleSchema = z.strictObject({
  kind: memberName("schedule")
    .default("cosine")
    .describe("multi_step: 31.6 % of the peak after 80 %, 10 % after 90 % of training (DeepSeekMath)"),
  warmupSteps: z.number().int().min(0).default(0).describe("Linear rise from 0, steps"),
  minRatio: z.number().min(0).max(1).default(0.1).describe("Last value of cosine and wsd, share of the peak"),
  decayShare: z
    .number()
    .min(0)
    .max(1)
    .default(0.2)
    .describe("wsd: share of training spent in the linear decay"),
});

export type Schedule = z.output<typeof scheduleSchema>;

/** Where a run stands. */
export interface ScheduleProgress {
  /** From 1. */
  step: number;
  total: number;
  /** Share of the steps after the warm-up, 0 … 1. */
  progress: number;
}

export interface ScheduleKind {
  readonly name: string;
  /** Share of the peak after the warm-up. */
  share(schedule: Schedule, at: ScheduleProgress): number;
}

const constant: ScheduleKind = { name: "constant", share: () => 1 };

const cosine: ScheduleKind = {
  name: "cosine",
  share: ({ minRatio }, { progress }) => minRatio + (1 - minRatio) * 0.5 * (1 + Math.cos(Math.PI * progress)),
};

/** Warm-up, stable, linear decay. */
const wsd: ScheduleKind = {
  name: "wsd",
  share({ minRatio, decayShare }, { progress }) {
    const left = decayShare > 0 ? Math.min(1, (1 - progress) / decayShare) : 1;
    return minRatio + (1 - minRatio) * left;
  },
};

const multiStep: ScheduleKind = {
  name: "multi_step",
  share(_schedule, { step, total }) {
    const done = step / total;
    return done > 0.9 ? 0.1 : done > 0.8 ? Math.sqrt(0.1) : 1;
  },
};

export const scheduleKinds = new Registry<ScheduleKind>("schedule", {
  needs: { share: "function" },
}).register(constant, cosine, wsd, multiStep);

/** Share of the peak learning rate at a step (from 1) of `total`. */
export function lrShare(schedule: Schedule, step: number, total: number): number {
  const { warmupSteps, kind } = schedule;
  if (step <= warmupSteps) return step / warmupSteps;
  const progress = Math.min(1, (step - warmupSteps) / Math.max(1, total - warmupSteps));
  return scheduleKinds.get(kind).share(schedule, { step, total, progress });
}

/** What the rate alone does to a run of `total` steps that its recipe hardly means; undefined where it is well. */
export function rateWarning(schedule: Schedule, lr: number, total: number): string | undefined {
  if (lr === 0) return "train.optimizer.lr is 0: no weight will change";
  const { warmupSteps } = schedule;
  if (warmupSteps <= total) return undefined;
  const share = Number(((100 * total) / warmupSteps).toPrecision(2));
  return `train.schedule.warmup_steps ${warmupSteps} is more than the ${total} steps of the run: the learning rate rises to ${share} % of train.optimizer.lr and no further`;
}
