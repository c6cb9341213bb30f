// An output that may hold what tools wrote: ids that the model sampled, and inserts between them. Everything that is learned or counted is
// of the sampled ids; a model reads all of them.
import type { GeneratedSample } from "@nsa/model";

/** Ids that stand before sampled id number `at`. */
export interface Insert {
  at: number;
  ids: readonly number[];
}

/** A call that was made. */
export interface CallRecord {
  name: string;
  output: string;
  failed?: true;
}

/** `ids`, `logp` and `keptLogmass` are of sampled ids alone. */
export interface Trajectory extends GeneratedSample {
  /** In order; absent where no tool was called. */
  inserts?: readonly Insert[];
  calls?: readonly CallRecord[];
}

/** Sampled ids with what stands between them. */
export interface Inserted {
  ids: ArrayLike<number>;
  inserts?: readonly Insert[];
}

/** Number of inserted ids. */
export const insertedCount = ({ inserts = [] }: Pick<Inserted, "inserts">): number =>
  inserts.reduce((n, { ids }) => n + ids.length, 0);

/** All ids as a model reads them. */
export function wholeIds({ ids, inserts = [] }: Inserted): number[] {
  const out: number[] = [];
  let next = 0;
  for (const { at, ids: own } of inserts) {
    while (next < at) out.push(ids[next++]!);
    out.push(...own);
  }
  while (next < ids.length) out.push(ids[next++]!);
  return out;
}

/** 1 for each of all ids that was sampled, 0 for those that a tool wrote. */
export function sampledMask({ ids, inserts = [] }: Inserted): Uint8Array {
  const mask = new Uint8Array(ids.length + insertedCount({ inserts })).fill(1);
  let before = 0;
  for (const { at, ids: own } of inserts) {
    mask.fill(0, at + before, at + before + own.length);
    before += own.length;
  }
  return mask;
}

/** Sampled ids and inserts of all ids and their mask: the inverse of {@link wholeIds} and {@link sampledMask}. */
export function splitIds(
  all: ArrayLike<number>,
  mask: ArrayLike<number>,
): { ids: number[]; inserts?: Insert[] } {
  const ids: number[] = [];
  const inserts: { at: number; ids: number[] }[] = [];
  for (let i = 0; i < all.length; i++) {
    if (mask[i]) ids.push(all[i]!);
    else if (i > 0 && !mask[i - 1]) inserts.at(-1)!.ids.push(all[i]!);
    else inserts.push({ at: ids.length, ids: [all[i]!] });
  }
  return inserts.length > 0 ? { ids, inserts } : { ids };
}
