// Which marks of a text tell it apart from another: operators, signs, brackets, and punctuation where it is part of a
// number or a formula. And one form of a text whatever it was encoded as.

const ALWAYS = /[\p{Sm}\p{Sc}\p{So}\p{Sk}\p{Ps}\p{Pe}#%&*/@\\_·′″‴‖‰]/u;
/** Marks that are signs by what stands around them. */
const DASHES = /[-‐‑‒–—―−]/;
const BETWEEN_DIGITS = ".,:";
const AFTER_VALUE = "!'’";

const UNITED: Record<string, string> = {
  "‐": "-",
  "‑": "-",
  "‒": "-",
  "–": "-",
  "—": "-",
  "―": "-",
  "−": "-",
  "∗": "*",
  "⋅": "·",
  "∙": "·",
  "✕": "×",
  "⁄": "/",
  "∕": "/",
  "’": "'",
  "′": "'",
  "∶": ":",
};

/** What a mark is to `signAt`. */
const NEVER = 0;
const SIGN = 1;
const DASH = 2;
const POINT = 3;
const POSTFIX = 4;

const OTHER = 0;
const DIGIT = 1;
const LETTER = 2;
const CLOSE = 3;

/** What each code unit is as a mark, and as a neighbour of one. */
let made: { mark: Uint8Array; neighbour: Uint8Array } | undefined;

function tables(): { mark: Uint8Array; neighbour: Uint8Array } {
  if (made) return made;
  const mark = new Uint8Array(0x10000);
  const neighbour = new Uint8Array(0x10000);
  for (let unit = 0; unit < 0x10000; unit++) {
    const c = String.fromCharCode(unit);
    if (DASHES.test(c)) mark[unit] = c === "−" ? SIGN : DASH;
    else if (BETWEEN_DIGITS.includes(c)) mark[unit] = POINT;
    else if (AFTER_VALUE.includes(c)) mark[unit] = POSTFIX;
    else mark[unit] = ALWAYS.test(c) ? SIGN : NEVER;
    if (/\p{Nd}/u.test(c)) neighbour[unit] = DIGIT;
    else if (/\p{L}/u.test(c)) neighbour[unit] = LETTER;
    else neighbour[unit] = ")]}".includes(c) ? CLOSE : OTHER;
  }
  made = { mark, neighbour };
  return made;
}

/** What stands at a place; OTHER beyond the text. */
const kindAt = (text: string, at: number): number =>
  at < 0 || at >= text.length ? OTHER : tables().neighbour[text.charCodeAt(at)]!;
const isDigit = (text: string, at: number): boolean => kindAt(text, at) === DIGIT;
const isLetter = (text: string, at: number): boolean => kindAt(text, at) === LETTER;
const endsValue = (text: string, at: number): boolean => {
  const kind = kindAt(text, at);
  return kind === DIGIT || kind === CLOSE;
};

/** A letter that stands alone: a variable. */
function isVariable(text: string, at: number): boolean {
  return isLetter(text, at) && !isLetter(text, at - 1) && !isLetter(text, at + 1);
}

function isMinus(text: string, at: number): boolean {
  const next = text[at + 1] === " " ? at + 2 : at + 1;
  const before = text[at - 1] === " " ? at - 2 : at - 1;
  const value = (i: number) => isDigit(text, i) || isVariable(text, i);
  if (value(next) || /[(\\$.[{√]/.test(text[next] ?? "")) {
    // "take -5" has a sign, "covid-19" and "a fact - 5 people" have none.
    const unary = text[at - 1] === " " && text[at + 1] !== " ";
    return unary || !(isLetter(text, before) && !isVariable(text, before));
  }
  return endsValue(text, before) && text[at + 1] !== " " && !isLetter(text, at + 1);
}

/** The sign that the mark at `at` is, in UTF-16; 0 for punctuation. */
export function signAt(text: string, at: number): number {
  const c = text[at]!;
  switch (tables().mark[text.charCodeAt(at)]) {
    case SIGN:
      break;
    case DASH:
      if (!isMinus(text, at)) return 0;
      break;
    case POINT:
      if (!isDigit(text, at - 1) || !isDigit(text, at + 1)) return 0;
      break;
    case POSTFIX:
      if (
        isLetter(text, at + 1) ||
        !(endsValue(text, at - 1) || isVariable(text, at - 1) || text[at - 1] === c)
      )
        return 0;
      break;
    default:
      return 0;
  }
  return (UNITED[c] ?? c).charCodeAt(0);
}

/** What no one sees, and marks that only choose a glyph. */
const INVISIBLE = /\p{Cf}|\p{Variation_Selector}|\u034f|\u115f|\u1160|\u3164|\uffa0|\u2800/gu;
/** Characters that are others in another shape. Powers, indices, fractions and circled numbers are not among them. */
const SHAPES =
  /[\u3000\uff00-\uffef\ufb00-\ufdff\ufe10-\ufeff\u{1d400}-\u{1d7ff}\u00b5\u212a\u212b\u2126\u2000-\u200a\u202f\u205f\u00a0\u017f\u2116]+/gu;

/** A text without invisible marks, composed, and with every letter and digit in its ordinary shape. */
export function canonicalText(text: string): string {
  if (/^[\x00-\x7f]*$/.test(text)) return text;
  return text
    .replace(INVISIBLE, "")
    .normalize("NFC")
    .replace(SHAPES, (run) => run.normalize("NFKC"));
}
