// Whole answers in notations of their own: numbers in bases with letters, congruences, sets by their condition.
import type { Node } from "./node.ts";
import { joinedUnion, jointSet } from "./sets.ts";
import { asInterval } from "./shape.ts";

const basedNumber =
  /^(?:\\(?:text|mathrm|overline|mathtt|texttt)\s*\{\s*)?(?=[\dA-Z]*[A-Z])([\dA-Z]{1,60})(?:\s*\})?\s*_\s*\{?\s*(\d{1,2})\s*\}?$/;

/** 2A₁₂, FF in base 16: digits beyond 9 are capitals. */
function basedLetters(clean: string): Node | undefined {
  const found = basedNumber.exec(clean);
  const base = Number(found?.[2] ?? 0);
  if (!found || base < 11 || base > 36) return undefined;
  let value = 0n;
  for (const c of found[1]!) {
    const digit = Number.parseInt(c, 36);
    if (digit >= base) return undefined;
    value = value * BigInt(base) + BigInt(digit);
  }
  return { t: "based", value: { p: value, q: 1n }, digits: found[1]!, base };
}

const modulus =
  /\s*(?:\\[bp]mod\s*(?:\{\s*(\d{1,12})\s*\}|(\d{1,12}))|\(?\s*\\?(?:text\s*\{\s*)?mod\s*\}?\s*(\d{1,12})\s*\)?)$/;

/** x ≡ 3 (mod 7), with or without its name, as a call of the residue and the modulus. */
function congruence(clean: string, parse: (text: string) => Node | undefined): Node | undefined {
  const found = clean.length < 200 && clean.includes("mod") ? modulus.exec(clean) : null;
  if (!found) return undefined;
  const head = clean.slice(0, found.index).trim();
  const sides = head.split(/\\equiv(?![a-z])|=/);
  if (sides.length > 2) return undefined;
  const parsed = sides.map(parse);
  if (parsed.some((n) => !n)) return undefined;
  const name = sides.length === 2 ? parsed[0]! : undefined;
  if (name && name.t !== "sym") return undefined;
  const m = found[1] ?? found[2] ?? found[3]!;
  const size: Node = { t: "num", value: { p: BigInt(m), q: 1n }, decimals: 0, digits: m.length };
  return { t: "call", fn: "mod", args: [parsed.at(-1)!, size, ...(name ? [name] : [])] };
}

const builder =
  /^\\?\{\s*([a-zA-Z])\s*(?:\\in\s*(?:\\mathbb\s*\{?\s*R\s*\}?|R))?\s*(?:\\mid|\\vert|\\colon|[|:])\s*(.{1,300}?)\s*\\?\}$/;

/** {x | x > 2}: the set that its condition describes. */
function setBuilder(clean: string, parse: (text: string) => Node | undefined): Node | undefined {
  const found = builder.exec(clean);
  const condition = found && parse(found[2]!);
  if (!condition) return undefined;
  if (condition.t === "list") return jointSet(condition);
  if (condition.t === "union") return joinedUnion(condition);
  const set = asInterval(condition);
  return set?.t === "union" ? (joinedUnion(set) ?? set) : set;
}

/** The reading of an answer in such a notation; undefined for others. */
export function specialReading(clean: string, parse: (text: string) => Node | undefined): Node | undefined {
  return basedLetters(clean) ?? congruence(clean, parse) ?? setBuilder(clean, parse);
}
