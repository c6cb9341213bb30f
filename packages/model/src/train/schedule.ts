// Learning-rate schedules: a multiple of the peak as a function of the step.
import { z } from "zod";

export const scheduleSchema = z.strictObject({
  kind: z
    .enum(["constant", "cosine", "wsd", "multi_step"])
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

/** Share of the peak learning rate at a step (from 1) of `total`. */
export function lrShare(s: Schedule, step: number, total: number): number {
  if (step <= s.warmupSteps) return step / s.warmupSteps;
  const progress = Math.min(1, (step - s.warmupSteps) / Math.max(1, total - s.warmupSteps));
  switch (s.kind) {
    case "constant":
      return 1;
    case "cosine":
      return s.minRatio + (1 - s.minRatio) * 0.5 * (1 + Math.cos(Math.PI * progress));
    case "wsd": {
      const left = s.decayShare > 0 ? Math.min(1, (1 - progress) / s.decayShare) : 1;
      return s.minRatio + (1 - s.minRatio) * left;
    }
    case "multi_step": {
      const done = step / total;
      return done > 0.9 ? 0.1 : done > 0.8 ? Math.sqrt(0.1) : 1;
    }
  }
}
