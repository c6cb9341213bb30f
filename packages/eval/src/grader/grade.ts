// Compares a completion's final answer with the gold answer: exact rationals first, then normalised text.
import { extractAnswer } from "./extract.ts";
import { equalRational, parseRational } from "./rational.ts";

export type Verdict = "correct" | "wrong" | "unparsed";

export interface Grade {
  verdict: Verdict;
  /** The answer that was compared; empty when none was found. */
  answer: string;
  why: string;
}

const normalise = (s: string) =>
  s
    .replace(/\\(?:text|mathrm)\{([^{}]*)\}/g, "$1")
    .replace(/[\s$]+/g, "")
    .replace(/\.$/, "")
    .toLowerCase();

/** Whether two answers are the same number, or the same text. */
export function sameAnswer(answer: string, gold: string): boolean {
  const [a, b] = [parseRational(answer), parseRational(gold)];
  if (a && b) return equalRational(a, b);
  if (a || b) return false;
  return normalise(answer) !== "" && normalise(answer) === normalise(gold);
}

/** Grades a completion. An answer that offers alternatives ("4 or 5") is wrong unless the gold answer does too. */
export function grade(completion: string, gold: string): Grade {
  const { kind, text, why } = extractAnswer(completion);
  if (kind === "none" || text === "") return { verdict: "unparsed", answer: "", why };
  if (sameAnswer(text, gold)) return { verdict: "correct", answer: text, why: `${why} equals ${gold}` };
  return { verdict: "wrong", answer: text, why: `${why} ${text} is not ${gold}` };
}
