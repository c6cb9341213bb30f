// Characters of answers by their LaTeX or ASCII spelling, before compatibility forms fold them: powers and indices stay what
// they are, and every script's digits are digits.

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
  º: "^\\circ ",
  "˚": "^\\circ ",
  "∠": "\\angle ",
  "△": "\\triangle ",
  "¢": " cents ",
  "∖": "\\setminus ",
  ℝ: "\\mathbb{R}",
  ℤ: "\\mathbb{Z}",
  "∓": "\\mp ",
  "∣": "\\mid ",
  "≡": "\\equiv ",
  "→": "\\to ",
  "∅": "\\emptyset ",
  "、": ",",
  "。": ".",
  "⁄": "/",
  "∶": ":",
  "“": "",
  "”": "",
  "’": "'",
  "′": "'",
  "″": "''",
  "⟨": "\\langle ",
  "⟩": "\\rangle ",
  "〈": "\\langle ",
  "〉": "\\rangle ",
  "٫": ".",
  "٬": ",",
  "٪": "%",
  "⌊": "\\lfloor ",
  "⌋": "\\rfloor ",
  "⌈": "\\lceil ",
  "⌉": "\\rceil ",
};
const unicodeClass = new RegExp(`[${Object.keys(unicode).join("")}]`, "gu");

const RAISED = "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁼⁽⁾ⁿⁱ";
const LOWERED = "₀₁₂₃₄₅₆₇₈₉₊₋₌₍₎ₙᵢⱼₖₓₘ";
const PLAIN_RAISED = "0123456789+-=()ni";
const PLAIN_LOWERED = "0123456789+-=()nijkxm";
const raisedRun = new RegExp(`[${RAISED}]+`, "gu");
const loweredRun = new RegExp(`[${LOWERED}]+`, "gu");

function script(run: string, from: string, to: string, mark: string): string {
  const plain = [...run].map((c) => to[[...from].indexOf(c)]!).join("");
  return plain.length === 1 ? `${mark}${plain}` : `${mark}{${plain}}`;
}

/** ½ and its kin, which beside a number are its fraction. */
function fractionOf(c: string): string {
  const parts = c.normalize("NFKC").split("\u2044");
  return parts[1] ? ` \\frac{${parts[0]}}{${parts[1]}} ` : c;
}

let zeros: Map<string, string> | undefined;

/** Every decimal digit of Unicode beyond ASCII, by its value: digits come in runs of ten. */
function digits(): Map<string, string> {
  if (zeros) return zeros;
  zeros = new Map();
  let run = 0;
  for (let code = 0x80; code < 0x20000; code++) {
    const c = String.fromCodePoint(code);
    if (/\p{Nd}/u.test(c)) zeros.set(c, String(run++ % 10));
    else run = 0;
  }
  return zeros;
}

/** A decimal digit of any script, as an ASCII one. */
export function asciiDigits(text: string): string {
  return text.replace(/[^\x00-\x7f]/gu, (c) => (/\p{Nd}/u.test(c) ? digits().get(c)! : c));
}

/** Replaces characters by their LaTeX or ASCII spelling. Linear in the length. */
export function plainCharacters(text: string): string {
  if (/^[\x00-\x7f]*$/.test(text)) return text;
  const once = text
    .replace(/\p{Cf}|\p{Variation_Selector}|\u034f/gu, "")
    .replace(raisedRun, (run) => script(run, RAISED, PLAIN_RAISED, "^"))
    .replace(loweredRun, (run) => script(run, LOWERED, PLAIN_LOWERED, "_"))
    .replace(/[¼-¾⅐-⅞↉]/gu, fractionOf)
    .replace(unicodeClass, (c) => unicode[c]!);
  const folded = once.normalize("NFKC").replace(unicodeClass, (c) => unicode[c]!);
  return asciiDigits(folded);
}
