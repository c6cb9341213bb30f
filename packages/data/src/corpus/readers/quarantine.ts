// The limit on refused records: a corpus with too many is not silently made from what is left.
import { NsaError } from "@nsa/core";

/** Throws NsaError `too_many_refused` (exit 3) when more than `share` of the records were refused. */
export function checkQuarantine(
  counts: { documents: number; refused: number; reasons: Record<string, number> },
  share: number,
  options: { what: string; path: string; fix: string },
): void {
  const { documents, refused, reasons } = counts;
  if (refused <= share * (documents + refused)) return;
  throw new NsaError({
    code: "too_many_refused",
    what: `${refused} of ${documents + refused} records of ${options.what} could not be read`,
    why: `that is more than the share of ${share} that is allowed; reasons: ${JSON.stringify(reasons)}`,
    fix: `look at ${options.path}, ${options.fix}`,
    exitCode: 3,
  });
}
