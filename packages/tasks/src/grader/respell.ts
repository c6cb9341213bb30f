// Answers in words and marks of other habits, spelled as the parser reads them: 30°15', ₅C₂, 3·10^4 with a letter x, vectors by i and j.

import { worded } from "./worded.ts";

const FUNCTION_WORDS =
  /^(?:sin|cos|tan|cot|sec|csc|log|ln|exp|sqrt|pi|alpha|beta|gamma|theta|over|squared|cubed|plus|minus|times|divided|root|base|mod|per|to|or)$/i;

/** An amount, as far as it can stand before a unit. */
const COEFFICIENT = String.raw`(?:\d+(?:\.\d+)?|\\frac\s*\{[^{}]{1,20}\}\s*\{[^{}]{1,20}\}|[a-z]|\\sqrt\s*\{?[^{}]{1,10}\}?)`;
const TERM = new RegExp(
  String.raw`\s*([+-]?)\s*(${COEFFICIENT}?)\s*(?:\\,|\*|\\cdot)?\s*\\(?:mathbf|vec|hat|boldsymbol|bm)\s*(?:\{\s*(?:\\mathbf\s*\{?)?|\s)\s*\\?([ijk])(?:math)?\s*\}{0,2}`,
  "y",
);

/** 3i + 4j in the letters of vectors, as (3, 4). */
function vector(s: string): string {
  if (!/\\(?:mathbf|vec|hat|boldsymbol|bm)\s*\{?\s*\\?[ijk]/.test(s)) return s;
  const found = new Map<string, string>();
  TERM.lastIndex = 0;
  for (let at = 0; at < s.length; at = TERM.lastIndex) {
    const term = TERM.exec(s);
    if (!term || found.has(term[3]!) || (at > 0 && term[1] === "")) return s;
    found.set(term[3]!, `${term[1] === "-" ? "-" : ""}${term[2] === "" ? "1" : term[2]}`);
    TERM.lastIndex = term.index + term[0].length;
  }
  if (found.size < 2) return s;
  const axes = found.has("k") ? ["i", "j", "k"] : ["i", "j"];
  return `(${axes.map((axis) => found.get(axis) ?? "0").join(",")})`;
}

/** Degrees with minutes and seconds of arc, and with the letter of a temperature. */
function degrees(s: string): string {
  const circ = String.raw`\s*\^\s*\{?\s*\\circ\s*\}?\s*`;
  return s
    .replace(/(?<=\d)\s*\^\s*(?:\{\s*o\s*\}|o(?![a-z]))/g, "^\\circ ")
    .replace(
      new RegExp(
        String.raw`(?<![\d.])(\d{1,4})${circ}(\d{1,2})\s*'(?!')(?:\s*(\d{1,2}(?:\.\d{1,6})?)\s*'')?`,
        "g",
      ),
      (_, d: string, m: string, sec: string | undefined) =>
        `{(${d}+\\frac{${m}}{60}${sec === undefined ? "" : `+\\frac{${sec}}{3600}`})}^\\circ `,
    )
    .replace(
      new RegExp(
        String.raw`(?<=\d)${circ}(?:([CF])(?![a-zA-Z])|\\(?:text|mathrm|rm)\s*\{\s*([CF])\s*\})`,
        "g",
      ),
      (_, a?: string, b?: string) => ` \\text{${(a ?? b) === "C" ? "celsius" : "fahrenheit"}} `,
    );
}

/** Digits in groups of other habits: 1.000.000, 12,34,567, 1_000, and (1,000), which is no pair since no coordinate begins with 0. */
function groups(s: string): string {
  return s
    .replace(/(?<![\d.,])[1-9]\d{0,2}(?:\.\d{3}){2,}(?:,\d{1,6})?(?![\d.,])/g, (n) =>
      n.replaceAll(".", "").replace(",", "."),
    )
    .replace(/(?<![\d.,])\d{1,2}(?:,\d{2}){1,5},\d{3}(?![\d,])/g, (n) => n.replaceAll(",", ""))
    .replace(/(?<![\d._])[1-9]\d{0,2}(?:_\d{3})+(?![\d_])/g, (n) => n.replaceAll("_", ""))
    .replace(/(?<![\d.,])[1-9]\d{0,2}(?:,\d{3})+(?![\d,])/g, (n) =>
      /,0\d\d/.test(n) ? n.replaceAll(",", "") : n,
    );
}

const BASES = "two three four five six seven eight nine ten eleven twelve".split(" ");
const CODES: Record<string, number> = { b: 2, o: 8, x: 16 };

/** Bases in words and in the letters of programs: 1010 (base 2), 1010_{\text{two}}, 0x1F. */
function bases(s: string): string {
  const number = (base: string) => (/^\d/.test(base) ? base : String(BASES.indexOf(base.toLowerCase()) + 2));
  const word = `(\\d{1,2}|${BASES.join("|")})`;
  return s
    .replace(
      new RegExp(
        String.raw`(?<=[\dA-Za-z]\)?)\s*_\s*\{?\s*(?:\\(?:text|mathrm)\s*\{)?\s*${word}\s*\}{1,2}`,
        "i",
      ),
      (_, base: string) => `_{${number(base)}}`,
    )
    .replace(
      new RegExp(
        String.raw`^([\dA-Z]{1,60})\s*,?\s*\(?(?:\\text\s*\{)?\s*(?:in\s+)?base[ -]\s*${word}\s*\}?\)?$`,
        "i",
      ),
      (_, digits: string, base: string) => `${digits}_{${number(base)}}`,
    )
    .replace(/^0([box])([\da-f]{1,60})$/i, (all, code: string, digits: string) =>
      code.toLowerCase() === "b" && /[^01]/.test(digits)
        ? all
        : `${digits.toUpperCase()}_{${CODES[code.toLowerCase()]}}`,
    )
    .replace(/^\(\s*([\dA-F]{1,60})\s*\)\s*_/, "$1_");
}

/** ₅C₂ and its like: numbers of combinations and permutations by their letters. */
function combinations(s: string): string {
  const script = (mark: string) => String.raw`${mark}\s*(?:\{\s*(\w{1,4})\s*\}|(\w))`;
  return s.replace(
    new RegExp(
      String.raw`(?:\{\s*\}\s*)?(?:${script("_")}|${script("\\^")})\s*(?:\\(?:mathrm|text)\s*\{\s*)?([CP])(?:\s*\})?\s*${script("_")}`,
      "g",
    ),
    (_, a?: string, b?: string, c?: string, d?: string, letter?: string, e?: string, f?: string) => {
      const [n, k] = [a ?? b ?? c ?? d!, e ?? f!];
      return letter === "C" ? `\\binom{${n}}{${k}}` : `\\frac{(${n})!}{(${n}-${k})!}`;
    },
  );
}

const NEGATIVE = /\b(?:not?|never|isn't|aren't|less|more|than|least|most|between|unless|if)\b/i;

/** The answer behind words that say what it is: \text{Area} = 5, the area is 5. */
function introduced(s: string): string {
  const found =
    /^\\text\s*\{([^{}\\$]{1,60}?)(?:\s+(?:is|are|equals)\s*:?\s*\}|\}\s*(?:=|:(?!=)))\s*(?=[\d\\$({[+-])/.exec(
      s,
    ) ?? /^((?:the|its|their|his|her)\s[a-z' -]{1,60}?)\s+(?:is|are|equals)\s*:?\s+(?=[\d\\$({[+-])/i.exec(s);
  if (!found || NEGATIVE.test(found[1]!) || !/[a-z]{3}/i.test(found[1]!)) return s;
  return s.slice(found[0].length);
}

/** Signs and words between numbers. */
function between(s: string): string {
  return s
    .replace(/(?<=\d)\s*[xX]\s*(?=10\s*\^)|(?<=\d) [xX] (?=\d)/g, "\\times ")
    .replace(/(\\mathbb\s*\{?\s*R\s*\}?)\s*(?:-|\\backslash|\/)\s*(?=\\\{)/g, "$1\\setminus ")
    .replace(/‰/g, "/1000")
    .replace(/:=/g, "=")
    .replace(/^\+\s*-\s*(?=[\d\\])|^plus or minus\s+(?=[\d\\])/i, "\\pm ")
    .replace(/^(\d{1,12}) (?:out of(?: every)?|in every|in) (\d{1,12})$/i, "\\frac{$1}{$2}")
    .replace(/\\triangle\s*(?=[A-Z])/g, "triangle ")
    .replace(/(?<=\d )(?:sq\.? ?|square )(ft|m|cm|km|in|mi|yd)\.?$/i, "square $1")
    .replace(/^(?:from )?(\d{1,12}) to (\d{1,12})$/i, "$1:$2")
    .replace(/(?<=\d)\s*\/\s*(?=(?:hours?|minutes?|days?|weeks?|months?|years?|persons?)$)/i, " per ")
    .replace(/(?<=\d)\s*h(?:rs?)?\.?\s+(?=\d{1,2}\s*m(?:in)?(?:ute)?s?\.?$)/i, " hours ")
    .replace(/(?<= hours \d{1,2})\s*m$/i, " min")
    .replace(
      /(?<=\d)\s*(?:\\mu|μ)\s*(?:\\(?:text|mathrm)\s*\{\s*)?m(?:\s*\})?(?![a-zA-Z])/g,
      "\\text{ micrometer}",
    );
}

/** A clock's time with its half of the day, in one form. */
function clock(s: string): string {
  return s.replace(
    /^(?:\\text\s*\{)?\s*(\d{1,2})(?::(\d\d))?\s*(?:\\text\s*\{)?\s*([ap])\.?\s*m\.?\s*\}?$/i,
    (all, h: string, m: string | undefined, half: string) =>
      Number(h) < 1 || Number(h) > 12
        ? all
        : `\\text{clock ${Number(h)} ${m ?? "00"} ${half.toLowerCase()}m}`,
  );
}

/** Currencies written before a number by their codes. */
const CURRENCY = /^(?:USD|EUR|GBP|INR|Rs\.?)\s*(?=\d)/;

/** The spelling that the parser reads; `s` is clean but for this. */
export function respelled(s: string): string {
  if (!/[A-Za-z^_\\:.,‰+'"]/.test(s)) return s;
  let out = worded(introduced(s)).replace(CURRENCY, "");
  if (out.includes("\\") || out.includes("^")) out = degrees(vector(out));
  if (out.includes("_") || /base|^0[box]/i.test(out)) out = bases(combinations(out));
  return clock(between(groups(out)));
}

/** A phrase of English words, which is no product of letters; undefined where the words are symbols, units or arithmetic. */
export function phrase(s: string): string | undefined {
  if (!/^[A-Za-z][A-Za-z' .-]{2,80}$/.test(s)) return undefined;
  const words = s.split(/[\s.]+/).filter((word) => word !== "");
  if (words.length === 1) return /^(?:DNE|none)$/i.test(s) ? s : undefined;
  const isWord = (word: string) =>
    /^(?:a|[a-z'-]{2,}|[A-Z][a-z'-]+|DNE)$/i.test(word) && !FUNCTION_WORDS.test(word);
  return words.every(isWord) && words.some((word) => /[a-z]{4}/i.test(word)) ? words.join(" ") : undefined;
}
