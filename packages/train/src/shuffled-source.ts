// Examples in an order drawn anew each epoch, packed one after another up to a budget of tokens: an endless, resumable source.
import { type Batch, type BatchSource, type OrderState, ShuffledOrder, type StepBatch } from "@nsa/core";

import type { WeightedOrder, WeightedOrderState } from "./weighted-order.ts";

export interface ShuffledOptions {
  microBatchTokens: number;
  microBatches: number;
  seed: number;
}

/** How examples, known by their numbers, become micro-batches. */
export interface Packing {
  count: number;
  /** Positions that an example takes. */
  positions(index: number): number;
  pack(indices: readonly number[]): Batch;
  /** What the loss of the examples is divided by. */
  weight(batch: Batch, indices: readonly number[]): number;
  /** In place of one order of all numbers: sources in turn by their weights. */
  order?: WeightedOrder | undefined;
}

const SHUFFLE_STREAM = 13;

/** The order depends on seed and epoch alone. */
export class ShuffledSource implements BatchSource {
  readonly name = "data";
  readonly prefetch = 2;
  private readonly order: ShuffledOrder | WeightedOrder;

  constructor(
    private readonly packing: Packing,
    private readonly options: ShuffledOptions,
  ) {
    this.order = packing.order ?? new ShuffledOrder(packing.count, options.seed, SHUFFLE_STREAM);
  }

  save(): OrderState | WeightedOrderState {
    return this.order.save();
  }

  load(state: unknown): void {
    this.order.load(state as never);
  }

  next(): StepBatch {
    const packs = Array.from({ length: this.options.microBatches }, () => this.pack());
    return {
      microBatches: packs.map(({ batch }) => batch),
      weightSum: packs.reduce((n, { batch, chosen }) => n + this.packing.weight(batch, chosen), 0),
    };
  }

  async *[Symbol.asyncIterator](): AsyncIterator<StepBatch> {
    for (;;) yield this.next();
  }

  private pack(): { batch: Batch; chosen: number[] } {
    const chosen: number[] = [];
    let room = this.options.microBatchTokens;
    for (;;) {
      const length = this.packing.positions(this.order.next);
      if (chosen.length > 0 && length > room) break;
      chosen.push(this.order.take());
      room -= length;
    }
    return { batch: this.packing.pack(chosen), chosen };
  }
}
