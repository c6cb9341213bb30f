// What two numbers or statements in an order are: a range is no quotient, and an arrow has a direction.

import { plainRange } from "./worded.ts";

const RANGE = /^(?:from )?(-?\d{1,12}(?:\.\d{1,6})?) to (-?\d{1,12}(?:\.\d{1,6})?)$/i;
const ARROW = /\\(?:to|rightarrow|longrightarrow|Rightarrow|implies|mapsto)(?![a-zA-Z])/;

/** The ends of a range in words. */
const endsOf = (s: string) =>
  RANGE.exec(plainRange(s.replace(/\$/g, "")).replace(/ {2,}/g, " "))?.slice(1, 3);

/** A number or a fraction, which no range is. */
const NUMBER = /^-?\\?(?:d?frac\{?-?\d+\}?\{?\d+\}?|\d+(?:[.,]\d+)*(?:\/\d+)?)(?:\\?%)?$/;

/**
 * Whether a range in words ("3 to 5") can be the other answer: a ratio, the same range by a dash or as an interval. A
 * fraction or a number is none. Undefined where no side is a range, both may be ratios, or the other side is written in a way that
 * is compared elsewhere (inequalities, "between 3 and 5", units).
 */
export function rangeVerdict(answer: string, gold: string): "correct" | "wrong" | undefined {
  const [a, g] = [endsOf(answer), endsOf(gold)];
  if (!a === !g) return undefined;
  const [ends, other] = (a ? [a, gold] : [g, answer]) as [string[], string];
  if (/:|\\text|ratio/i.test(other)) return undefined;
  const [low, high] = ends as [string, string];
  const written = other
    .replace(/[\s$]/g, "")
    .replace(/\\left|\\right/g, "")
    .replace(/[–—−]/g, "-");
  if (written === `${low}-${high}` || written === `[${low},${high}]`) return "correct";
  // The ends belong to it, as in words.
  const bounded =
    /^(.+?)(?:\\leq?|≤)[a-zA-Z](?:\\leq?|≤)(.+)$/.exec(written) ?? /^between(.+)and(.+)$/i.exec(written);
  if (bounded?.[1] === low && bounded[2] === high) return "correct";
  return NUMBER.test(written) ? "wrong" : undefined;
}

/** The sides of arrows, of an answer that has any. */
export function arrowSides(s: string): string[] | undefined {
  return ARROW.test(s) && !/\\lim|_\{[^{}]*\\to/.test(s)
    ? s.split(ARROW).map((side) => side.trim())
    : undefined;
}
