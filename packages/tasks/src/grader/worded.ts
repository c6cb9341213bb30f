// Answers in words of English, in the signs that say the same: at least 3, the 21st, 17 remainder 2, 5 March, about 8.66.
import { englishNumeral } from "./words.ts";

/** A number as it may stand behind a word, with or without dollar signs of a formula. */
const NUMBER = String.raw`(-?(?:\d[\d,]*(?:\.\d+)?|\\frac\s*\{-?\d{1,12}\}\s*\{\d{1,12}\}|\\?pi))`;

const BOUNDS: [RegExp, string][] = [
  [
    new RegExp(
      `^(?:at least|no less than|not less than|no fewer than) ${NUMBER}$|^${NUMBER} or (?:more|greater|above|higher)$`,
      "i",
    ),
    "[#,\\infty)",
  ],
  [
    new RegExp(
      `^(?:at most|no more than|not more than|up to) ${NUMBER}$|^${NUMBER} or (?:less|fewer|below|lower)$`,
      "i",
    ),
    "(-\\infty,#]",
  ],
  [new RegExp(`^(?:more than|greater than|larger than|over|above) ${NUMBER}$`, "i"), "(#,\\infty)"],
  [new RegExp(`^(?:less than|fewer than|smaller than|under|below) ${NUMBER}$`, "i"), "(-\\infty,#)"],
];

/** Bounds in words, as the intervals of all numbers within them. */
function bounds(s: string): string {
  for (const [pattern, interval] of BOUNDS) {
    const found = pattern.exec(s);
    if (found) return interval.replace("#", (found[1] ?? found[2]!).replaceAll(",", ""));
  }
  return s;
}

/** Digits that come again and again before dots, as a period: 0.333… */
export const withPeriod = (s: string): string =>
  s.replace(
    /(?<![\d.])(\d{0,12}\.\d{0,12}?)(\d{1,6}?)\2{2,12}\s*(?:\\[lc]?dots|\.{3}|…)/g,
    "$1\\overline{$2}",
  );

/** Words of a range as text of a formula, as plain ones: 3 \\text{ to } 5. */
export const plainRange = (s: string): string =>
  s.replace(/\{?\\text\s*\{\s*(from|to)\s*\}\}?\s*/gi, " $1 ").trim();

