// Who takes part in a collective, and which part of a tensor is whose; what cannot be right is refused before anything is sent.
import { ExitCode, NsaError } from "@nsa/core";
import { type PartOptions, type RankGroup, shareLengths } from "./collectives.ts";

export const misuse = (what: string, why: string) =>
  new NsaError({
    code: "collective_invalid",
    what,
    why,
    fix: "this is a bug of the program that made the call",
    exitCode: ExitCode.bug,
  });

interface Place {
  readonly rank: number;
  readonly world: number;
}

/** The group in ascending order, all ranks without one. Throws NsaError `collective_invalid` (exit 1). */
export function membersOf({ rank, world }: Place, group: RankGroup | undefined): number[] {
  const ranks = group ? [...group].sort((a, b) => a - b) : Array.from({ length: world }, (_, i) => i);
  const wrong = ranks.find((r, i) => !Number.isInteger(r) || r < 0 || r >= world || ranks.indexOf(r) !== i);
  if (wrong !== undefined)
    throw misuse(`group ${ranks.join(", ")}`, `${wrong} is there twice, or is no rank of ${world}`);
  if (!ranks.includes(rank)) throw misuse(`group ${ranks.join(", ")}`, `rank ${rank} does not belong to it`);
  return ranks;
}

/**
 * The ranks, the elements of each one's part of `whole`, and where the parts start; `own` is the size of this rank's tensor. Throws
 * NsaError `collective_invalid` (exit 1).
 */
export function partsOf(
  place: Place,
  operation: string,
  whole: number,
  own: number,
  { lengths, group }: PartOptions,
): { ranks: number[]; lengths: readonly number[]; starts: number[] } {
  const ranks = membersOf(place, group);
  const of = lengths ?? shareLengths(whole, ranks.length);
  const sum = of.reduce((a, b) => a + b, 0);
  if (of.length !== ranks.length || sum !== whole)
    throw misuse(operation, `parts of ${of.join(", ")} for ${ranks.length} ranks and ${whole} elements`);
  const mine = of[ranks.indexOf(place.rank)]!;
  if (mine !== own)
    throw misuse(operation, `the part of rank ${place.rank} has ${own} elements, not ${mine}`);
  const starts = of.map((_, i) => of.slice(0, i).reduce((a, b) => a + b, 0));
  return { ranks, lengths: of, starts };
}
