// Work of the host that ranks share out: each does some of the items, and all have every result, in the order of the items.
import { deserialize, serialize } from "node:v8";
import type { Collectives } from "@nsa/kernels";

/** What each rank has, on every rank, in ascending order of ranks: plain data, NaN and typed arrays included. */
export function gatherValues<T>(collectives: Collectives, own: T): T[] {
  if (collectives.world === 1) return [own];
  return collectives.gatherBytes(serialize(own)).map((bytes) => deserialize(bytes) as T);
}

/** Whether `yes` is true on any rank: for decisions that all ranks must take together, such as to stop. */
export const anyRank = (collectives: Collectives, yes: boolean): boolean =>
  collectives.allReduceNumbers([yes ? 1 : 0])[0]! > 0;

const ownOf = <T>({ rank, world }: Collectives, items: readonly T[]): T[] =>
  items.filter((_, i) => i % world === rank);

/** The results of all ranks in the order of the items, of which item i was done by rank i mod world. */
function inOrder<T, R>(collectives: Collectives, items: readonly T[], own: readonly R[]): R[] {
  const parts = gatherValues(collectives, own);
  return items.map((_, i) => parts[i % parts.length]![Math.floor(i / parts.length)]!);
}

/** One result for each item, in order, on every rank; `work` is given this rank's items alone, item i being rank i mod world's, and is not called for none. */
export function shareItems<T, R>(
  collectives: Collectives,
  items: readonly T[],
  work: (own: readonly T[]) => readonly R[],
): R[] {
  if (collectives.world === 1) return [...work(items)];
  const own = ownOf(collectives, items);
  return inOrder(collectives, items, own.length > 0 ? work(own) : []);
}

/** As {@link shareItems}, for asynchronous work. */
export async function shareItemsLater<T, R>(
  collectives: Collectives,
  items: readonly T[],
  work: (own: readonly T[]) => Promise<readonly R[]>,
): Promise<R[]> {
  if (collectives.world === 1) return [...(await work(items))];
  const own = ownOf(collectives, items);
  return inOrder(collectives, items, own.length > 0 ? await work(own) : []);
}
