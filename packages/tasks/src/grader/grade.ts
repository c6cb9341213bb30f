// Grades a completion: finds its final answer and compares it with the gold answer.
import { hasFalseClaim } from "./claims.ts";
import { bareText, cleanAnswer } from "./clean.ts";
import { withoutAskedCount } from "./counting.ts";
import { type AnswerKind, type ExtractOptions, extractAnswer } from "./extract.ts";
import { echoes, type FormTask, judgeForm } from "./form.ts";
import { TooMuchWork, Unreadable } from "./limits.ts";
import type { Node } from "./node.ts";
import { arrowSides, rangeVerdict } from "./ordered.ts";
import { labelOf, type Parsed, parseAnswer } from "./parse.ts";
import { hasSymbols, type SameOptions, sameParsed } from "./same-answer.ts";

/** `unknown`: no answer, one in an unsupported form, or one that costs too much work to decide. Never credited. */
export type Verdict = "correct" | "wrong" | "unknown";

export interface Grade {
  verdict: Verdict;
  /** The answer that was compared; empty when none was found. */
  answer: string;
  /** Where the answer stood. */
  form: AnswerKind;
  why: string;
}

export interface GradeOptions extends ExtractOptions, Partial<SameOptions>, FormTask {
  /** Texts of the options A, B, C …: the text of the right one is as good as its letter. */
  choices?: readonly string[];
}

export interface Comparison {
  verdict: Verdict;
  why: string;
}

const MAX_TEXT = 1500;
const letterOf =
  /^\(?(?:([A-J])\)?(?:[).:,]|\s(?!.*(?:^|[\s,;/(])[A-J](?:$|[\s,;).]))|$)|([a-j])(?:[).]|$))/s;

