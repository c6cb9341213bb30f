// Numbers 0 … n − 1 in an order drawn anew each epoch, without end: what shuffled sources of examples share.
import { Rng } from "./rng.ts";

/** Where an order is: a plain value that a checkpoint keeps. */
export interface OrderState {
  epoch: number;
  index: number;
}

/** The order depends on seed, stream and epoch alone. */
export class ShuffledOrder {
  private cursor: OrderState = { epoch: 0, index: 0 };
  private order: Uint32Array;
  private readonly rng: Rng;

  constructor(
    private readonly count: number,
    seed: number,
    stream: number,
  ) {
    this.rng = new Rng(seed, stream);
    this.order = this.rng.permutation(count, 0);
  }

  save(): OrderState {
    return { ...this.cursor };
  }

  load(state: OrderState): void {
    this.cursor = { ...state };
    this.order = this.rng.permutation(this.count, state.epoch);
  }

  /** The next number, which stays the next one. */
  get next(): number {
    return this.order[this.cursor.index]!;
  }

  /** The next number; the one behind it becomes the next. */
  take(): number {
    const taken = this.next;
    this.cursor.index++;
    if (this.cursor.index === this.order.length) {
      this.cursor = { epoch: this.cursor.epoch + 1, index: 0 };
      this.order = this.rng.permutation(this.count, this.cursor.epoch);
    }
    return taken;
  }
}
