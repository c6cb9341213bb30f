// One spelling for the many ways of writing the same answer, before it is split into tokens.

const unicode: Record<string, string> = {
  "−": "-",
  "–": "-",
  "—": "-",
  "×": "\\times ",
  "·": "\\cdot ",
  "⋅": "\\cdot ",
  "÷": "/",
  π: "\\pi ",
  θ: "\\theta ",
  "∞": "\\infty ",
  "≤": "\\le ",
  "⩽": "\\le ",
  "≥": "\\ge ",
  "⩾": "\\ge ",
  "≠": "\\ne ",
  "≈": "\\approx ",
  "∈": "\\in ",
  "∪": "\\cup ",
  "∩": "\\cap ",
  "±": "\\pm ",
  "√": "\\sqrt ",
  "°": "^\\circ ",
  "∅": "\\emptyset ",
  "²": "^2",
  "³": "^3",
  "、": ",",
  "。": ".",
  "⁄": "/",
  "∶": ":",
  "“": "",
  "”": "",
  "’": "'",
};
const unicodeClass = new RegExp(`[${Object.keys(unicode).join("")}]`, "gu");

const commandAfterBreak =
  /(?<!\\)\\\\(?=(?:boxed|frac|[dtc]frac|left|right|text|sqrt|le|ge|leq|geq|lt|gt|ne|neq|pi|in|cup|infty|times|cdot|pm)(?![a-z]))/g;

/** Replaces characters by their LaTeX or ASCII spelling. Linear in the length. */
export function plainCharacters(text: string): string {
  if (/^[\x00-\x7f]*$/.test(text)) return text;
  const once = text.replace(unicodeClass, (c) => unicode[c]!);
  return once.normalize("NFKC").replace(unicodeClass, (c) => unicode[c]!);
}

/** The answer without layout: `\left`, sizes, thin spaces, dollar signs, Markdown emphasis, the final point. */
export function cleanAnswer(raw: string): string {
  let s = plainCharacters(raw);
  if (s.includes("\\") || s.includes("{")) {
    s = s
      .replace(commandAfterBreak, "\\")
      .replaceAll("\\\\", "\u0002")
      .replace(/\\(?:left|right|[bB]igg?[lrm]?)\s*(?=[\\()[\]{}|.<>/])/g, "")
      .replace(/\\(?:displaystyle|textstyle|limits|mathstrut|bf|rm|it)(?![a-zA-Z])/g, " ")
      .replace(/\{,\}|\{\s*,\s*\}|,\s*\\!\s*/g, "\u0001")
      .replace(/(\d)\s*\u0001\s*(?=\d{3}(?!\d))/g, "$1")
      .replace(/\u0001/g, ",")
      .replace(/\\!/g, "")
      .replace(/\\(?:[,;:> ]|quad(?=[^q]|$)|qquad|hspace\{[^{}]*\}|hfill|newline)/g, " ")
      .replace(/\\[\])([]/g, " ")
      .replace(/\\(?:[dtc]frac)(?![a-z])/g, "\\frac")
      .replace(/\\\$/g, " ")
      .replaceAll("\u0002", "\\\\");
  }
  // x**2 is a power, **42** emphasis.
  s = s.replace(/(?<=[\d)\]}]|(?<![A-Za-z])[A-Za-z])\*\*(?=[\d({A-Za-z-])/g, "^");
  s = s.replace(/[~$*`]/g, (c) => (c === "*" ? "*" : " ")).replace(/\*\*/g, " ");
  s = s.replace(/[€£¥￥₹]/g, " ");
  return s
    .replace(/\s+/g, " ")
    .trim()
    .replace(/[.。,;:\s]+$/, "")
    .replace(/^[\s:=,;]+(?!\d*\.)/, "")
    .trim();
}

/** Letters, digits and signs only, lower case: equal texts are equal answers. */
export function bareText(clean: string): string {
  return clean
    .replace(
      /\\(?:text|textbf|textit|textrm|textnormal|mathrm|mathbf|mathit|mbox|operatorname)\s*\{([^{}]*)\}/g,
      "$1",
    )
    .replace(/\s+/g, "")
    .replace(/^\((.)\)$/, "$1")
    .toLowerCase();
}
