// Tokens of formulas to LaTeX: names, numbers, operators, words and blanks.
import type { MathNode } from "./node.ts";
import { joined, plainLetter, symbols, variantCommand } from "./symbols.ts";

export const FUNCTIONS = new Set(
  "arccos arcsin arctan arg cos cosh cot coth csc deg det dim exp gcd hom inf ker lg lim liminf limsup ln log max min Pr sec sin sinh sup tan tanh".split(
    " ",
  ),
);
export function words(text: string): string {
  const escaped = text.replace(/\u00a0/g, " ").replace(/[#$%&_{}]/g, "\\$&");
  return escaped.trim() === "" ? (escaped === "" ? "" : "\\ ") : `\\text{${escaped}}`;
}

export function variantOf(node: MathNode, fallback: string): string {
  return node.attributes.mathvariant ?? node.attributes["data-mjx-variant"] ?? fallback;
}

/** Letters and digits in a variant: `\mathbf{x}`. */
export function styled(text: string, variant: string): string {
  const command = variantCommand(variant);
  const plain = symbols(text);
  if (command === "" || !/[\p{L}\p{N}]/u.test(text)) return plain;
  // TeX has capital Greek letters upright, small ones in no other way.
  if (command === "mathrm" && /[\u0370-\u03ff∞∂∇ℏℓ]/.test(text)) return plain;
  const greek = command === "mathbf" && /[\u0370-\u03ff]/.test(text);
  return `\\${greek ? "boldsymbol" : command}{${plain}}`;
}

export function identifier(node: MathNode): string {
  const name = node.text.trim();
  const letters = [...name];
  if (FUNCTIONS.has(name)) return `\\${name}`;
  if (/^(?:lim|arg|inj|proj)[ \u2009\u00a0]?(?:inf|sup|max|min|lim)$/.test(name)) {
    const short = name.replace(/[ \u2009\u00a0]/, "");
    return FUNCTIONS.has(short) ? `\\${short}` : `\\operatorname*{${short}}`;
  }
  const own = letters.length === 1 ? plainLetter(name) : undefined;
  if (own) return styled(own.letter, own.variant === "italic" ? variantOf(node, "italic") : own.variant);
  if (letters.length > 1 && /^[a-z]/i.test(name) && !node.attributes.mathvariant) {
    const plain = letters.map((c) => plainLetter(c)?.letter ?? c).join("");
    return /^[a-z]+$/i.test(plain) ? `\\operatorname{${plain}}` : symbols(name);
  }
  return styled(name, variantOf(node, "italic"));
}

const SIZES: [number, string][] = [
  [1.25, "big"],
  [1.9, "Big"],
  [2.5, "bigg"],
  [9, "Bigg"],
];

export function operator(node: MathNode): string {
  const text = node.text.trim();
  if (FUNCTIONS.has(text)) return `\\${text}`;
  const size = Number.parseFloat(node.attributes.minsize ?? "");
  if (
    size > 1 &&
    node.attributes.minsize === node.attributes.maxsize &&
    /em$/.test(node.attributes.minsize!)
  ) {
    const command = SIZES.find(([most]) => size <= most)?.[1];
    if (command) return joined([`\\${command}`, symbols(text)]);
  }
  if (/^[a-z]{2,}$/i.test(text)) return `\\operatorname{${text}}`;
  if (text === "|" || text === "∣")
    return node.attributes.stretchy === "false" || text === "∣" ? symbols(text) : "|";
  if (text === "∥" && node.attributes.stretchy !== undefined) return "\\|";
  return symbols(text);
}

export function space(node: MathNode): string {
  if (node.attributes.linebreak === "newline") return "\\\\ ";
  const width = node.attributes.width ?? "";
  const em = Number.parseFloat(width) * (/mu$/.test(width) ? 1 / 18 : 1);
  if (!(em > -1) || em === 0) return "";
  if (em < 0) return "\\!";
  if (em < 0.2) return "\\,";
  if (em < 0.25) return "\\:";
  if (em < 0.3) return "\\;";
  if (em < 0.8) return "\\ ";
  return em < 1.6 ? "\\quad" : "\\qquad";
}
