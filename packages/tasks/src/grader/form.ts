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
import { bareText, cleanAnswer } from "./clean.ts";
import { constantFactor, constantOf, exactValue } from "./exact.ts";
import { TooMuchWork, Unreadable } from "./limits.ts";
import { type Node, some } from "./node.ts";
import { realValue } from "./numeric.ts";
import { parseAnswer } from "./parse.ts";
import { multiply } from "./polynomial.ts";
import { asInterval, assignment, expandPlusMinus, withoutName } from "./shape.ts";

export const answerForms = ["number", "value", "any"] as const;

/** How a task may be answered. */
export type AnswerForm = (typeof answerForms)[number];

type Numeral = "lowest_terms" | "any_fraction";

const integer = (n: Node): bigint | undefined => {
  if (n.t === "neg") {
    const a = n.a.t === "num" ? integer(n.a) : undefined;
    return a === undefined ? undefined : -a;
  }
  return n.t === "num" && n.decimals === 0 && n.value.q === 1n ? n.value.p : undefined;
};

function gcd(a: bigint, b: bigint): bigint {
  return b === 0n ? (a < 0n ? -a : a) : gcd(b, a % b);
}

/** p/q of two written integers that is no integer. */
function isFraction(a: Node, b: Node, kind: Numeral): boolean {
  const [p, q] = [integer(a), integer(b)];
  if (p === undefined || q === undefined || q === 0n || p % q === 0n) return false;
  return kind === "any_fraction" || gcd(p, q) === 1n;
}

/** 10^n, the power of scientific notation. */
function isPowerOfTen(n: Node): boolean {
  return n.t === "pow" && integer(n.a) === 10n && (integer(n.b) ?? 0n) !== 0n;
}

/** 9.2 × 10^n with one digit before the point. */
function isScientific(args: readonly Node[]): boolean {
  const [m, power] = args;
  if (args.length !== 2 || m?.t !== "num" || !isPowerOfTen(power!)) return false;
  return m.value.p >= m.value.q && m.value.p < 10n * m.value.q;
}

/** One written number: digits, a fraction, a mixed number, scientific notation; with a sign, a percent sign or a unit. */
function isNumeral(node: Node, kind: Numeral): boolean {
  switch (node.t) {
    case "num":
    case "based":
      return true;
    case "add":
      return node.literal === true;
    case "div":
      return isFraction(node.a, node.b, kind);
    case "mul":
      return isScientific(node.args);
    case "pow":
      return isPowerOfTen(node);
    case "neg":
    case "percent":
    case "unit":
      return node.a.t !== node.t && isNumeral(node.a, kind);
    default:
      return false;
  }
}

const LARGEST_DENOMINATOR = 1000;

/** Whether a closed expression comes to a rational number; too much work counts as arithmetic left undone. */
function isRational(node: Node): boolean {
  try {
    const value = exactValue(node);
    if (value) return constantOf(value) !== undefined;
    if (some(node, (n) => n.t === "const" && n.name === "inf")) return false;
    const real = realValue(node);
    if (real === undefined) return some(node, (n) => n.t === "call");
    for (let q = 1; q <= LARGEST_DENOMINATOR; q++) {
      if (Math.abs(real * q - Math.round(real * q)) < 1e-9) return true;
    }
    return false;
  } catch (error) {
    if (error instanceof TooMuchWork) return true;
    throw error;
  }
}

function comesToNumber(node: Node): boolean {
  try {
    const value = exactValue(node);
    return value !== undefined && constantOf(value) !== undefined;
  } catch (error) {
    if (error instanceof TooMuchWork) return false;
    throw error;
  }
}

const symbolicCall = /^(?:[fghFGWP]|phi|varphi|psi)(?:_|'|$)/;
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
  if (isClosed(node) ? isRational(node) : comesToNumber(node)) return false;
  const parts = partsOf(node);
  if (!parts.every(isDone)) return false;
  if (node.t === "add") return !hasLikeTerms(parts) && !parts.some((n) => n.t === "matrix");
  return node.t !== "mul" || hasOneOfAKind(parts);
}

