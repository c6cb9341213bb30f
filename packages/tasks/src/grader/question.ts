// The expressions that a question writes out, as formulas or in its sentences, and answers that only repeat one of them.
import { cancelled, canonical, type Spelling, spellings } from "./canonical.ts";
import { plainCharacters } from "./characters.ts";
import { bareText, cleanAnswer } from "./clean.ts";
import { functionNames } from "./lex.ts";
import { TooMuchWork, Unreadable } from "./limits.ts";
import type { Node } from "./node.ts";
import { isPlain } from "./numeral.ts";
import { parseAnswer } from "./parse.ts";
import { assignment, withoutName } from "./shape.ts";
import { unitFactor } from "./units.ts";

const MAX_QUESTION = 6000;
const MAX_EXPRESSION = 400;
const MAX_PARSES = 200;
/** Questions whose expressions are held for their next answer. */
const MAX_HELD = 256;

const formula = /\$\$?([^$]{1,800})\$\$?|\\\((.{1,800}?)\\\)|\\\[([\s\S]{1,800}?)\\\]/g;
const textGroup = /\\(?:text(?:bf|it|rm|normal)?|mbox)\s*\{([^{}]*)\}/g;
/** Layout around formulas, and blanks to fill in. */
const layout =
  /\\(?:begin|end)\s*\{(?:align(?:ed|at)?|equation|gather(?:ed)?|split|displaymath|math)\*?\}|\\underline\s*\{[^{}]*\}|_{2,}/g;
/** Letters of the options in a question. */
const optionLetter = /\([A-J]\)|(?<=^|\s)[A-J][).](?=\s)/;
const named = [...functionNames].sort((a, b) => b.length - a.length).join("|");
/** Arithmetic inside sentences: signs, numbers, LaTeX commands, function names, single letters, letters beside a sign. */
const inSentence = new RegExp(
  [
    "\\\\[A-Za-z]+",
    "\\\\[{}%|,;:! ]",
    "[\\d\\s.+\\-*/^()=<>\\[\\]{}|!_%,:&]",
    `(?<![A-Za-z\\\\])(?:${named}|pi)(?![A-Za-z])`,
    "(?<![A-Za-z\\\\])[A-Za-z](?![A-Za-z])",
    "(?<=[\\d^)(+*/=-])[A-Za-z]{2,3}(?![A-Za-z])",
    "(?<![A-Za-z\\\\])[A-Za-z]{2,3}(?=[+*/^=(])",
  ].join("|"),
  "g",
);

const amountInSentence = /\d[\d.,/]*\s*[A-Za-z]{1,12}(?![A-Za-z])/g;

/** Longest runs of arithmetic in a text. */
function runsOf(text: string): string[] {
  const runs: string[] = [];
  let [start, end] = [0, -1];
  for (const { index, 0: piece } of text.matchAll(inSentence)) {
    if (index !== end) {
      if (end > start) runs.push(text.slice(start, end));
      start = index;
    }
    end = index + piece.length;
  }
  if (end > start) runs.push(text.slice(start, end));
  return runs;
}

/** A piece without the marks and articles at its ends: "a) 3x + 4x." → 3x + 4x. */
function* trimmed(piece: string): Generator<string> {
  const core = piece.replace(/^[\s.,;:?!&]+|[\s.,;:?_&]+$/g, "").replace(/=\s*$/, "");
  yield core;
  // An exclamation mark may be a factorial, or end the sentence.
  if (core.endsWith("!")) yield core.slice(0, -1);
  const bare = core
    .replace(/^(?:\(?[A-Za-z\d]{1,2}[).:]\s*|[A-Za-z]\s+)/, "")
    .replace(/\s+[A-Za-z]$/, "")
    .trim();
  if (bare !== core) yield bare;
  const balanced = withoutLooseBrackets(bare);
  if (balanced !== bare) yield balanced;
}

/** Without a bracket at one end whose partner lies in the sentence around. */
function withoutLooseBrackets(text: string): string {
  const count = (c: string) => text.split(c).length - 1;
  if (count("(") > count(")") && text.startsWith("(")) return text.slice(1).trim();
  if (count(")") > count("(") && text.endsWith(")")) return text.slice(0, -1).trim();
  return text;
}

function read(text: string): Node | undefined {
  try {
    return parseAnswer(text).readings[0];
  } catch (error) {
    if (error instanceof Unreadable || error instanceof TooMuchWork) return undefined;
    throw error;
  }
}

/** Texts of a node; none where they are too much work. */
function spell(node: Node, spelling: Spelling, cancels = false): string[] {
  try {
    return [canonical(node, spelling), ...(cancels && spelling === "free" ? cancelled(node) : [])];
  } catch (error) {
    if (error instanceof TooMuchWork) return [];
    throw error;
  }
}

const amountOf = (node: Node & { t: "unit" }) => `${canonical(node.a, "free")} ${node.unit}`;

