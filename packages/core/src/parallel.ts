// Work on many items at once, a fixed number at a time.

/** Results in the order of the items; at most `width` calls run at once. Rejects with the first failure. */
export async function inParallel<T, R>(
  items: readonly T[],
  width: number,
  f: (item: T, index: number) => Promise<R>,
): Promise<R[]> {
  const out = new Array<R>(items.length);
  let next = 0;
  const worker = async () => {
    for (let i = next++; i < items.length; i = next++) out[i] = await f(items[i]!, i);
  };
  await Promise.all(Array.from({ length: Math.min(width, items.length) }, worker));
  return out;
}
