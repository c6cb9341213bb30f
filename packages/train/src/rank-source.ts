// A rank's share of every step: the order of data depends on the step alone, never on the rank.
import { type BatchSource, ExitCode, NsaError, type StepBatch } from "@nsa/core";
import type { Collectives } from "@nsa/kernels";

/**
 * Micro-batch i goes to rank i mod world; the weight sum stays that of the whole step.
 * Throws NsaError `ranks_uneven` (exit 2) when the micro-batches of a step cannot be shared out equally.
 */
export function shareOf(source: BatchSource, { rank, world }: Collectives): BatchSource {
  if (world === 1) return source;
  return {
    name: source.name,
    prefetch: source.prefetch,
    save: () => source.save(),
    load: (state) => source.load(state),
    async *[Symbol.asyncIterator](): AsyncIterator<StepBatch> {
      for await (const step of source) {
        const { microBatches, weightSum } = step;
        if (microBatches.length % world) {
          throw new NsaError({
            code: "ranks_uneven",
            what: `${world} ranks for steps of ${microBatches.length} micro-batches`,
            why: "every rank takes the same number",
            fix: `set train.micro_batches to a multiple of ${world}`,
            exitCode: ExitCode.usage,
          });
        }
        yield { microBatches: microBatches.filter((_, i) => i % world === rank), weightSum };
      }
    },
  };
}
