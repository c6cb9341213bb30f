// Presentation MathML to LaTeX, for pages that carry neither an annotation nor alternative text.

import { type DomElement, type DomNode, isElement } from "./dom.ts";

const SYMBOLS: Record<string, string> = {
  α: "\\alpha",
  β: "\\beta",
  γ: "\\gamma",
  δ: "\\delta",
  ε: "\\epsilon",
  ζ: "\\zeta",
  η: "\\eta",
  θ: "\\theta",
  ι: "\\iota",
  κ: "\\kappa",
  λ: "\\lambda",
  μ: "\\mu",
  ν: "\\nu",
  ξ: "\\xi",
  π: "\\pi",
  ρ: "\\rho",
  σ: "\\sigma",
  τ: "\\tau",
  υ: "\\upsilon",
  φ: "\\phi",
  χ: "\\chi",
  ψ: "\\psi",
  ω: "\\omega",
  Γ: "\\Gamma",
  Δ: "\\Delta",
  Θ: "\\Theta",
  Λ: "\\Lambda",
  Ξ: "\\Xi",
  Π: "\\Pi",
  Σ: "\\Sigma",
  Φ: "\\Phi",
  Ψ: "\\Psi",
  Ω: "\\Omega",
  "∑": "\\sum",
  "∏": "\\prod",
  "∫": "\\int",
  "∮": "\\oint",
  "∞": "\\infty",
  "∂": "\\partial",
  "∇": "\\nabla",
  "√": "\\surd",
  "×": "\\times",
  "÷": "\\div",
  "·": "\\cdot",
  "⋅": "\\cdot",
  "±": "\\pm",
  "∓": "\\mp",
  "≤": "\\le",
  "≥": "\\ge",
  "≠": "\\neq",
  "≈": "\\approx",
  "≡": "\\equiv",
  "∼": "\\sim",
  "≅": "\\cong",
  "∝": "\\propto",
  "∈": "\\in",
  "∉": "\\notin",
  "⊂": "\\subset",
  "⊆": "\\subseteq",
  "⊃": "\\supset",
  "⊇": "\\supseteq",
  "∪": "\\cup",
  "∩": "\\cap",
  "∅": "\\emptyset",
  "∀": "\\forall",
  "∃": "\\exists",
  "¬": "\\neg",
  "∧": "\\wedge",
  "∨": "\\vee",
  "→": "\\to",
  "←": "\\leftarrow",
  "↔": "\\leftrightarrow",
  "⇒": "\\Rightarrow",
  "⇐": "\\Leftarrow",
  "⇔": "\\Leftrightarrow",
  "↦": "\\mapsto",
  "…": "\\ldots",
  "⋯": "\\cdots",
  "⋮": "\\vdots",
  "⋱": "\\ddots",
  ℝ: "\\mathbb{R}",
  ℤ: "\\mathbb{Z}",
  ℕ: "\\mathbb{N}",
  ℚ: "\\mathbb{Q}",
  ℂ: "\\mathbb{C}",
  "′": "'",
  "−": "-",
  "⟨": "\\langle",
  "⟩": "\\rangle",
  "∥": "\\|",
  "∘": "\\circ",
  "⊕": "\\oplus",
  "⊗": "\\otimes",
  "⊥": "\\perp",
  ℓ: "\\ell",
  "\u2061": "",
  "\u2062": "",
  "\u2063": "",
  "\u2064": "",
  "{": "\\{",
  "}": "\\}",
  "%": "\\%",
  "&": "\\&",
  "#": "\\#",
  _: "\\_",
};
const FUNCTIONS =
  /^(sin|cos|tan|cot|sec|csc|sinh|cosh|tanh|log|ln|exp|lim|max|min|sup|inf|det|dim|ker|gcd|arg|deg)$/;
const ACCENTS: Record<string, string> = {
  "^": "\\hat",
  "¯": "\\bar",
  "‾": "\\overline",
  "~": "\\tilde",
  "˙": "\\dot",
  "¨": "\\ddot",
  "→": "\\vec",
  "\u0302": "\\hat",
  "\u0304": "\\bar",
  "\u20d7": "\\vec",
  ˆ: "\\hat",
  "˜": "\\tilde",
  "⏟": "\\underbrace",
};

