// Token documents into steps: shuffled by seed, packed to a budget with document borders, resumable to the token.
import type { Batch, BatchSource, StepBatch } from "@nsa/core";
import { Rng } from "@nsa/core";

export interface PackOptions {
  /** Tokens of one micro-batch. */
  microBatchTokens: number;
  /** Micro-batches of one step. */
  microBatches: number;
  /** Longest piece of a document; longer documents are cut. */
  maxLength: number;
  seed: number;
}

/** Token documents that may lie on disk; each ends with its end-of-text id. */
export interface Documents {
  readonly length: number;
  get(i: number): ArrayLike<number>;
}

/** Documents in memory. */
export function inMemory(documents: readonly ArrayLike<number>[]): Documents {
  return { length: documents.length, get: (i) => documents[i]! };
}

interface Cursor {
  epoch: number;
  /** Place in the epoch's order. */
  index: number;
  /** Tokens of that document already used. */
  offset: number;
}

const SHUFFLE_STREAM = 11;

/**
 * An endless source of steps over token documents (each ends with its end-of-text id). A piece of n + 1 tokens gives n
 * positions; when a document is cut, the next piece starts with the token that the last one ended on.
 */
export class PackedSource implements BatchSource {
  readonly name = "data";
  readonly prefetch = 2;
  private cursor: Cursor = { epoch: 0, index: 0, offset: 0 };
  private order: Uint32Array;
  private readonly documents: Documents;
  private last: { sample: number; ids: ArrayLike<number> } | undefined;
  private readonly rng: Rng;

  constructor(
    documents: readonly ArrayLike<number>[] | Documents,
    private readonly options: PackOptions,
  ) {
    this.documents = "get" in documents ? documents : inMemory(documents);
    let useful = false;
    for (let i = 0; i < documents.length && !useful; i++) useful = this.documents.get(i).length > 1;
    if (!useful) throw new Error("no document has two tokens");
    this.rng = new Rng(options.seed, SHUFFLE_STREAM);
    this.order = this.rng.permutation(documents.length, 0);
  }

  save(): Cursor {
    return { ...this.cursor };
  }

  load(state: unknown): void {
    this.cursor = { ...(state as Cursor) };
    this.order = this.rng.permutation(this.documents.length, this.cursor.epoch);
  }

  /** Passes over the data so far. */
  get epoch(): number {
    return this.cursor.epoch;
  }

  next(): StepBatch {
    const microBatches = Array.from({ length: this.options.microBatches }, () => this.pack());
    const weightSum = microBatches.reduce((a, b) => a + b.tokens.length, 0);
    return { microBatches, weightSum };
  }

  async *[Symbol.asyncIterator](): AsyncIterator<StepBatch> {
    for (;;) yield this.next();
  }

  /** A document cut over several steps is read once. */
  private document(sample: number): ArrayLike<number> {
    if (this.last?.sample !== sample) this.last = { sample, ids: this.documents.get(sample) };
    return this.last.ids;
  }

  private pack(): Batch {
    const pieces: { ids: ArrayLike<number>; from: number; length: number; sample: number }[] = [];
    let room = this.options.microBatchTokens;
    while (room > 0) {
      const c = this.cursor;
      const sample = this.order[c.index]!;
      const ids = this.document(sample);
      const left = ids.length - 1 - c.offset;
      if (left > 0) {
        const length = Math.min(left, room, this.options.maxLength);
        pieces.push({ ids, from: c.offset, length, sample });
        room -= length;
        c.offset += length;
      }
      if (c.offset >= ids.length - 1) {
        c.index++;
        c.offset = 0;
        if (c.index === this.order.length) {
          c.index = 0;
          c.epoch++;
          this.order = this.rng.permutation(this.documents.length, c.epoch);
        }
      }
    }
    return batchOf(pieces);
  }
}

function batchOf(pieces: { ids: ArrayLike<number>; from: number; length: number; sample: number }[]): Batch {
  const total = pieces.reduce((a, p) => a + p.length, 0);
  const batch: Batch = {
    tokens: new Int32Array(total),
    targets: new Int32Array(total),
    lossWeight: new Float32Array(total).fill(1),
    positions: new Int32Array(total),
    cuSeqlens: new Int32Array(pieces.length + 1),
    sampleIds: Float64Array.from(pieces, (p) => p.sample),
  };
  let t = 0;
  pieces.forEach((p, i) => {
    for (let j = 0; j < p.length; j++, t++) {
      batch.tokens[t] = p.ids[p.from + j]!;
      batch.targets[t] = p.ids[p.from + j + 1]!;
      batch.positions[t] = j;
    }
    batch.cuSeqlens[i + 1] = t;
  });
  return batch;
}