/** The chosen letter; undefined when the text names none or several. */
function chosenLetter(clean: string): string | undefined {
  const bare = clean
    .replace(/\\text(?:bf|rm)?\s*\{([^{}]*)\}/g, "$1")
    .replace(/[{}]/g, "")
    .trim();
  const head = /^(?:option|choice|answer|故?选项?|答案(?:是|为)?)?\s*[:：]?\s*(.*)$/is.exec(bare)![1]!;
  const match = letterOf.exec(head);
  if (!match) return undefined;
  // (A, 7) is a pair, and "B not" no choice.
  if (head.startsWith("(") && head[2] !== ")") return undefined;
  if (/^\(?[A-J]\)?\W{0,3}\s*(?:is\s+)?(?:not|isn't|wrong|incorrect|false)\b/i.test(head)) return undefined;
  if (/\b(?:or|and)\b|[,/]\s*\(?[A-J]\)?(?![a-z])/i.test(head.slice(1))) return undefined;
  return (match[1] ?? match[2]!).toUpperCase();
}

function compareChoice(answer: string, gold: string, options: GradeOptions): Comparison | undefined {
  const letter = chosenLetter(cleanAnswer(answer));
  const right = gold.toUpperCase();
  if (letter) return { verdict: letter === right ? "correct" : "wrong", why: `the choice is ${letter}` };
  const { choices } = options;
  if (!choices) return undefined;
  const text = choices[right.charCodeAt(0) - 65];
  if (text === undefined) return undefined;
  const matches = choices.filter(
    (c) => compareAnswers(answer, c, { ...options, choices: [] }).verdict === "correct",
  );
  if (matches.length !== 1) return { verdict: "wrong", why: "it is not the text of one option" };
  return { verdict: matches[0] === text ? "correct" : "wrong", why: "the text of an option" };
}

function read(text: string, keepLabel: boolean): Parsed | string {
  try {
    return parseAnswer(text, keepLabel);
  } catch (error) {
    if (error instanceof Unreadable || error instanceof TooMuchWork) return error.message;
    throw error;
  }
}

/** Why an equal answer is not of the form; the first reading must be none of an echo, whichever was equal. */
function formFault(answer: Parsed, reading: number, gold: Node, task: FormTask): string | undefined {
  const { ok, reason } = judgeForm(answer.readings[reading]!, gold, task);
  const first = reading > 0 ? judgeForm(answer.readings[0]!, gold, task) : undefined;
  if (ok && !(first && !first.ok && echoes(first))) return undefined;
  return [reason, first?.reason].includes("repeats_question")
    ? "equal, but the question's own expression"
    : "equal, but not worked out";
}

const CURRENCIES: Record<string, string> = {
  usd: "$",
  dollar: "$",
  eur: "€",
  euro: "€",
  gbp: "£",
  inr: "₹",
  rs: "₹",
  rupee: "₹",
};

/** The sign of an amount's currency: as it stands, or that of its code or name. */
function currencyOf(text: string): string | undefined {
  const sign = /^\s*-?([€£₹])\s*[\d.]|[\d]\s*([€£₹])\s*$|^\s*(\\?\$)\s*-?[\d.,]+\s*$/
    .exec(text)
    ?.slice(1)
    .find(Boolean);
  if (sign !== undefined) return sign.at(-1);
  const name = /^\s*-?(USD|EUR|GBP|INR|Rs)\.?\s*\d|\d\s*(USD|EUR|GBP|INR|euro|dollar|rupee)s?\s*$/i.exec(
    text,
  );
  return name ? CURRENCIES[(name[1] ?? name[2]!).toLowerCase()] : undefined;
}

/** Whether two amounts are of two currencies. */
function otherCurrency(answer: string, gold: string): boolean {
  const [a, g] = [currencyOf(answer), currencyOf(gold)];
  return a !== undefined && g !== undefined && a !== g;
}

/** Several choices: A, C for AC, in whatever order. */
function sameLetters(answer: string, gold: string): boolean {
  const several = /^\(?[A-H]\)?(?:\s*(?:,|;|&|and)?\s*\(?[A-H]\)?)+$/;
  if (!several.test(answer) || !several.test(gold) || !/[,;&]|and/.test(answer + gold)) return false;
  const letters = (text: string) => text.match(/[A-H]/g)!;
  // One without commas may be a product or a segment: letters of choices ascend.
  const isRun = (text: string) =>
    /[,;&]|and/.test(text) || letters(text).every((c, i, all) => i === 0 || all[i - 1]! < c);
  return (
    isRun(answer) &&
    isRun(gold) &&
    [...new Set(letters(answer))].sort().join() === [...new Set(letters(gold))].sort().join()
  );
}

/** Compares ranges in words and what arrows lead to, which have an order; undefined for other answers. */
function inOrder(
  answer: string,
  gold: string,
  cleanGiven: string,
  cleanGold: string,
  options: GradeOptions,
): Comparison | undefined {
  const verdict = rangeVerdict(answer, gold);
  if (verdict) return { verdict, why: "a range" };
  const [a, g] = [arrowSides(cleanGiven), arrowSides(cleanGold)];
  if (!a || !g || a.length !== g.length) return undefined;
  const sides = a.map((side, i) => compareAnswers(side, g[i]!, options).verdict);
  const different = sides.includes("wrong") ? "wrong" : "unknown";
  return {
    verdict: sides.every((side) => side === "correct") ? "correct" : different,
    why: "sides of arrows",
  };
}

/** Compares two answers: same text, choice letters, then values of any shape. Never throws; bounded work. */
export function compareAnswers(answer: string, gold: string, options: GradeOptions = {}): Comparison {
  if (answer.trim() === "") return { verdict: "unknown", why: "the answer is empty" };
  if (answer.length > MAX_TEXT || gold.length > MAX_TEXT) {
    return answer.trim() === gold.trim()
      ? { verdict: "correct", why: "the same text" }
      : { verdict: "unknown", why: "the answer is too long" };
  }
  const [cleanGold, cleanGiven] = [cleanAnswer(gold), cleanAnswer(answer)];
  const goldLetter = /^\(?([A-J])\)?$/.exec(bareText(cleanGold).toUpperCase());
  if (goldLetter && /^\W*(?:\\text[a-z]*)?\W*[A-J]\W*$/.test(cleanGold)) {
    const choice = compareChoice(answer, goldLetter[1]!, options);
    if (choice) return choice;
  }
  if (otherCurrency(answer, gold)) return { verdict: "wrong", why: "another currency" };
  if (sameLetters(cleanGiven, cleanGold)) return { verdict: "correct", why: "the same choices" };
  if (cleanGiven !== "" && (cleanGiven === cleanGold || bareText(cleanGiven) === bareText(cleanGold))) {
    return { verdict: "correct", why: "the same text" };
  }
  const ordered = inOrder(answer, gold, cleanGiven, cleanGold, options);
  if (ordered) return ordered;
  const asked = options.question ? withoutAskedCount(answer, options.question) : answer;
  // Where both have the letter of a choice, the letters are compared with the values.
  const letters = labelOf(gold) !== undefined && labelOf(asked) !== undefined;
  const [g, a] = [read(gold, letters), read(asked, letters)];
  if (typeof a === "string") return { verdict: "unknown", why: `unsupported form: ${a}` };
  if (typeof g === "string") return { verdict: "unknown", why: `gold answer in an unsupported form: ${g}` };
  const settings: SameOptions = { relationForSet: options.relationForSet ?? false };
  const { form = "any" } = options;
  // Beside a bare number, dollars leave open what is claimed.
  const claims = form !== "any" || !answer.includes("\\$");
  let verdict: Verdict = "wrong";
  let why = "different values";
  for (const [i, x] of g.readings.entries()) {
    for (const [j, y] of a.readings.entries()) {
      // The second reading drops a letter that may be a unit: only against an answer without symbols.
      if ((i > 0 && hasSymbols(y)) || (j > 0 && hasSymbols(x))) continue;
      const same = sameParsed(x, y, settings);
      if (same === "unknown") verdict = "unknown";
      if (same !== "same") continue;
      if (claims && hasFalseClaim(y, form !== "any")) why = "the equation is false";
      else {
        const fault = formFault(a, j, x, options);
        if (!fault) return { verdict: "correct", why: "equal values" };
        why = fault;
      }
      verdict = "wrong";
    }
  }
  return { verdict, why: verdict === "wrong" ? why : "it could not be decided" };
}

/** Whether two answers are equal. */
export function sameAnswer(answer: string, gold: string, options: GradeOptions = {}): boolean {
  return compareAnswers(answer, gold, options).verdict === "correct";
}

/** Grades a completion. An answer that offers alternatives ("4 or 5") is wrong unless the gold answer does too. */
export function grade(completion: string, gold: string, options: GradeOptions = {}): Grade {
  const { kind, text, why } = extractAnswer(completion, options);
  if (kind === "none" || text === "") return { verdict: "unknown", answer: "", form: kind, why };
  const compared = compareAnswers(text, gold, options);
  return { verdict: compared.verdict, answer: text, form: kind, why: `${why}: ${compared.why}` };
}