function symbols(text: string): string {
  let out = "";
  for (const ch of text.trim()) {
    const s = SYMBOLS[ch] ?? ch;
    out += s;
    if (/^\\[a-zA-Z]+$/.test(s)) out += " ";
  }
  return out;
}

function elements(node: DomNode): DomElement[] {
  return Array.from(node.childNodes).filter(isElement);
}

/** `{x}` unless x is one character or one command. */
function braced(tex: string): string {
  const t = tex.trim();
  return /^(\w|\\[a-zA-Z]+)$/.test(t) ? t : `{${t}}`;
}

function group(tex: string): string {
  return `{${tex.trim()}}`;
}

function joined(nodes: DomNode[]): string {
  return nodes.map(mathmlToLatex).join("");
}

function fenced(node: DomElement): string {
  const open = node.getAttribute("open") ?? "(";
  const close = node.getAttribute("close") ?? ")";
  const separator = (node.getAttribute("separators") ?? ",").trim()[0] ?? "";
  return `${symbols(open)}${elements(node).map(mathmlToLatex).join(separator)}${symbols(close)}`;
}

function under(base: string, below: string): string {
  const accent = ACCENTS[below.trim()];
  if (accent) return `${accent}${group(base)}`;
  return /^\\(sum|prod|int|lim|max|min|sup|inf)\b/.test(base.trim())
    ? `${base.trim()}_${braced(below)}`
    : `\\underset${group(below)}${group(base)}`;
}

function over(base: string, aboveNode: DomNode): string {
  const accent = ACCENTS[(aboveNode.textContent ?? "").trim()];
  if (accent) return `${accent}${group(base)}`;
  const above = mathmlToLatex(aboveNode);
  return /^\\(sum|prod|int)\b/.test(base.trim())
    ? `${base.trim()}^${braced(above)}`
    : `\\overset${group(above)}${group(base)}`;
}

/** LaTeX of a `<math>` element or of any element inside one. Unknown elements pass their children on. */
export function mathmlToLatex(node: DomNode): string {
  if (node.nodeType === 3) return symbols(node.textContent ?? "");
  if (!isElement(node)) return "";
  const kids = elements(node);
  const tex = (i: number) => (kids[i] ? mathmlToLatex(kids[i]!) : "");
  switch (node.localName.toLowerCase().replace(/^.*:/, "")) {
    case "mi": {
      const name = (node.textContent ?? "").trim();
      if (FUNCTIONS.test(name)) return `\\${name} `;
      if ([...name].length > 1 && /^[a-z]+$/i.test(name)) return `\\mathrm{${name}}`;
      return symbols(name);
    }
    case "mn":
    case "mo":
      return symbols(node.textContent ?? "");
    case "mtext":
    case "ms":
      return `\\text{${(node.textContent ?? "").trim()}}`;
    case "mspace":
      return " ";
    case "mfrac":
      return `\\frac${group(tex(0))}${group(tex(1))}`;
    case "msqrt":
      return `\\sqrt${group(joined(kids))}`;
    case "mroot":
      return `\\sqrt[${tex(1).trim()}]${group(tex(0))}`;
    case "msup":
      return `${braced(tex(0))}^${braced(tex(1))}`;
    case "msub":
      return `${braced(tex(0))}_${braced(tex(1))}`;
    case "msubsup":
      return `${braced(tex(0))}_${braced(tex(1))}^${braced(tex(2))}`;
    case "munder":
      return under(tex(0), tex(1));
    case "mover":
      return kids[1] ? over(tex(0), kids[1]) : tex(0);
    case "munderover":
      return `${tex(0).trim()}_${braced(tex(1))}^${braced(tex(2))}`;
    case "mfenced":
      return fenced(node);
    case "mtable":
      return `\\begin{matrix}${kids.map(mathmlToLatex).join(" \\\\ ")}\\end{matrix}`;
    case "mtr":
    case "mlabeledtr":
      return kids.map((k) => mathmlToLatex(k).trim()).join(" & ");
    case "semantics":
      return tex(0);
    case "annotation":
    case "annotation-xml":
    case "mphantom":
      return "";
    default:
      return Array.from(node.childNodes).map(mathmlToLatex).join("");
  }
}
