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
};
const ENVIRONMENTS =
  "equation align alignat gather multline eqnarray displaymath math flalign split cases aligned gathered".split(
    " ",
  );
const START =
  /\\\\|\\\$|\\\(|\\\[|\\begin\{([a-z]+)\*?\}|\$\$|\$latex(?=[\s\ufdd4])|\$|\[(?:latex|tex|math|katex)\]|\ufdd0|\ufdd2/g;

/** What closes formulas in one text; each kind of delimiter is searched once, whatever number of openers asks. */
class Closers {
  private readonly searched = new Map<string, { from: number; at: number }>();
  private readonly environments = new Map<string, Map<number, { at: number; end: number }>>();
  constructor(private readonly text: string) {}

  /** Place of the first `mark` from `from` on that is not escaped itself; Infinity for none. */
  private next(mark: string, from: number): number {
    const known = this.searched.get(mark);
    if (known && known.from <= from && from <= known.at) return known.at;
    let at = this.text.indexOf(mark, from);
    while (at >= 0 && this.escaped(at)) at = this.text.indexOf(mark, at + 1);
    const place = at < 0 ? Number.POSITIVE_INFINITY : at;
    this.searched.set(mark, { from, at: place });
    return place;
  }

  /** Before \) one backslash more makes a line break of it; before $ it makes a sign. */
  private escaped(at: number): boolean {
    let slashes = 0;
    while (this.text[at - 1 - slashes] === "\\") slashes++;
    return slashes % 2 === 1;
  }

  /** Place of the closing delimiter within `most` characters, or −1. */
  closing(close: string, from: number, most: number): number {
    const at = this.next(close, from);
    return at < from + most ? at : -1;
  }

  /** Whether code or a formula that is marked already begins between two places. */
  marked(from: number, to: number): boolean {
    return this.next(CODE_START, from) < to || this.next(MATH_START, from) < to;
  }

  /** The end of the environment that begins at `at`, with those of its name inside it; −1 for none. */
  environmentEnd(name: string, at: number): number {
    let pairs = this.environments.get(name);
    if (!pairs) {
      pairs = new Map();
      const open: number[] = [];
      for (const m of this.text.matchAll(new RegExp(`\\\\(begin|end)\\{${name}(\\*?)\\}`, "g"))) {
        if (m[1] === "begin") open.push(m.index);
        else if (open.length > 0) pairs.set(open.pop()!, { at: m.index, end: m.index + m[0].length });
      }
      this.environments.set(name, pairs);
    }
    const pair = pairs.get(at);
    return pair && pair.at < at + MOST_DISPLAY ? pair.end : -1;
  }
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
function dollarEnd(text: string, closers: Closers, at: number): number {
  if (/[\s\ufdd4]/.test(text[at + 1] ?? " ")) return -1;
  const end = closers.closing("$", at + 1, MOST_INLINE);
  if (end < 0 || /[\s\ufdd4]/.test(text[end - 1]!) || /\d/.test(text[end + 1] ?? "")) return -1;
  return text.slice(at, end).includes("\n\n") ? -1 : end;
}

interface Found {
  /** Place behind the formula, and what it becomes. */
  end: number;
  text: string;
}

function formulaAt(
  text: string,
  closers: Closers,
  at: number,
  start: string,
  name: string | undefined,
): Found | undefined {
  const from = at + start.length;
  if (name !== undefined) {
    if (!ENVIRONMENTS.includes(name)) return undefined;
    const end = closers.environmentEnd(name, at);
    return end < 0 ? undefined : { end, text: delimited(insideDollars(unfolded(text.slice(at, end))), true) };
  }
  if (start === "$$") {
    const end = closers.closing("$$", from, MOST_DISPLAY);
    if (end < 0 || text.slice(at, end).includes("\n\n\n")) return undefined;
    return { end: end + 2, text: delimited(unfolded(text.slice(from, end)), true) };
  }
  if (start.startsWith("$latex")) {
    const end = closers.closing("$", from, MOST_INLINE);
    return end < 0 ? undefined : { end: end + 1, text: delimited(unfolded(text.slice(from, end)), false) };
  }
  if (start === "$") {
    const end = dollarEnd(text, closers, at);
    return end < 0 ? undefined : { end: end + 1, text: delimited(unfolded(text.slice(from, end)), false) };
  }
  const [close, display] = BRACKETS[start]!;
  const end = closers.closing(close, from, display ? MOST_DISPLAY : MOST_INLINE);
  if (end < 0) return undefined;
  return { end: end + close.length, text: delimited(unfolded(text.slice(from, end)), display) };
}

/** `\(…\)` → `$…$`, `\[…\]` and environments → `$$…$$`; marks of earlier passes are taken out. */
export function markDelimiters(text: string): string {
  const out: string[] = [];
  const closers = new Closers(text);
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
    const found = formulaAt(text, closers, m.index, start, m[1]);
    if (!found) continue;
    // What holds code or a formula already is prose between two lone signs.
    if (closers.marked(m.index, found.end)) continue;
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
