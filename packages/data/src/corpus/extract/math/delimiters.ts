// Formulas between delimiters in plain text, as MathJax and others find them: one pass from left to right, so that nothing
// inside a formula is taken for another's delimiter. Code and formulas that are marked already are passed over.
import { CODE_END, CODE_START, FOLDED, MATH_END, MATH_START } from "./marks.ts";
import { delimited } from "./tex.ts";

const MOST_INLINE = 2000;
const MOST_DISPLAY = 8000;
const BRACKETS: Record<string, [string, boolean]> = {
  "\\(": ["\\)", false],
  "\\[": ["\\]", true],
  "[latex]": ["[/latex]", false],
  "[tex]": ["[/tex]", false],
  "[math]": ["[/math]", false],
  "[katex]": ["[/katex]", false],
  "[latexpage]": ["", false],
};
const ENVIRONMENTS =
  "equation align alignat gather multline eqnarray displaymath math flalign split cases aligned gathered".split(
    " ",
  );
const START =
  /\\\\|\\\$|\\\(|\\\[|\\begin\{([a-z]+)\*?\}|\$\$|\$latex(?=[\s\ufdd4])|\$|\[(?:latex|tex|math|katex)\]|\ufdd0|\ufdd2/g;

/** Place of a closing delimiter that is not escaped itself, within `most` characters. */
function closing(text: string, close: string, from: number, most: number): number {
  const until = Math.min(text.length, from + most);
  for (let i = text.indexOf(close, from); i >= 0 && i < until; i = text.indexOf(close, i + 1)) {
    let slashes = 0;
    while (text[i - 1 - slashes] === "\\") slashes++;
    // Before \) one backslash more makes a line break of it; before $ it makes a sign.
    if (slashes % 2 === 0) return i;
  }
  return -1;
}

/** The end of the environment that begins at `at`, with those of its name inside it. */
function environmentEnd(text: string, name: string, at: number): number {
  const mark = new RegExp(`\\\\(begin|end)\\{${name}(\\*?)\\}`, "g");
  mark.lastIndex = at;
  let depth = 0;
  for (let m = mark.exec(text); m && m.index < at + MOST_DISPLAY; m = mark.exec(text)) {
    depth += m[1] === "begin" ? 1 : -1;
    if (depth === 0) return m.index + m[0].length;
  }
  return -1;
}

const unfolded = (tex: string): string => tex.replaceAll(FOLDED, "\n");

const INNER: Record<string, string> = {
  align: "aligned",
  alignat: "aligned",
  flalign: "aligned",
  split: "aligned",
  gather: "gathered",
  multline: "gathered",
  eqnarray: "array",
};

/** An environment that displays by itself as what may stand between dollar signs. */
function insideDollars(tex: string): string {
  const found = /^\\begin\{([a-z]+)(\*?)\}([\s\S]*)\\end\{\1\2\}$/.exec(tex.trim());
  if (!found) return tex;
  const [, name, , body] = found;
  if (/^(?:equation|displaymath|math)$/.test(name!)) return body!.replace(/\\label\{[^}]*\}/g, "");
  const inner = INNER[name!];
  if (!inner) return tex;
  const plain = body!.replace(/\\label\{[^}]*\}|\\(?:nonumber|notag)(?![a-zA-Z])/g, "");
  const columns = name === "eqnarray" ? "{rcl}" : "";
  const rest = name === "alignat" ? plain.replace(/^\s*\{\d+\}/, "") : plain;
  return `\\begin{${inner}}${columns}${rest}\\end{${inner}}`;
}

/** A `$` that opens a formula: no blank behind it, and one that closes it on the same paragraph. */
function dollarEnd(text: string, at: number): number {
  if (/[\s\ufdd4]/.test(text[at + 1] ?? " ")) return -1;
  const end = closing(text, "$", at + 1, MOST_INLINE);
  if (end < 0 || /[\s\ufdd4]/.test(text[end - 1]!) || /\d/.test(text[end + 1] ?? "")) return -1;
  return text.slice(at, end).includes("\n\n") ? -1 : end;
}

interface Found {
  /** Place behind the formula, and what it becomes. */
  end: number;
  text: string;
}

function formulaAt(text: string, at: number, start: string, name: string | undefined): Found | undefined {
  const from = at + start.length;
  if (name !== undefined) {
    if (!ENVIRONMENTS.includes(name)) return undefined;
    const end = environmentEnd(text, name, at);
    return end < 0 ? undefined : { end, text: delimited(insideDollars(unfolded(text.slice(at, end))), true) };
  }
  if (start === "$$") {
    const end = closing(text, "$$", from, MOST_DISPLAY);
    if (end < 0 || text.slice(at, end).includes("\n\n\n")) return undefined;
    return { end: end + 2, text: delimited(unfolded(text.slice(from, end)), true) };
  }
  if (start.startsWith("$latex")) {
    const end = closing(text, "$", from, MOST_INLINE);
    return end < 0 ? undefined : { end: end + 1, text: delimited(unfolded(text.slice(from, end)), false) };
  }
  if (start === "$") {
    const end = dollarEnd(text, at);
    return end < 0 ? undefined : { end: end + 1, text: delimited(unfolded(text.slice(from, end)), false) };
  }
  const [close, display] = BRACKETS[start]!;
  const end = closing(text, close, from, display ? MOST_DISPLAY : MOST_INLINE);
  if (end < 0) return undefined;
  return { end: end + close.length, text: delimited(unfolded(text.slice(from, end)), display) };
}

/** `\(…\)` → `$…$`, `\[…\]` and environments → `$$…$$`; marks of earlier passes are taken out. */
export function markDelimiters(text: string): string {
  const out: string[] = [];
  let done = 0;
  START.lastIndex = 0;
  for (let m = START.exec(text); m; m = START.exec(text)) {
    const start = m[0];
    if (start === "\\\\" || start === "\\$") continue;
    if (start === CODE_START || start === MATH_START) {
      const end = text.indexOf(start === CODE_START ? CODE_END : MATH_END, m.index);
      if (end < 0) break;
      START.lastIndex = end + 1;
      continue;
    }
    const found = formulaAt(text, m.index, start, m[1]);
    if (!found) continue;
    // What holds code or a formula already is prose between two lone signs.
    if (/[\ufdd0\ufdd2]/.test(text.slice(m.index, found.end))) continue;
    out.push(text.slice(done, m.index), found.text);
    done = found.end;
    START.lastIndex = found.end;
  }
  out.push(text.slice(done));
  return out
    .join("")
    .replaceAll(FOLDED, " ")
    .replace(/[\ufdd0-\ufdd3]/g, "");
}
