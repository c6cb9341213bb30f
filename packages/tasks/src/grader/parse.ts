// Parses the shapes of answers: lists, relations, unions, ratios; expressions are in parse-expression.ts.
import { cleanAnswer } from "./clean.ts";
import { functionNames, type Token, tokenize } from "./lex.ts";
import { Unreadable } from "./limits.ts";
import type { Node, RelationOp } from "./node.ts";
import { ExpressionParser } from "./parse-expression.ts";
import { decimal } from "./rational.ts";
import { phrase } from "./respell.ts";
import { specialReading } from "./special.ts";
import { unitName } from "./units.ts";
import { chineseNumeral, englishNumeral, englishShare } from "./words.ts";

const relationCommands: Record<string, RelationOp> = {
  le: "<=",
  leq: "<=",
  leqslant: "<=",
  lt: "<",
  ge: ">=",
  geq: ">=",
  geqslant: ">=",
  gt: ">",
  ne: "!=",
  neq: "!=",
  approx: "~",
  simeq: "~",
  sim: "~",
  in: "in",
  equiv: "=",
  to: "=",
  mapsto: "=",
  rightarrow: "=",
};
const relationSigns: Record<string, RelationOp> = {
  "=": "=",
  "<": "<",
  ">": ">",
  "<=": "<=",
  ">=": ">=",
  "!=": "!=",
};

/** Signs that join like = but assert no equality: a congruence, a limit, a mapping. */
const looseCommands = new Set(["equiv", "to", "mapsto", "rightarrow"]);

class AnswerParser extends ExpressionParser {
  /** Items separated by commas, semicolons and "and"/"or"; semicolons bind weakest where both occur. */
  override parseList(): Node {
    const groups: Node[][] = [[]];
    let [commas, semicolons, ors] = [0, 0, 0];
    if (this.atEnd()) return { t: "list", items: [], form: "list" };
    for (;;) {
      groups.at(-1)!.push(this.parseRelation());
      let separated = false;
      let semicolon = false;
      for (;;) {
        if (this.skipOp(",")) commas++;
        else if (this.skipOp(";")) semicolon = true;
        else if (this.peek()?.t === "and") {
          const word = this.next() as Token & { t: "and" };
          commas++;
          if (word.or) ors++;
        } else break;
        separated = true;
      }
      if (semicolon) semicolons++;
      if (!separated || this.atEnd() || this.closes()) break;
      if (semicolon) groups.push([]);
    }
    const all = groups.flat();
    // x < 1 or x > 2 is one set.
    if (ors > 0 && ors === commas && semicolons === 0 && all.every(isInequality))
      return { t: "union", op: "union", parts: all };
    if (commas === 0 || semicolons === 0) return wrap(all);
    const same = groups.every((g) => g.length === groups[0]!.length) && groups[0]!.length > 1;
    if (!same) return wrap(groups.flat());
    return wrap(groups.map((items) => ({ t: "tuple", items, open: "(", close: ")" })));
  }

  override parseRelation(): Node {
    const parts = [this.parseUnion()];
    const ops: RelationOp[] = [];
    let loose = false;
    for (;;) {
      const sign = this.peek();
      const op = this.relationOp();
      if (!op) break;
      loose ||= sign?.t === "cmd" && looseCommands.has(sign.name);
      // A chain may end in its sign ("x =") or start a new line of working ("= \\\\ ="): take the value that is there.
      if (this.atEnd() || this.closes()) break;
      ops.push(op);
      parts.push(this.parseUnion());
    }
    if (ops.length === 0) return parts[0]!;
    return { t: "relation", parts, ops, ...(loose ? { loose } : {}) };
  }

  private relationOp(): RelationOp | undefined {
    const token = this.peek();
    if (token?.t === "op") {
      const op = relationSigns[token.text];
      if (!op) return undefined;
      this.next();
      if ((op === "<" || op === ">") && this.skipOp("=")) return op === "<" ? "<=" : ">=";
      return op;
    }
    if (token?.t === "cmd" && token.name in relationCommands) {
      this.next();
      return relationCommands[token.name];
    }
    if (token?.t === "cmd" && token.name === "not") {
      this.next();
      if (this.skipOp("=")) return "!=";
    }
    return undefined;
  }

  private parseUnion(): Node {
    const parts = [this.parseRatio()];
    let op: "union" | "intersection" | "difference" | undefined;
    for (;;) {
      const token = this.peek();
      const name = token?.t === "cmd" ? token.name : "";
      const next =
        name === "cup" || name === "bigcup"
          ? "union"
          : name === "cap"
            ? "intersection"
            : name === "setminus" || name === "backslash"
              ? "difference"
              : undefined;
      if (!next) break;
      if (op && next !== op) throw new Unreadable("mixed set operations");
      op = next;
      this.next();
      parts.push(this.parseRatio());
    }
    return op ? { t: "union", op, parts } : parts[0]!;
  }

