// Examples in an order drawn anew each epoch, packed one after another up to a budget of tokens: an endless, resumable source.
import { type Batch, type BatchSource, Rng, type StepBatch } from "@nsa/core";

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
}

const SHUFFLE_STREAM = 13;

/** The order depends on seed and epoch alone. */
export class ShuffledSource implements BatchSource {
  readonly name = "data";
  readonly prefetch = 2;
  private cursor = { epoch: 0, index: 0 };
  private order: Uint32Array;
  private readonly rng: Rng;

  constructor(
    private readonly packing: Packing,
    private readonly options: ShuffledOptions,
  ) {
    this.rng = new Rng(options.seed, SHUFFLE_STREAM);
    this.order = this.rng.permutation(packing.count, 0);
  }

  save() {
    return { ...this.cursor };
  }

  load(state: unknown): void {
    this.cursor = { ...(state as typeof this.cursor) };
    this.order = this.rng.permutation(this.packing.count, this.cursor.epoch);
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
      const i = this.order[this.cursor.index]!;
      const length = this.packing.positions(i);
      if (chosen.length > 0 && length > room) break;
      chosen.push(i);
      room -= length;
      this.cursor.index++;
      if (this.cursor.index < this.order.length) continue;
      this.cursor = { epoch: this.cursor.epoch + 1, index: 0 };
      this.order = this.rng.permutation(this.packing.count, this.cursor.epoch);
    }
    return { batch: this.packing.pack(chosen), chosen };
  }
}
