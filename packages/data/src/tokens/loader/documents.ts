// Token documents, and a form of them that another thread can open without a copy; those in memory.

/** Documents that another thread opens by `openDocuments`. */
export type SharedDocuments =
  | { kind: "memory"; ids: Int32Array; offsets: Float64Array }
  | { kind: "shards"; folder: string }
  | { kind: "subset"; of: SharedDocuments; order: Uint32Array };

/** Token documents; each ends with its end-of-text id. */
export interface Documents {
  readonly length: number;
  get(i: number): ArrayLike<number>;
  /** The same documents for another thread. */
  share(): SharedDocuments;
}

/** Documents one after another in memory that threads share. */
export class MemoryDocuments implements Documents {
  constructor(
    private readonly ids: Int32Array,
    private readonly offsets: Float64Array,
  ) {}

  get length(): number {
    return this.offsets.length - 1;
  }

  get(i: number): Int32Array {
    return this.ids.subarray(this.offsets[i]!, this.offsets[i + 1]!);
  }

  share(): SharedDocuments {
    return { kind: "memory", ids: this.ids, offsets: this.offsets };
  }
}

/** Copies documents one after another into memory that threads share. */
export function inMemory(documents: readonly ArrayLike<number>[]): Documents {
  const total = documents.reduce((n, ids) => n + ids.length, 0);
  const ids = new Int32Array(new SharedArrayBuffer(4 * total));
  const offsets = new Float64Array(new SharedArrayBuffer(8 * (documents.length + 1)));
  documents.forEach((document, i) => {
    ids.set(document, offsets[i]!);
    offsets[i + 1] = offsets[i]! + document.length;
  });
  return new MemoryDocuments(ids, offsets);
}

/** Some of the documents, in the order given. */
export function subset(documents: Documents, order: Uint32Array): Documents {
  return {
    length: order.length,
    get: (i) => documents.get(order[i]!),
    share: () => ({ kind: "subset", of: documents.share(), order }),
  };
}