  private parseRatio(): Node {
    const parts = [this.parseSum()];
    while (this.skipOp(":")) parts.push(this.parseSum());
    return parts.length > 1 ? { t: "ratio", parts } : parts[0]!;
  }
}

const isInequality = (n: Node): boolean =>
  n.t === "relation" && n.ops.every((op) => op === "<" || op === ">" || op === "<=" || op === ">=");

function wrap(items: Node[]): Node {
  return items.length === 1 ? items[0]! : { t: "list", items, form: "list" };
}

/** An answer of words only, or nothing. */
function wordsOnly(tokens: readonly Token[]): string | undefined {
  const words: string[] = [];
  let letters = 0;
  for (const token of tokens) {
    if (token.t === "word") words.push(token.text);
    else if (token.t === "and") words.push("and");
    else if (token.t === "sym" && token.name.length === 1) {
      words.push(token.name);
      letters++;
    } else if (token.t === "op" && token.text === ",") words.push(",");
    else if (!(token.t === "op" && "{},;.-'!&%:()".includes(token.text))) return undefined;
  }
  return words.filter((word) => word !== ",").length > letters ? words.join(" ") : undefined;
}

export interface Parsed {
  /** Readings of the answer, the likeliest first. */
  readings: Node[];
}

const MAX_LENGTH = 1500;
const introduction =
  /^(?:the\s+)?(?:solution|answer|result)s?(?:\s+set)?\s*(?:(?:is|are)\s*:?|:)\s*|^(?:after|about|approximately|around|roughly)\s+(?=[\d\\])/i;

/** Readings of an answer, without the letter of a choice unless it counts. Throws Unreadable or TooMuchWork, with the reason. */
export function parseAnswer(raw: string, keepLabel = false): Parsed {
  if (raw.length > MAX_LENGTH) throw new Unreadable("the answer is too long");
  const value = bareValue(raw);
  const clean = (keepLabel ? undefined : labelled(value)?.rest) ?? value;
  const parsed = parsePeriods(clean);
  return price.test(raw) ? { readings: parsed.readings.map(inDollars) } : parsed;
}

/** $18.90: a sign in front that no other closes. */
const price = /^\s*(?:\\\$|\$(?![^$]*\$))\s*-?[\d.,]+\s*$/;
const inDollars = (node: Node): Node => (node.t === "num" ? { t: "unit", a: node, unit: "dollar" } : node);

