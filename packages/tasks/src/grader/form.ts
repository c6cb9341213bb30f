// Whether an answer states a value, or leaves the arithmetic (or the task itself) to whoever reads it.
//
// Equal values do not make an answer: `34+58` equals 92, but so does the question. What may be written depends on the task:
// - number: one numeral, with a unit if it likes: 92, -0.5, 1,000, 1/2 in lowest terms, 1 1/2, 28 %, 9.2e1, 1010_2.
// - value: numerals, and whatever has no shorter exact writing (√2, 2π, 2+√3, sets, intervals, matrices, polynomials), but
//   no arithmetic of rational numbers left undone (34+58, 3*4, 184/2, 2^5, √8464, |-92|) and no like terms (3x+4x), in no
//   part of the answer.
// - any: every form.
// What symbols leave open (x(x+1) may be the task or its answer) the question decides: its own expression is no answer, unless
// the gold answer is that very text. A gold answer that is itself not of the form is met by the next weaker form.
import { canonical } from "./canonical.ts";
import { bareText, cleanAnswer } from "./clean.ts";
import { constantFactor, exactValue } from "./exact.ts";
import { comesToNumber, isCallOfKnownValue, isRational, symbolicCall } from "./known-value.ts";
import { TooMuchWork, Unreadable } from "./limits.ts";
import { type Node, some } from "./node.ts";
import { integerOf, isFraction, isNumber, isNumeral } from "./numeral.ts";
import { parseAnswer } from "./parse.ts";
import { multiply } from "./polynomial.ts";
import { copiesQuestion, repeatsQuestion } from "./question.ts";
import { gcd } from "./rational.ts";
import { asInterval, assignment, expandPlusMinus, withoutName } from "./shape.ts";

export const answerForms = ["number", "value", "any"] as const;

/** How a task may be answered. */
export type AnswerForm = (typeof answerForms)[number];

const isSymbol = (n: Node) => n.t === "sym" || (n.t === "call" && symbolicCall.test(n.fn));

const isClosed = (n: Node) => !some(n, isSymbol);
const MAX_TERMS = 40;

/** Two terms of one sum that could be one (3x + 4x, √2 + √8, 34 + 58), or a term that is 0. */
function hasLikeTerms(terms: readonly Node[]): boolean {
  if (terms.length > MAX_TERMS) return true;
  try {
    const values = terms.map((term) => exactValue(term)).filter((value) => value !== undefined);
    return values.some(
      (a, i) =>
        a.n.size === 0 ||
        values.slice(0, i).some((b) => constantFactor(multiply(a.n, b.d), multiply(b.n, a.d)) !== undefined),
    );
  } catch (error) {
    if (error instanceof TooMuchWork) return false;
    throw error;
  }
}

/** Whether an expression has no arithmetic of rational numbers, and no sum of like terms, left to do. */
function isDone(node: Node): boolean {
  if (isNumeral(node, "any_fraction") || node.t === "const" || isSymbol(node)) return true;
  if (node.t === "matrix") return node.rows.flat().every(isValue);
  if (node.t === "unit" || node.t === "percent") return isDone(node.a);
  // With symbols that cancel, 92 + x − x or 92x⁰, it is a number after all.
  const closed = isClosed(node);
  if (closed ? isRational(node) || isCallOfKnownValue(node) : comesToNumber(node)) return false;
  const parts = partsOf(node);
  if (!parts.every(isDone)) return false;
  if (node.t === "add") return !hasLikeTerms(parts) && !parts.some((n) => n.t === "matrix");
  if (node.t === "mul" && parts.filter((n) => n.t === "matrix").length > 1) return false;
  return (node.t !== "mul" && node.t !== "div") || hasOneCoefficient(node);
}

/** Whether the rational factors of a product or quotient are one fraction in lowest terms: 2π/3, not 2π/6, 4√2/2, 2·3x. */
function hasOneCoefficient(node: Node): boolean {
  const [above, below]: [Node[], Node[]] = [[], []];
  const collect = (n: Node, into: Node[], other: Node[]): void => {
    if (n.t === "mul") for (const a of n.args) collect(a, into, other);
    else if (n.t === "div") {
      collect(n.a, into, other);
      collect(n.b, other, into);
    } else if (n.t === "neg" || n.t === "unit") collect(n.a, into, other);
    else if (n.t !== "matrix" && isClosed(n) && isRational(n)) into.push(n);
  };
  collect(node, above, below);
  if (above.length > 1 || below.length > 1) return false;
  if (below.length === 0) return true;
  const [p, q] = [above[0] ? integerOf(above[0]) : 1n, integerOf(below[0]!)];
  return p !== undefined && q !== undefined && q !== 1n && gcd(p, q) === 1n;
}

function partsOf(node: Node): Node[] {
  switch (node.t) {
    case "add":
    case "mul":
    case "call":
      return node.args;
    case "neg":
      return [node.a];
    case "div":
    case "pow":
      return [node.a, node.b];
    case "root":
      return [node.a];
    default:
      return [];
  }
}

