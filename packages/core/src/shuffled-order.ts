// Numbers 0 … n − 1 in an order drawn anew each epoch, without end: what shuffled sources of examples share.
import { z } from "zod";
import { Rng } from "./rng.ts";
import { parseState, refuseOtherCount } from "./saved-state.ts";

/** Where an order is: a plain value that a checkpoint keeps. */
export interface OrderState {
  epoch: number;
  index: number;
  /** How many numbers there are; absent in states written before this field existed. */
  of?: number;
}

const natural = z.number().int().min(0);
const stateSchema = z.strictObject({ epoch: natural, index: natural, of: natural.optional() });

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
    return { ...this.cursor, of: this.count };
  }

  /** Throws NsaError `state_invalid`, `data_changed` (exit 3). */
  load(state: unknown): void {
    const { of: saved, ...cursor } = parseState("data", stateSchema, state);
    refuseOtherCount("examples", saved, this.count);
    parseState("data", z.object({ index: natural.max(this.count - 1) }), cursor);
    this.cursor = cursor;
    this.order = this.rng.permutation(this.count, cursor.epoch);
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
