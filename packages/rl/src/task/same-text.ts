// Whether a record's ids are the text that it has beside them: with another tokenizer, or after a change by hand, they are not.
import { ExitCode, NsaError } from "@nsa/core";
import type { Tokenizer } from "@nsa/data";

/** Added to the complaint about a field that is null. */
export const NULLED = " (NaN and Infinity are read as null, too)";

/** What the ids are where it is another text than `text`, without the end tokens or with them; undefined where they agree. */
function otherText(ids: readonly number[], text: string, tokenizer: Tokenizer): string | undefined {
  const end = ids.findLastIndex((id) => !tokenizer.isEnd(id)) + 1;
  if ([ids, ids.slice(0, end)].some((part) => tokenizer.decode(part) === text)) return undefined;
  return tokenizer.decode(ids);
}

/**
 * A model learns from the ids, and people read the text, the record's `field`. Nothing is checked where there is no text, nor where an id
 * is none of the tokenizer's: the caller refuses those. Throws NsaError `tokenizer_mismatch` (exit 3) where the two differ.
 */
export function checkText(
  ids: readonly number[],
  { text, field, place }: { text: unknown; field: string; place: string },
  tokenizer: Tokenizer,
): void {
  if (typeof text !== "string" || ids.some((id) => !tokenizer.has(id))) return;
  const other = otherText(ids, text, tokenizer);
  if (other === undefined) return;
  throw new NsaError({
    code: "tokenizer_mismatch",
    what: place,
    why: `the ids decode to ${JSON.stringify(other.slice(0, 60))}, and \`${field}\` is ${JSON.stringify(text.slice(0, 60))}`,
    fix: "start from a checkpoint (init.checkpoint) that has the tokenizer with which the outputs were sampled",
    exitCode: ExitCode.data,
  });
}
