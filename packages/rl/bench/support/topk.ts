// What the TopK bench decides: which held-out problems it measures, and what the changes of Maj@K and Pass@K say of the paper's claim.
import type { Difference } from "./differences.ts";

/** A row of the pool of `nsa sample`. */
export interface PoolRow {
  id: string;
  question: string;
  answer: string;
  pass_rate: number;
}

/** Problems of the measurement, and the share of them that must be neither nearly hopeless nor nearly solved. */
export const PROBLEMS = 256;
export const MEDIUM_SHARE = 0.7;

export const isMedium = (rate: number) => rate > 0.02 && rate < 0.6;

/**
 * The first medium problems of a pool up to their share, and the first hard ones (at most 0.02) for the rest. Both groups are
 * chosen by samples that are not measured again. `any`: where medium problems are too few, hard ones take their places. Undefined
 * where the pool has too few.
 */
export function chooseProblems(
  pool: readonly PoolRow[],
  needs: "medium" | "any",
  count = PROBLEMS,
): PoolRow[] | undefined {
  const wanted = Math.round(MEDIUM_SHARE * count);
  const seen = new Set<string>();
  // Each part of a mix numbers its problems by itself, and a small family draws some twice: names here must be unique.
  const unique = pool
    .filter(({ question }) => !seen.has(question) && seen.add(question))
    .map((row) => ({ ...row, id: row.question }));
  const medium = unique.filter(({ pass_rate }) => isMedium(pass_rate)).slice(0, wanted);
  if (needs === "medium" && medium.length < wanted) return undefined;
  const hard = unique.filter(({ pass_rate }) => pass_rate <= 0.02).slice(0, count - medium.length);
  return medium.length + hard.length === count ? [...medium, ...hard] : undefined;
}

/** A change of Pass@K below this is none: "not lifted" can only be shown up to a margin. */
export const MARGIN = 0.05;

/**
 * DeepSeekMath §5.2.2: RL lifts Maj@K and not Pass@K. Agrees where Maj@K's interval is above 0 and Pass@K's below the margin; disagrees
 * where Pass@K's is above the margin, or Maj@K's is not above 0 anywhere; else undecided.
 */
export function topKVerdict(maj: Difference, pass: Difference): "agrees" | "disagrees" | "undecided" {
  if (pass.low > MARGIN || maj.high <= 0) return "disagrees";
  return maj.low > 0 && pass.high < MARGIN ? "agrees" : "undecided";
}
