// Token documents into steps: shuffled by seed, packed to a budget with document borders, resumable to the token.
import {
  type Batch,
  type BatchSource,
  packBatch,
  parseState,
  Rng,
  refuseOtherCount,
  type StepBatch,
} from "@nsa/core";
import { z } from "zod";
import { type Documents, inMemory } from "./documents.ts";

export interface PackOptions {
  /** Tokens of one micro-batch. */
  microBatchTokens: number;
  /** Micro-batches of one step. */
  microBatches: number;
  /** Longest piece of a document; longer documents are cut. */
  maxLength: number;
  seed: number;
}

export interface Cursor {
  epoch: number;
  /** Place in the epoch's order. */
  index: number;
  /** Tokens of that document already used. */
  offset: number;
  /** How many documents there are; absent in cursors written before this field existed. */
  of?: number;
}

const natural = z.number().int().min(0);
export const cursorSchema = z.strictObject({
  epoch: natural,
  index: natural,
  offset: natural,
  of: natural.optional(),
});

const SHUFFLE_STREAM = 11;

/** Part of a document: `length` positions from `from`, so ids `from` to `from + length`. */
export interface Piece {
  ids: ArrayLike<number>;
  from: number;
  length: number;
  sample: number;
}

/**
 * Documents (each ends with its end-of-text id) one after another in an order drawn anew each epoch, for ever. A piece of
 * n + 1 tokens gives n positions; when a document is cut, the next piece starts with the token that the last one ended on.
 */
export class DocumentStream {
  private cursor: Cursor = { epoch: 0, index: 0, offset: 0 };
  private order: Uint32Array;
  private last: { sample: number; ids: ArrayLike<number> } | undefined;
  private readonly rng: Rng;

  constructor(
    private readonly documents: Documents,
    seed: number,
    stream = SHUFFLE_STREAM,
  ) {
    let useful = false;
    for (let i = 0; i < documents.length && !useful; i++) useful = documents.get(i).length > 1;
    if (!useful) throw new Error("no document has two tokens");
    this.rng = new Rng(seed, stream);
    this.order = this.rng.permutation(documents.length, 0);
  }

  save(): Cursor {
    return { ...this.cursor, of: this.documents.length };
  }

  /** Throws NsaError `state_invalid`, `data_changed` (exit 3) where the cursor is none of these documents'. */
  load(state: unknown): void {
    const { of: saved, ...cursor } = parseState("data", cursorSchema, state);
    const { length } = this.documents;
    refuseOtherCount("documents", saved, length);
    parseState("data", z.object({ index: natural.max(length - 1) }), cursor);
    const order = this.rng.permutation(length, cursor.epoch);
    const tokens = this.documents.get(order[cursor.index]!).length;
    parseState("data", z.object({ offset: natural.max(Math.max(0, tokens - 1)) }), cursor);
    this.cursor = cursor;
    this.order = order;
  }

  /** Passes over the documents so far. */
  get epoch(): number {
    return this.cursor.epoch;
  }

  /** The next piece, of 1 to `most` positions. */
  take(most: number): Piece {
    for (;;) {
      const c = this.cursor;
      const sample = this.order[c.index]!;
      // A document cut over several steps is read once.
      if (this.last?.sample !== sample) this.last = { sample, ids: this.documents.get(sample) };
      const { ids } = this.last;
      const left = ids.length - 1 - c.offset;
      const length = Math.min(left, most);
      const from = c.offset;
      if (left > 0) c.offset += length;
      if (c.offset >= ids.length - 1) {
        c.index++;
        c.offset = 0;
        if (c.index === this.order.length) {
          c.index = 0;
          c.epoch++;
          this.order = this.rng.permutation(this.documents.length, c.epoch);
        }
      }
      if (left > 0) return { ids, from, length, sample };
    }
  }
}

/** Fills one micro-batch with pieces. */
function fillBatch(options: PackOptions, take: (most: number) => Piece): Batch {
  const pieces: Piece[] = [];
  for (let room = options.microBatchTokens; room > 0; ) {
    const piece = take(Math.min(room, options.maxLength));
    pieces.push(piece);
    room -= piece.length;
  }
  return packBatch(pieces.map(({ sample, ...piece }) => ({ ...piece, sampleId: sample })));
}

/** An endless source of steps over token documents. */
export class PackedSource implements BatchSource {
  readonly name = "data";
  readonly prefetch = 2;
  private readonly stream: DocumentStream;

  constructor(
    documents: readonly ArrayLike<number>[] | Documents,
    private readonly options: PackOptions,
  ) {
    this.stream = new DocumentStream("get" in documents ? documents : inMemory(documents), options.seed);
  }

  save(): Cursor {
    return this.stream.save();
  }

  load(state: unknown): void {
    this.stream.load(state);
  }

  /** Passes over the data so far. */
  get epoch(): number {
    return this.stream.epoch;
  }

  next(): StepBatch {
    return stepOf(this.options, (most) => this.stream.take(most));
  }

  async *[Symbol.asyncIterator](): AsyncIterator<StepBatch> {
    for (;;) yield this.next();
  }
}

/** The micro-batches of one step. */
export function stepOf(options: PackOptions, take: (most: number) => Piece): StepBatch {
  const microBatches = Array.from({ length: options.microBatches }, () => fillBatch(options, take));
  return { microBatches, weightSum: microBatches.reduce((n, b) => n + b.tokens.length, 0) };
}
