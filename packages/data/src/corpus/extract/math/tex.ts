// TeX sources as pages have them: comments, styles and delimiters taken off; and whether a text is TeX at all.

/** Comments go with their line break; without one behind it a % is what was left of a folded line. */
export function withoutComments(tex: string): string {
  if (!tex.includes("%")) return tex;
  return tex.replace(
    /(\\.)|(.?)%([^\n]*)(\n\s*)?/gs,
    (_all, escaped: string | undefined, before = "", note = "", end = "") => {
      if (escaped !== undefined) return escaped;
      if (end !== "") return before;
      return /\d/.test(before) ? `${before}\\%${note}` : `${before}${note}`;
    },
  );
}

const DISPLAY_STYLE = /^\{\s*\\(?:display|text|script)style(?![a-zA-Z])([\s\S]*)\}$/;
const DELIMITERS: [string, string, boolean][] = [
  ["$$", "$$", true],
  ["\\[", "\\]", true],
  ["\\(", "\\)", false],
  ["$", "$", false],
  ["[latex]", "[/latex]", false],
  ["[tex]", "[/tex]", false],
  ["[math]", "[/math]", false],
];

/** Whether the first brace closes with the last. */
function wrapped(tex: string): boolean {
  let depth = 0;
  for (let i = 0; i < tex.length; i++) {
    if (tex[i] === "\\") i++;
    else if (tex[i] === "{") depth++;
    else if (tex[i] === "}" && --depth === 0 && i < tex.length - 1) return false;
  }
  return depth === 0;
}

/** The formula alone, on one line, and whether its delimiters said that it is displayed. */
export function cleanTex(source: string): { tex: string; display: boolean | undefined } {
  let tex = withoutComments(source).trim();
  let display: boolean | undefined;
  for (const [open, close, shown] of DELIMITERS) {
    const inside = tex.slice(open.length, tex.length - close.length);
    if (tex.length < open.length + close.length || !tex.startsWith(open) || !tex.endsWith(close)) continue;
    if (inside.includes(open) || inside.trimEnd().endsWith("\\")) continue;
    tex = inside;
    display = shown;
    break;
  }
  tex = tex.trim();
  const styled = DISPLAY_STYLE.exec(tex);
  if (styled && wrapped(tex)) tex = styled[1]!;
  tex = tex
    .trim()
    .replace(/^\\(?:display|text)style(?![a-zA-Z])\s*/, "")
    .replace(/\s+/g, " ")
    .trim();
  // A break at the end is a command's blank, not a lone backslash.
  if (/(?:^|[^\\])(?:\\\\)*\\$/.test(tex)) tex += " ";
  return { tex, display };
}

const NAMES =
  /\b(?:sin|cos|tan|cot|sec|csc|log|ln|exp|lim|max|min|sup|inf|det|dim|ker|gcd|lcm|mod|arg|deg|sinh|cosh|tanh|arcsin|arccos|arctan|d[xyzt])\b/g;

/** Whether a text reads as words: two of them, or one of four letters, outside commands and text arguments. */
export function isProse(text: string): boolean {
  const bare = text
    .replace(
      /\\(?:text|mathrm|mbox|textrm|textbf|operatorname|mathbf|begin|end|mathit|label|ref|hbox|textit|tag)\*?\s*\{[^{}]*\}/g,
      " ",
    )
    .replace(/\\[a-zA-Z]+/g, " ")
    .replace(NAMES, " ");
  const words = bare.match(/\p{L}{3,}/gu) ?? [];
  return (
    words.length > 1 || (words.length === 1 && (words[0]!.length > 3 || /\p{L}{2,}\s+\p{L}{2,}/u.test(bare)))
  );
}

/** Commands, scripts or delimiters that only TeX has. */
export function hasTexMarks(text: string): boolean {
  return (
    /\\[a-zA-Z]{2,}|\\[,;:!{}|]|[\^_]\s*[{\\\p{L}\p{N}]/u.test(text) ||
    /^\s*(?:\$[^$].*\$|\\\(.*\\\)|\\\[.*\\\])\s*$/s.test(text)
  );
}

/** Whether a text is a formula where one is expected: marks of TeX or a short expression, and no sentence. */
export function isFormula(text: string): boolean {
  const t = text.trim();
  if (t === "" || t.length > 20_000) return false;
  if (
    /\\(?:frac|sqrt|sum|int|begin|left|mathbb|mathcal|mathrm|alpha|beta|lambda|theta|pi|infty|cdot|times|le|ge|to|in)(?![a-zA-Z])/.test(
      t,
    )
  )
    return true;
  // Beside commands, capitals are the names of points: \triangle ABC.
  const words = /\\[a-zA-Z]{2,}/.test(t) ? t.replace(/(?<!\p{L})\p{Lu}{2,6}(?!\p{L})/gu, " ") : t;
  return !isProse(words) && !/^[^\p{L}\p{N}]*$/u.test(t);
}

/** A formula between delimiters; empty for nothing. */
export function delimited(source: string, display: boolean): string {
  const { tex, display: shown } = cleanTex(source);
  if (tex === "") return "";
  return (shown ?? display) || display ? `$$${tex}$$` : `$${tex}$`;
}
