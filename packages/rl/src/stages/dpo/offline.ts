// Pairs of files as training steps: shuffled anew each epoch, with the reference's log-probabilities.
import { type BatchSource, type OrderState, ShuffledOrder, type StepBatch } from "@nsa/core";
import type { ReferencePolicy } from "@nsa/model";
import { type Pair, pairBatch, splitPairs } from "./pair.ts";
import { fillReference } from "./reference.ts";

const SHUFFLE_STREAM = 53;

/** An endless, resumable source; the order depends on seed and epoch alone. */
export class OfflinePairs implements BatchSource {
  readonly name = "pairs";
  // The reference runs on the device of the policy: a step ahead would only take its memory.
  readonly prefetch = 0;
  private readonly order: ShuffledOrder;

  constructor(
    private readonly pairs: readonly Pair[],
    private readonly reference: ReferencePolicy,
    private readonly options: { pairsPerStep: number; microBatchTokens: number; seed: number },
  ) {
    this.order = new ShuffledOrder(pairs.length, options.seed, SHUFFLE_STREAM);
  }

  save(): OrderState {
    return this.order.save();
  }

  load(state: unknown): void {
    this.order.load(state);
  }

  next(): StepBatch {
    const { pairsPerStep, microBatchTokens } = this.options;
    const chosen = Array.from({ length: pairsPerStep }, () => this.pairs[this.order.take()]!);
    return pairStep(chosen, this.reference, microBatchTokens);
  }

  async *[Symbol.asyncIterator](): AsyncIterator<StepBatch> {
    for (;;) yield this.next();
  }
}

/** A step over these pairs; the loss is their mean. */
export function pairStep(
  pairs: readonly Pair[],
  reference: ReferencePolicy,
  microBatchTokens: number,
): StepBatch {
  const microBatches = splitPairs(pairs, microBatchTokens).map((group) =>
    fillReference(reference, pairBatch(group)),
  );
  return { microBatches, weightSum: pairs.length };
}
