// What ends an output: ids of special tokens, and texts.
import type { Tokenizer } from "@nsa/data";

/** Stop strings that are one special token become ids: special tokens leave no text to search. */
export function splitStops(
  tokenizer: Tokenizer,
  stops: readonly string[],
): { stopIds: number[]; stopStrings: string[] } {
  const stopIds = [...tokenizer.eosIds];
  const stopStrings: string[] = [];
  for (const stop of stops) {
    const ids = tokenizer.encode(stop, { inner: true });
    if (ids.length === 1 && tokenizer.isSpecial(ids[0]!)) stopIds.push(ids[0]!);
    else stopStrings.push(stop);
  }
  return { stopIds, stopStrings };
}
