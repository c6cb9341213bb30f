// Whether a record's ids are the text that it has beside them: with another tokenizer, or after a change by hand, they are not.
import type { Tokenizer } from "@nsa/data";

/** What the ids are where it is another text than `text`, without the end tokens or with them; undefined where they agree. */
export function otherText(ids: readonly number[], text: string, tokenizer: Tokenizer): string | undefined {
  const end = ids.findLastIndex((id) => !tokenizer.isEnd(id)) + 1;
  if ([ids, ids.slice(0, end)].some((part) => tokenizer.decode(part) === text)) return undefined;
  return tokenizer.decode(ids);
}