/** A sign of rounding before the whole answer: what stands behind it is the answer. */
const ABOUT =
  /^(?:\\(?:approx|sim|simeq|cong)(?![a-zA-Z])|about|approximately|roughly|around|circa|nearly)\s*(?=[-\d\\(.])/i;

const ORDINALS = "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth".split(
  " ",
);

/** Ranks: the 21st is 21. Words are ranks with their article or noun, since a third is a share too, and a second a time. */
function ranks(s: string): string {
  const digits =
    /^(?:the )?(\d{1,9})(?:st|nd|rd|th)(?: (?:place|term|day|position|digit|number|row|column))?$/i.exec(s);
  if (digits) return digits[1]!;
  const word = /^(?:the )?([a-z]{5,8})( (?:place|term|day|position|digit|number|row|column))?$/i.exec(s);
  const rank = word ? ORDINALS.indexOf(word[1]!.toLowerCase()) + 1 : 0;
  const isRank = rank === 1 || (rank > 1 && (/^the /i.test(s) || word![2] !== undefined));
  return isRank ? String(rank) : s;
}

/** Signs and points in words: minus five, two point five. */
function numerals(s: string): string {
  if (/^(?:a )?half$/i.test(s)) return "\\frac{1}{2}";
  const found =
    /^(minus |negative )?([a-z -]{3,60}?)(?: point ((?:zero|one|two|three|four|five|six|seven|eight|nine)(?: (?:zero|one|two|three|four|five|six|seven|eight|nine))*))?$/i.exec(
      s,
    );
  if (!found || (!found[1] && !found[3])) return s;
  const whole = englishNumeral(found[2]!);
  if (whole === undefined || !Number.isInteger(whole)) return s;
  const decimals = (found[3] ?? "")
    .split(" ")
    .filter((word) => word !== "")
    .map((word) => englishNumeral(word))
    .join("");
  return `${found[1] ? "-" : ""}${whole}${decimals === "" ? "" : `.${decimals}`}`;
}

const MONTHS = "january february march april may june july august september october november december".split(
  " ",
);
const MONTH = `(${MONTHS.map((m) => `${m.slice(0, 3)}(?:${m.slice(3)})?`).join("|")})\\.?`;
const DAY = String.raw`(\d{1,2})(?:st|nd|rd|th)?`;
const YEAR = String.raw`(?:,? (\d{4}))?`;
const MONTH_FIRST = new RegExp(`^${MONTH} ${DAY}${YEAR}$`, "i");
const DAY_FIRST = new RegExp(`^${DAY} (?:of )?${MONTH}${YEAR}$`, "i");

/** Days of the calendar, in one form. */
function dates(s: string): string {
  const a = MONTH_FIRST.exec(s);
  const b = a ? null : DAY_FIRST.exec(s);
  const [month, day, year] = a ? [a[1]!, a[2]!, a[3]] : b ? [b[2]!, b[1]!, b[3]] : [];
  if (month === undefined || day === undefined) return s;
  const name = MONTHS.find((m) => m.startsWith(month.toLowerCase().slice(0, 3)))!;
  return `\\text{date ${name} ${Number(day)}${year === undefined ? "" : ` ${year}`}}`;
}

/** Quotients with a remainder, in one form: a remainder left out is another answer. */
function remainders(s: string): string {
  return s.replace(
    /^(\d{1,12})\s*,?\s*(?:with )?(?:\\text\s*\{\s*)?(?:(?:a )?remainder(?: of)?|rem\.?|R\.?|r\.?)\s*(?:\})?\s*(\d{1,12})$/,
    "\\text{$1 remainder $2}",
  );
}

/** Amounts of two units that "and" joins: 3 dollars and 50 cents. */
const TWO_UNITS =
  /^(\d{1,9} (?:dollars?|euros?|pounds?|hours?|minutes?|feet|foot|yards?|meters?|metres?|kilograms?|kg|km|years?|weeks?|days?)),? and (\d{1,9} (?:cents?|minutes?|seconds?|inches|inch|feet|foot|centimeters?|cm|grams?|g|m|months?|days?|hours?|ounces?))$/i;

/** Feet and inches by their marks; a mark of feet alone may be a minute of arc, or a derivative. */
const FEET = /^(\d{1,4})\s*'\s*(\d{1,2}(?:\.\d{1,4})?)\s*(?:''|")$/;

/** Names before an equals sign that the parser reads as something else: inverses, compositions, probabilities of events. */
const HEADS = new RegExp(
  String.raw`^(?:[a-zA-Z]\s*\^\s*\{\s*-1\s*\}\s*\(\s*[a-z]\s*\)` +
    String.raw`|\(\s*[a-z]\s*\\circ\s*[a-z]\s*\)\s*\(\s*[a-z]\s*\)` +
    String.raw`|(?:P|Pr|\\Pr|\\mathbb\s*\{?P\}?|\\mathrm\{P\})\s*\(\s*[A-Z]\s*(?:=|<|>|\\leq?|\\geq?|\|)\s*[^()=]{1,20}\)` +
    String.raw`|\\lim\s*_\s*\{[^{}]{1,30}\}\s*[a-z]\s*\(\s*[a-z]\s*\)` +
    String.raw`|\\det\s*\(?\s*[A-Z]\s*\)?` +
    String.raw`|[AVS]_\s*\{?\\(?:triangle|text\{[^{}]{1,20}\})\s*[A-Z]{0,4}\s*\}?)\s*=\s*(?=[^=<>]+$)`,
);

const INTEGERS = String.raw`(?:\\in\s*\\mathbb\s*\{?\s*Z\s*\}?|(?:\\text\s*\{\s*)?(?:is|an|any|integer|\s)*\bintegers?\b(?:\s*\})?)`;
const PARAMETER = new RegExp(
  String.raw`\s*[,;]?\s*\(?\s*(?:\\text\s*\{\s*)?(?:where |for (?:any |all |some |integer |every )?|with )?(?:\})?\s*\$?([kmn])\$?\s*${INTEGERS}\s*\)?$`,
);

/** A general solution by the letter k, whatever letter counts its integers. */
function parameters(s: string): string {
  const found = PARAMETER.exec(s);
  if (!found) return s;
  const own = found[1]!;
  const rest = s.slice(0, found.index);
  if (rest.trim() === "" || (own !== "k" && /(?<![a-zA-Z\\])k(?![a-zA-Z])/.test(rest))) return s;
  return rest
    .replace(new RegExp(`(?<![a-zA-Z\\\\])${own}(?![a-zA-Z])`, "g"), "k")
    .replace(/(?<=\d)[mn](?=\\pi)/g, "k");
}

const LIGHT_YEARS = /(?<=\d\s*)light[- ]years?/i;

const SETS: [RegExp, string][] = [
  [/^(?:the set of )?(?:all |the )?integers$/i, "\\mathbb{Z}"],
  [/^(?:the set of )?(?:all |the )?natural numbers$/i, "\\mathbb{N}"],
  [/^(?:the set of )?(?:all |the )?rational numbers$/i, "\\mathbb{Q}"],
];

/** The spelling that the parser reads. */
export function worded(s: string): string {
  let out = (s.length < 80 ? plainRange(s) : s).replace(ABOUT, "").replace(HEADS, "").replace(/ {2,}/g, " ");
  if (!/[a-zA-Z'Z]/.test(out)) return out;
  out = parameters(out)
    .replace(TWO_UNITS, "$1 $2")
    .replace(FEET, "$1 ft $2 in")
    .replace(LIGHT_YEARS, " lightyear");
  for (const [pattern, set] of SETS) out = out.replace(pattern, () => set);
  const inner = /^\\text\s*\{([^{}]{1,80})\}$/.exec(out)?.[1]?.trim() ?? out;
  const said = dates(remainders(numerals(ranks(bounds(inner)))));
  return said === inner ? out : said;
}
