// Pairs of files as training steps: shuffled anew each epoch, with the reference's log-probabilities.
import { type BatchSource, Rng, type StepBatch } from "@nsa/core";
import type { Transformer } from "@nsa/model";
import { type Pair, pairBatch, splitPairs } from "./pair.ts";
import { fillReference } from "./reference.ts";

const SHUFFLE_STREAM = 53;

/** An endless, resumable source; the order depends on seed and epoch alone. */
export class OfflinePairs implements BatchSource {
  readonly name = "pairs";
  // The reference runs on the device of the policy: a step ahead would only take its memory.
  readonly prefetch = 0;
  private cursor = { epoch: 0, index: 0 };
  private order: Uint32Array;
  private readonly rng: Rng;

  constructor(
    private readonly pairs: readonly Pair[],
    private readonly reference: Transformer,
    private readonly options: { pairsPerStep: number; microBatchTokens: number; seed: number },
  ) {
    this.rng = new Rng(options.seed, SHUFFLE_STREAM);
    this.order = this.rng.permutation(pairs.length, 0);
  }

  save() {
    return { ...this.cursor };
  }

  load(state: unknown): void {
    this.cursor = { ...(state as typeof this.cursor) };
    this.order = this.rng.permutation(this.pairs.length, this.cursor.epoch);
  }

  next(): StepBatch {
    const { pairsPerStep, microBatchTokens } = this.options;
    const chosen = Array.from({ length: pairsPerStep }, () => this.take());
    return pairStep(chosen, this.reference, microBatchTokens);
  }

  async *[Symbol.asyncIterator](): AsyncIterator<StepBatch> {
    for (;;) yield this.next();
  }

  private take(): Pair {
    const pair = this.pairs[this.order[this.cursor.index++]!]!;
    if (this.cursor.index === this.order.length) {
      this.cursor = { epoch: this.cursor.epoch + 1, index: 0 };
      this.order = this.rng.permutation(this.pairs.length, this.cursor.epoch);
    }
    return pair;
  }
}

/** A step over these pairs; the loss is their mean. */
export function pairStep(
  pairs: readonly Pair[],
  reference: Transformer,
  microBatchTokens: number,
): StepBatch {
  const microBatches = splitPairs(pairs, microBatchTokens).map((group) =>
    fillReference(reference, pairBatch(group)),
  );
  return { microBatches, weightSum: pairs.length };
}