/** 9 (apples): a note behind a number says what it counts. */
const note = /^\p{L}[\p{L}\s.'-]{1,40}$/u;
const remark = /\b(?:not?|or|and|wrong|incorrect|false|maybe|approx|rounded|mod)\b/i;

function withoutNote(clean: string): string {
  const open = clean.lastIndexOf("(");
  if (open < 0 || !clean.endsWith(")")) return clean;
  const [value, words] = [clean.slice(0, open), clean.slice(open + 1, -1)];
  // f(x) and 2(a) are no notes: the words have three letters.
  const counts = note.test(words) && /\p{L}{3}/u.test(words) && !remark.test(words);
  return counts && !functionNames.has(words.trim()) && /^[^()]*\d[^()]*$/.test(value) ? value.trim() : clean;
}

/** (B) 13: the letter of a choice before its value, with a blank between them or in letters of its own; (A)-2 is a product or a difference. */
const label = /^(?:\\text(?:bf|rm|it)?\s*\{\s*\(([A-J])\)\s*\}\s*|\(([A-J])\)\s+)(?=\\|\d|[+-](?!\s))/;

interface Labelled {
  label: string;
  rest: string;
}

function labelled(clean: string): Labelled | undefined {
  const found = label.exec(clean);
  if (!found) return undefined;
  const rest = clean
    .slice(found[0].length)
    .replace(/^(?:\\\s)+/, "")
    .trim();
  if (rest === "" || /^[*^_/=<>]|^\\(?:cdot|times|cup|cap|le|ge|in|pm)(?![a-z])/.test(rest)) return undefined;
  return { label: (found[1] ?? found[2])!, rest };
}

/** The clean answer without words that introduce it and without a note behind it. */
const bareValue = (raw: string): string =>
  withoutNote(cleanAnswer(cleanAnswer(raw).replace(introduction, "")));

/** The letter of the choice that stands before an answer's value. */
export function labelOf(raw: string): string | undefined {
  return raw.length <= MAX_LENGTH && /\([A-J]\)/.test(raw) ? labelled(bareValue(raw))?.label : undefined;
}

/** 0.1(6) is a repeating decimal or a product: both are read. */
function parsePeriods(clean: string): Parsed {
  const repeating = clean.replace(/(\d\.\d+)\((\d{1,20})\)/g, "$1\\overline{$2}");
  if (repeating === clean) return parseClean(clean);
  const { readings } = parseClean(repeating);
  try {
    return { readings: [...readings, ...parseClean(clean).readings] };
  } catch (error) {
    if (!(error instanceof Unreadable)) throw error;
    return { readings };
  }
}

function parseClean(clean: string): Parsed {
  if (clean === "") throw new Unreadable("the answer is empty");
  const numeral = numeralOf(clean);
  if (numeral) return { readings: [numeral] };
  const said = phrase(clean);
  if (said !== undefined) return { readings: [{ t: "text", words: said }] };
  const special = specialReading(clean, parsePart);
  if (special) return { readings: [special] };
  const tokens = tokenize(clean);
  const readings: Node[] = [];
  let failure: unknown;
  try {
    const parser = new AnswerParser(tokens);
    const node = parser.parseList();
    if (!parser.atEnd()) throw new Unreadable(`unexpected ${describe(parser.peek()!)}`);
    readings.push(node);
  } catch (error) {
    if (!(error instanceof Unreadable)) throw error;
    failure = error;
  }
  // A decimal comma with two digits or more behind it and no blank: 2,74 is also 2.74. 2,5 lists two values.
  const comma = /^([+-]?\d+),(\d{2,})\s*\D{0,12}$/.exec(clean);
  if (comma && readings[0]?.t === "list") {
    const value = decimal(`${comma[1]!.replace(/^[+-]/, "")}.${comma[2]!}`);
    const digits = comma[2]!.length;
    const node: Node = { t: "num", value, decimals: digits, digits: comma[1]!.length + digits };
    readings.push(comma[1]!.startsWith("-") ? { t: "neg", a: node } : node);
  }
  if (readings.length === 1) readings.push(...withLetterUnit(clean));
  if (readings.length > 0) return { readings };
  const words = wordsOnly(tokens);
  if (words) return { readings: [{ t: "text", words }] };
  throw failure;
}

/** 1,000.99 m², 10 m/s: letters behind a number that may be a unit. */
function withLetterUnit(clean: string): Node[] {
  const trailing =
    /^(.*[\d}])\s*(m|s|g|h|L|l|N|J|W|V|K|C|F)(?:\^\{?[23]\}?|\s*\/\s*(s|h|m|min|sec|hr)(\^\{?[23]\}?)?)?$/.exec(
      clean,
    );
  const node = trailing && parsePart(trailing[1]!);
  if (!node) return [];
  const per = trailing[3] ? `/${unitName(trailing[3])}${(trailing[4] ?? "").replace(/[{}]/g, "")}` : "";
  const unit = per === "" && /\d\}?$/.test(clean) ? "" : `${unitName(trailing[2]!)}${per}`;
  return [unit ? { t: "unit", a: node, unit } : node];
}

/** The first reading of a part of an answer; undefined where there is none. */
function parsePart(text: string): Node | undefined {
  try {
    const parser = new AnswerParser(tokenize(text));
    const node = parser.parseList();
    return parser.atEnd() ? node : undefined;
  } catch (error) {
    if (error instanceof Unreadable) return undefined;
    throw error;
  }
}

function numeralOf(clean: string): Node | undefined {
  if (/[\u4e00-\u9fff]/.test(clean)) {
    const bare = clean.replace(/^(?:约|大约|共|一共|是|为|等于)+/, "").replace(/\s+/g, "");
    for (let end = bare.length; end > 0 && end >= bare.length - 6; end--) {
      const value = chineseNumeral(bare.slice(0, end));
      if (!value) continue;
      const rest = bare.slice(end);
      // 九十二加零 is a sum, and 加 no unit.
      if (/^[加减減乘除]/.test(rest)) return undefined;
      if (rest !== "" && !/^[\p{L}\d^²³/]+$/u.test(rest)) return undefined;
      if (/^\d+$/.test(bare.slice(0, end))) return undefined;
      return { t: "num", value, decimals: 0, digits: 1 };
    }
    return undefined;
  }
  if (!/^(?:\d{1,9} and )?[a-zA-Z]/.test(clean) || clean.length > 80) return undefined;
  const percent = /^(.{2,60}?)\s+per\s?cent$/i.exec(clean);
  const share = percent && numeralOf(percent[1]!);
  if (share) return { t: "percent", a: share };
  const value = englishNumeral(clean);
  if (value === undefined) {
    const part = englishShare(clean);
    return part && { t: "num", value: part, decimals: 0, digits: 1 };
  }
  return { t: "num", value: decimal(String(value)), decimals: 0, digits: 1 };
}

function describe(token: Token): string {
  return token.t === "and" ? '"and"' : JSON.stringify("text" in token ? token.text : token.name);
}