/** At most one rational number and one matrix among the factors. */
function hasOneOfAKind(factors: readonly Node[]): boolean {
  const rationals = factors.filter((n) => n.t !== "matrix" && isClosed(n) && isRational(n));
  return rationals.length < 2 && factors.filter((n) => n.t === "matrix").length < 2;
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
      return (node.t === "list" ? node.items : node.items).every(isValue);
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

/** Whether an answer is one number, or the same number several times. */
function isNumber(node: Node): boolean {
  const bare = withoutName(node);
  if (bare.t === "list") return bare.items.length > 0 && bare.items.every(isNumber);
  return isNumeral(bare, "lowest_terms");
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

/** Whether an answer is of the form that a task asks for; both parsed. */
export function hasForm(form: AnswerForm, answer: Node, gold: Node): boolean {
  if (form === "any") return true;
  const [own, goal] = [expandPlusMinus(answer), expandPlusMinus(gold)];
  if (form === "number" && isNumber(goal)) return isNumber(own);
  return !isValue(goal) || isWorkedOut(own, goal);
}

const operator = /[-+*/^=<>!]|\\(?:times|cdot|div|frac|sqrt|binom|sum|int|le|ge|pm)(?![a-z])/;
const formula = /\$\$?([^$]{1,400})\$\$?|\\\((.{1,400}?)\\\)|\\\[([\s\S]{1,400}?)\\\]/g;
/** A run of arithmetic in plain text: letters only as single symbols. */
const plain = /(?:(?<![A-Za-z])[A-Za-z](?![A-Za-z])|[\d\s.+\-−–*/^()=<>×÷·√²³,]){3,200}/g;

const comparable = (text: string) =>
  bareText(cleanAnswer(text))
    .replace(/[?？.=:]+$/, "")
    .replace(/\\(?:cdot|times)(?![a-z])/g, "*")
    .replace(/^\((.*)\)$/, "$1");

const MAX_QUESTION = 6000;
/** Longer answers are not compared, and so are no echoes. */
const MAX_ANSWER = 1500;

/** The expressions that a question writes out, in one spelling. */
function questionExpressions(question: string): Set<string> {
  const text = question.slice(0, MAX_QUESTION);
  const found = [...text.matchAll(formula)].map((m) => m[1] ?? m[2] ?? m[3] ?? "");
  found.push(...(text.match(plain) ?? []), text);
  const all = new Set<string>();
  for (const one of found) {
    if (!operator.test(cleanAnswer(one))) continue;
    all.add(comparable(one));
    for (const side of one.split("=")) if (operator.test(cleanAnswer(side))) all.add(comparable(side));
  }
  all.delete("");
  return all;
}

/** Whether an answer is an expression that the question itself writes out; numerals never are. */
export function repeatsQuestion(answer: string, question: string): boolean {
  const clean = cleanAnswer(answer);
  if (!operator.test(clean) || !questionExpressions(question).has(comparable(answer))) return false;
  try {
    const node = parseAnswer(answer).readings[0]!;
    // Scientific notation is a numeral, and yet a task may be to write it out.
    return !isNumber(node) || some(node, (n) => n.t === "pow");
  } catch (error) {
    if (error instanceof Unreadable || error instanceof TooMuchWork) return true;
    throw error;
  }
}

/**
 * Whether an answer is an echo, whatever its value: the question's own expression, or (where the form asks for a value)
 * arithmetic left undone. The gold answer's own text never is.
 */
export function isEcho(
  answer: string,
  gold: string,
  { form = "any", question = "" }: { form?: AnswerForm; question?: string },
): boolean {
  if (answer.trim() === "" || answer.length > MAX_ANSWER) return false;
  if (bareText(cleanAnswer(answer)) === bareText(cleanAnswer(gold))) return false;
  if (repeatsQuestion(answer, question)) return true;
  if (form === "any") return false;
  try {
    const [own, goal] = [parseAnswer(answer).readings[0]!, parseAnswer(gold).readings[0]!].map(
      expandPlusMinus,
    );
    if (!isValue(goal!)) return false;
    if (!isWorkedOut(own!, goal!)) return true;
    const bare = withoutName(own!);
    return form === "number" && isNumeral(bare, "any_fraction") && !isNumber(bare);
  } catch (error) {
    if (error instanceof Unreadable || error instanceof TooMuchWork) return false;
    throw error;
  }
}
