// A rank's share of every step: the order of data depends on the step alone, never on the rank.
import type { BatchSource, StepBatch } from "@nsa/core";
import type { Collectives } from "@nsa/kernels";

/** Micro-batch i goes to rank i mod world, so a rank's share may be empty; the weight sum stays that of the whole step. */
export function shareOfStep({ microBatches, weightSum }: StepBatch, { rank, world }: Collectives): StepBatch {
  return { microBatches: microBatches.filter((_, i) => i % world === rank), weightSum };
}

/** The source with this rank's share of every step. */
export function shareOf(source: BatchSource, collectives: Collectives): BatchSource {
  if (collectives.world === 1) return source;
  return {
    name: source.name,
    prefetch: source.prefetch,
    save: () => source.save(),
    load: (state) => source.load(state),
    async *[Symbol.asyncIterator](): AsyncIterator<StepBatch> {
      for await (const step of source) yield shareOfStep(step, collectives);
    },
  };
}
