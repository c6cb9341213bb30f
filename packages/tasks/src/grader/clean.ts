// One spelling for the many ways of writing the same answer, before it is split into tokens.
import { plainCharacters } from "./characters.ts";
import { respelled } from "./respell.ts";
import { withPeriod } from "./worded.ts";

const commandAfterBreak =
  /(?<!\\)\\\\(?=(?:boxed|frac|[dtc]frac|left|right|text|sqrt|le|ge|leq|geq|lt|gt|ne|neq|pi|in|cup|infty|times|cdot|pm)(?![a-z]))/g;

/** Spellings of one form that the parser knows by another. */
function otherForms(s: string): string {
  return s
    .replace(/\\(?:[dtcs]frac|nicefrac|tfrac)(?![a-z])/g, "\\frac")
    .replace(/\{([^{}]{1,40})\\choose(?![a-z])([^{}]{1,40})\}/g, "\\binom{$1}{$2}")
    .replace(
      /\\textcolor\s*\{[^{}]{1,30}\}\s*(?=\{)|\\color\s*\{[^{}]{1,30}\}|\\(?:underline|fbox|mathord|mathop|ensuremath)(?![a-zA-Z])/g,
      "",
    )
    .replace(/\\langle(?![a-z])/g, "(")
    .replace(/\\rangle(?![a-z])/g, ")")
    .replace(/\\(?:text|mathrm|mbox)\s*\{\s*\}/g, " ")
    .replace(/\u0002\s*$/, "");
}

/** Intervals with brackets turned around: ]1, 2[. */
const turned = /^\s*([\][])\s*([^,;[\]]{1,60})[,;]([^,;[\]]{1,60})([\][])\s*$/;

function ordinaryBrackets(s: string): string {
  const found = turned.exec(s);
  if (!found || (found[1] === "[" && found[4] === "]")) return s;
  return `${found[1] === "]" ? "(" : "["}${found[2]},${found[3]}${found[4] === "[" ? ")" : "]"}`;
}

/** The answer without layout: `\left`, sizes, thin spaces, dollar signs, Markdown emphasis, the final point. */
export function cleanAnswer(raw: string): string {
  // US$5: the letters belong to the sign; in "A 5" they are a name.
  let s = withPeriod(plainCharacters(raw)).replace(/^\s*(?:US|A|C|NZ|HK)(?=\\?\$\d[^$]*$)/, "");
  if (s.includes("\\") || s.includes("{")) {
    s = s
      .replace(commandAfterBreak, "\\")
      .replaceAll("\\\\", "\u0002")
      .replace(/\u0002\s*\[\s*-?[\d.]+\s*(?:pt|ex|em|mm|cm|in|px)\s*\]/g, "\u0002")
      .replace(/\\(?:left|right|[bB]igg?[lrm]?)\s*(?=[\\()[\]{}|.<>/])/g, "")
      .replace(/\\(?:displaystyle|textstyle|limits|mathstrut|bf|rm|it)(?![a-zA-Z])/g, " ")
      .replace(/\{,\}|\{\s*,\s*\}|,\s*\\!\s*/g, "\u0001")
      .replace(/(\d)\s*\u0001\s*(?=\d{3}(?!\d))/g, "$1")
      .replace(/\u0001/g, ",")
      .replace(/\\!/g, "")
      .replace(/\\(?:[,;:> ]|quad(?=[^q]|$)|qquad|hspace\{[^{}]*\}|hfill|newline)/g, " ")
      .replace(/\\[\])([]/g, " ")
      .replace(/\\\$/g, " ");
    s = otherForms(s).replaceAll("\u0002", "\\\\");
  }
  // 1'000 and 0.(3): marks inside one number. 0.1(6) may be a product, and is left to the parser.
  s = s.replace(/(?<![\d'])\d{1,3}(?:'\d{3})+(?![\d'])/g, (n) => n.replaceAll("'", ""));
  s = s.replace(/(\d\.)\((\d{1,20})\)/g, "$1\\overline{$2}");
  s = ordinaryBrackets(s);
  // x**2 is a power, **42** emphasis.
  s = s.replace(/(?<=[\d)\]}]|(?<![A-Za-z])[A-Za-z])(?:\*\*| \*\* )(?=[\d({A-Za-z-])/g, "^");
  s = s.replace(/[~$*`]/g, (c) => (c === "*" ? "*" : " ")).replace(/\*\*/g, " ");
  s = s.replace(/[€£¥￥₹]/g, " ");
  s = s
    .replace(/\s+/g, " ")
    .trim()
    .replace(/[.。,;:\s]+$/, "")
    .replace(/^[\s:=,;]+(?!\d*\.)/, "")
    .trim();
  return respelled(s);
}

/** Digits in groups of three: 12 345 678. */
const grouped = /(?<![\d.])\d{1,3}(?: \d{3})+(?!\d)/g;

/** Letters, digits and signs only, two numbers side by side apart, words in lower case (n and N are two letters): equal texts are equal answers. */
export function bareText(clean: string): string {
  return clean
    .replace(
      /\\(?:text|textbf|textit|textrm|textnormal|mathrm|mathbf|mathit|mbox|operatorname)\s*\{([^{}]*)\}/g,
      "$1",
    )
    .replace(grouped, (digits) => digits.replaceAll(" ", ""))
    .replace(/(?<!\d)\s+|\s+(?!\d)/g, "")
    .replace(/^\((.)\)$/, "$1")
    .replace(/[a-zA-Z]{2,}/g, (word) => word.toLowerCase());
}
