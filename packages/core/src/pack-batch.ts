// Documents (whole or cut) one after another as one micro-batch: the single place where targets, weights, positions and
// borders of a `Batch` are made.
//
// Legend: T positions of all items.
import type { Batch } from "./batch.ts";

/** Positions `from` to `from + length − 1` of one document; position j sees `ids[from + j]`. */
export interface TokenSpan {
  ids: ArrayLike<number>;
  /** First id that is seen; 0 by default. */
  from?: number;
  /** Number of positions. */
  length: number;
}

/** A document, or a span of one, to train on or to score. Position j predicts `ids[from + j + 1]`. */
export interface PackItem {
  ids: ArrayLike<number>;
  /** First id that is seen; 0 by default. */
  from?: number;
  /** Number of positions; by default all up to the last id, which is only predicted. */
  length?: number;
  /** Stable id of the document; 0 by default. */
  sampleId?: number;
  /** Whether `ids[index]` is predicted; all are by default. Others get target −1 and weight 0. */
  isTarget?(index: number): boolean;
  /** Weight of every target in the loss; 1 by default. */
  weight?: number;
  /** Further values of the target `ids[index]`, by column; 0 where there is no target. */
  columns?: Record<string, (index: number) => number>;
}

/** The ids and borders alone, for a forward without a loss: tokens [T], borders [n + 1]. */
export function packTokens(spans: readonly TokenSpan[]): Pick<Batch, "tokens" | "cuSeqlens"> {
  const tokens = new Int32Array(spans.reduce((n, { length }) => n + length, 0));
  const cuSeqlens = new Int32Array(spans.length + 1);
  let t = 0;
  for (const [n, { ids, from = 0, length }] of spans.entries()) {
    for (let j = 0; j < length; j++, t++) tokens[t] = ids[from + j]!;
    cuSeqlens[n + 1] = t;
  }
  return { tokens, cuSeqlens };
}

/** One micro-batch; every item is a document of its own: attention never crosses from one to the next. */
export function packBatch(items: readonly PackItem[]): Batch {
  const spans = items.map(({ ids, from = 0, length = Math.max(0, ids.length - from - 1) }) => ({
    ids,
    from,
    length,
  }));
  const { tokens, cuSeqlens } = packTokens(spans);
  const T = tokens.length;
  const names = new Set(items.flatMap(({ columns }) => Object.keys(columns ?? {})));
  const batch: Batch = {
    tokens,
    targets: new Int32Array(T).fill(-1),
    lossWeight: new Float32Array(T),
    positions: new Int32Array(T),
    cuSeqlens,
    sampleIds: Float64Array.from(items, ({ sampleId = 0 }) => sampleId),
  };
  if (names.size > 0)
    batch.columns = Object.fromEntries([...names].map((name) => [name, new Float32Array(T)]));
  for (const [n, item] of items.entries()) fillItem(batch, cuSeqlens[n]!, item, spans[n]!);
  return batch;
}

/** Positions, targets, weights and columns of one item, whose first position in the batch is `start`. */
function fillItem(batch: Batch, start: number, item: PackItem, span: Required<TokenSpan>): void {
  const { isTarget, weight = 1 } = item;
  const columns = Object.entries(item.columns ?? {}).map(
    ([name, value]) => [batch.columns![name]!, value] as const,
  );
  for (let j = 0; j < span.length; j++) {
    const t = start + j;
    const index = span.from + j + 1;
    batch.positions[t] = j;
    if (isTarget && !isTarget(index)) continue;
    batch.targets[t] = item.ids[index]!;
    batch.lossWeight[t] = weight;
    for (const [column, value] of columns) column[t] = value(index);
  }
}