/** Whether every part of an answer states its value. */
function isValue(node: Node): boolean {
  switch (node.t) {
    case "text":
      return true;
    case "list":
    case "tuple":
      return node.items.every(isValue);
    case "union":
      return node.parts.every(isValue);
    case "matrix":
      return node.rows.flat().every(isValue);
    case "ratio":
      return node.parts.every(isDone);
    case "relation": {
      // An equation of a curve or plane is answered as it stands: (x-1)^2 + y^2 = 5^2.
      const assigned = assignment(node);
      if (assigned) return isValue(assigned.value);
      return !isSolved(node) || node.parts.every(isValue);
    }
    default:
      return isDone(node);
  }
}

/** x = 2 or x > 3: a name beside what it is. */
function isSolved(node: Node): boolean {
  const assigned = assignment(node);
  if (assigned) return !some(assigned.value, isSymbol);
  return node.t === "relation" && (node.ops[0] === "in" || asInterval(node) !== undefined);
}

/**
 * Whether an answer is worked out as far as the gold answer: 2x+3 = 7 is no answer where x = 2 is due, nor 2x > 6 where
 * x > 3 is, and 184:2 is a division where the gold answer is no ratio.
 */
function isWorkedOut(answer: Node, gold: Node): boolean {
  if (answer.t === "relation" && isSolved(gold) && !isSolved(answer)) return false;
  if (answer.t === "ratio" && gold.t !== "ratio" && answer.parts.length === 2) {
    const [a, b] = answer.parts as [Node, Node];
    if (!some(answer, isSymbol) && !isFraction(a, b, "any_fraction")) return false;
  }
  return isValue(answer);
}

/** Symbols in an answer that are no names, where the gold answer has none: 92x/x. */
function hasLooseSymbols(node: Node): boolean {
  const bare = withoutName(node);
  switch (bare.t) {
    case "relation":
      return false;
    case "list":
    case "tuple":
      return bare.items.some(hasLooseSymbols);
    case "union":
      return bare.parts.some(hasLooseSymbols);
    case "matrix":
      return bare.rows.flat().some(hasLooseSymbols);
    default:
      return some(bare, isSymbol);
  }
}

/** Why an answer is not of the form: the question's expression, arithmetic left undone, or something else altogether. */
export type FormFault = "repeats_question" | "undone" | "other_form";

export interface FormJudgement {
  /** Whether an equal value of this form may be credited. */
  ok: boolean;
  /** What is wrong with it; also given where every form counts. */
  reason?: FormFault;
}

export interface FormTask {
  /** What form a right answer must have (default: any). */
  form?: AnswerForm;
  /** Text of the question, whose own expressions are no answer. */
  question?: string;
}

function faultOf(answer: Node, gold: Node, { form = "any", question = "" }: FormTask): FormFault | undefined {
  if (question !== "" && repeatsQuestion(answer, gold, question)) return "repeats_question";
  if (form === "any") return undefined;
  const [own, goal] = [expandPlusMinus(answer), expandPlusMinus(gold)];
  // A gold answer that is not of the form itself is met by the next weaker one.
  if (!isValue(goal)) return undefined;
  if (!isWorkedOut(own, goal)) return "undone";
  if (form === "number" && isNumber(goal)) {
    if (isNumber(own)) return undefined;
    return isNumeral(withoutName(own), "any_fraction") ? "undone" : "other_form";
  }
  return isClosed(goal) && hasLooseSymbols(own) ? "other_form" : undefined;
}

/** Whether the grader itself worked out a part: a sum, an integral, a determinant. */
const isWorked = (node: Node): boolean => some(node, (n) => n.t === "num" && n.worked === true);

/** Whether a parsed answer, whatever its value, is of the form that a task asks for. */
export function judgeForm(answer: Node, gold: Node, task: FormTask): FormJudgement {
  const asWritten =
    isWorked(answer) === isWorked(gold) && canonical(answer, "literal") === canonical(gold, "literal");
  const reason = asWritten ? undefined : faultOf(answer, gold, task);
  return { ok: reason === undefined || (task.form ?? "any") === "any", ...(reason ? { reason } : {}) };
}

/** Whether a judgement is that of an echo: the task again, or its arithmetic left to the reader. */
export const echoes = ({ reason }: FormJudgement): boolean =>
  reason === "repeats_question" || reason === "undone";

/** Longer answers are not compared, and so are no echoes. */
const MAX_ANSWER = 1500;

function readings(text: string): readonly Node[] {
  try {
    return parseAnswer(text).readings;
  } catch (error) {
    if (error instanceof Unreadable || error instanceof TooMuchWork) return [];
    throw error;
  }
}

/**
 * Whether an answer is an echo, whatever its value: the question's own expression, or (where the form asks for a value)
 * arithmetic left undone. The gold answer's own text never is.
 */
export function isEcho(answer: string, gold: string, task: FormTask): boolean {
  if (answer.trim() === "" || answer.length > MAX_ANSWER) return false;
  if (bareText(cleanAnswer(answer)) === bareText(cleanAnswer(gold))) return false;
  const [own, [goal]] = [readings(answer), readings(gold)];
  if (own.length === 0 || !goal) return copiesQuestion(answer, task.question ?? "");
  return own.some((node) => echoes(judgeForm(node, goal, task)));
}