/** 5 km, where that is to be written in metres. */
function repeatsAmount(answer: Node, gold: Node, amounts: ReadonlySet<string>): boolean {
  const [own, goal] = [withoutName(answer), withoutName(gold)];
  if (own.t !== "unit" || goal.t !== "unit" || typeof unitFactor(own.unit, goal.unit) === "string")
    return false;
  return amounts.has(amountOf(own));
}

export interface QuestionExpressions {
  bySpelling: Record<Spelling, Set<string>>;
  /** Amounts with their units, `5 km` as a text. */
  amounts: Set<string>;
  /** Bare texts of the question and its formulas, for answers that the parser does not read. */
  texts: Set<string>;
}

class Collector implements QuestionExpressions {
  bySpelling = { free: new Set<string>(), close: new Set<string>(), literal: new Set<string>() };
  amounts = new Set<string>();
  texts = new Set<string>();
  private parses = 0;

  add(node: Node): void {
    if (node.t === "relation") for (const part of node.parts) this.add(part);
    if (node.t === "list" || node.t === "tuple") for (const item of node.items) this.add(item);
    if (node.t === "unit") this.amounts.add(amountOf(node));
    if (isPlain(node)) return;
    for (const spelling of spellings)
      for (const text of spell(node, spelling)) this.bySpelling[spelling].add(text);
  }

  /** Adds the expression of a piece of text, or those of its parts where the whole is none. */
  piece(text: string): void {
    if (text.length > MAX_EXPRESSION || !/[-+*/^=<>!|:\\([]/.test(text)) return;
    let whole = false;
    for (const candidate of trimmed(text)) {
      if (candidate === "" || this.parses++ > MAX_PARSES) continue;
      const node = read(candidate);
      if (!node) continue;
      whole ||= candidate.length > 0;
      this.add(node);
    }
    if (whole) return;
    const parts = text.split(/[,;&]|\\\\|[=<>]|\\(?:leq?|geq?|lt|gt|to|approx|equiv)(?![a-z])/);
    if (parts.length > 1) for (const part of parts) this.piece(part);
  }
}

const held = new Map<string, QuestionExpressions>();

function collect(question: string): QuestionExpressions {
  const found = new Collector();
  const text = question.slice(0, MAX_QUESTION).replace(layout, " ");
  found.texts.add(bareText(cleanAnswer(question.slice(0, MAX_QUESTION))));
  const sentences = text.replace(formula, (_, a?: string, b?: string, c?: string) => {
    const inside = a ?? b ?? c ?? "";
    found.texts.add(bareText(cleanAnswer(inside)));
    found.piece(inside);
    const parts = inside.replace(textGroup, "\u0000").split("\u0000");
    if (parts.length > 1) for (const part of parts) found.piece(part);
    return " \u0000 ";
  });
  for (const [amount] of plainCharacters(text).matchAll(amountInSentence)) {
    const node = read(amount);
    if (node?.t === "unit") found.add(node);
  }
  for (const run of runsOf(plainCharacters(sentences))) {
    found.piece(run);
    const options = run.split(optionLetter);
    if (options.length > 1) for (const option of options) found.piece(option);
  }
  found.texts.delete("");
  return found;
}

/** The expressions of a question, in every spelling; found once for the answers to it. */
export function expressionsOf(question: string): QuestionExpressions {
  let found = held.get(question);
  if (!found) {
    found = collect(question);
    if (held.size >= MAX_HELD) held.delete(held.keys().next().value!);
    held.set(question, found);
  }
  return found;
}

/** An answer and what it may claim: itself, what stands behind its name, the items of a list. */
function claimsOf(answer: Node): Node[] {
  const bare = withoutName(answer);
  const items = bare.t === "list" ? bare.items.map(withoutName) : [];
  return [...new Set([answer, bare, ...items])];
}

/**
 * Whether an answer is an expression that the question itself writes out, in whichever spelling: order, signs, roots as
 * powers, unit, name, sides of an equation, factors and terms that cancel. What the gold answer is in the same spelling
 * is none, and neither are numerals.
 */
export function repeatsQuestion(answer: Node, gold: Node, question: string): boolean {
  const { bySpelling, amounts } = expressionsOf(question);
  if (repeatsAmount(answer, gold, amounts)) return true;
  const claims = claimsOf(answer).filter((n) => !isPlain(n));
  const golds = claimsOf(gold);
  for (const spelling of spellings) {
    const asked = bySpelling[spelling];
    if (asked.size === 0) continue;
    const right = new Set(golds.flatMap((n) => spell(n, spelling, true)));
    const repeated = (n: Node) =>
      spell(n, spelling, true).some((text) => asked.has(text) && !right.has(text));
    if (claims.some(repeated)) return true;
    // (x+1)(x+2) = (x+2)(x+1): no side is an answer.
    if (answer.t === "relation" && !assignment(answer) && answer.parts.every(repeated)) return true;
  }
  return false;
}

/** Whether an answer that the parser does not read is the question's text, or one of its formulas. */
export function copiesQuestion(answer: string, question: string): boolean {
  const text = bareText(cleanAnswer(answer));
  return text !== "" && expressionsOf(question).texts.has(text);
}
