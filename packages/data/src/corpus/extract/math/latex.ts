// Formulas as trees to LaTeX. Elements that are not known pass their children on.
import { LONG_ARROWS, overCommand, underCommand } from "./accents.ts";
import { type MathNode, token } from "./node.ts";
import { joined, symbols } from "./symbols.ts";
import { tableLatex } from "./tables.ts";
import { FUNCTIONS, identifier, operator, space, styled, variantOf, words } from "./tokens.ts";

/** Commands with limits under and over them. */
const LIMITS =
  /^\\(?:sum|prod|coprod|int|iint|iiint|oint|bigcup|bigcap|bigvee|bigwedge|bigoplus|bigotimes|bigodot|biguplus|bigsqcup|lim|liminf|limsup|max|min|sup|inf|det|gcd|Pr|operatorname\*\{.*\}|under(?:brace|bracket)\{.*\}|over(?:brace|bracket)\{.*\})$/s;
const OPEN = new Set(["(", "[", "{", "⟨", "〈", "⌊", "⌈", "|", "∣", "‖", "∥", "/", "⟦", "⌜", "<", "."]);
const CLOSE = new Set([")", "]", "}", "⟩", "〉", "⌋", "⌉", "|", "∣", "‖", "∥", "/", "⟧", "⌝", ">", "."]);

/** `{x}` unless x is one character or one command. */
function braced(tex: string): string {
  const t = tex.trim();
  return /^(?:[\p{L}\p{N}]|\\[a-zA-Z]+)$/u.test(t) ? t : `{${t}}`;
}

const group = (tex: string): string => `{${tex.trim()}}`;

/** Text of a token, or of the only token inside. */
function tokenText(node: MathNode | undefined): string {
  if (!node) return "";
  if (node.kids.length === 0) return node.text.trim();
  const kids = node.kids.filter((k) => k.name !== "mspace" && !(k.name === "#text" && k.text.trim() === ""));
  if (kids.length > 1 && kids.every((k) => k.name === "mo" && k.text.trim() === "′"))
    return "′".repeat(kids.length);
  return kids.length === 1 ? tokenText(kids[0]) : "";
}

const TALL = /^(?:mfrac|mtable|msqrt|mroot|munder|mover|munderover|msup|msub|msubsup)$/;
const measured = new WeakMap<MathNode, boolean>();

/** Whether a formula is taller than a letter, so that its fences grow. */
function tall(node: MathNode): boolean {
  let known = measured.get(node);
  if (known === undefined) {
    known = TALL.test(node.name) || node.kids.some(tall);
    measured.set(node, known);
  }
  return known;
}

const isFence = (node: MathNode | undefined, set: Set<string>): boolean =>
  node?.name === "mo" && (node.text.trim() === "" || set.has(node.text.trim()));

/** Fences around `inside`, grown by \left and \right where they are so on the page. */
function fences(open: MathNode, inside: MathNode[], close: MathNode): string | undefined {
  if (
    open.attributes.stretchy === "false" ||
    open.attributes.minsize ||
    close.attributes.stretchy === "false"
  )
    return undefined;
  const sure = open.attributes.fence === "true" || open.attributes["data-mjx-texclass"] === "OPEN";
  if (!sure && !inside.some(tall)) return undefined;
  const mark = (n: MathNode) => (n.text.trim() === "" ? "." : symbols(n.text).replace("\\parallel", "\\|"));
  const body = rowLatex(inside);
  return joined([joined(["\\left", mark(open)]), body, joined(["\\right", mark(close)])]);
}

/** A binomial: a fraction without a line between parentheses. */
function binomial(open: MathNode, middle: MathNode, close: MathNode): string | undefined {
  const fraction = only(middle);
  if (open.text.trim() !== "(" || close.text.trim() !== ")" || fraction.name !== "mfrac") return undefined;
  if (!/^0/.test(fraction.attributes.linethickness ?? "")) return undefined;
  return `\\binom${group(latexOf(fraction.kids[0]))}${group(latexOf(fraction.kids[1]))}`;
}

/** The node inside rows and styles of one. */
function only(node: MathNode): MathNode {
  let n = node;
  while (/^(?:mrow|mstyle|mpadded|texatom|semantics|math)$/.test(n.name) && n.kids.length === 1)
    n = n.kids[0]!;
  return n;
}

/** Nodes but for white space; an operator in a row of its own is the operator. */
function kidsOf(nodes: MathNode[]): MathNode[] {
  const out: MathNode[] = [];
  for (const n of nodes) {
    if (n.name === "#text" && n.text.trim() === "") continue;
    const inner = n.name === "mrow" || n.name === "texatom" ? only(n) : n;
    out.push(inner.name === "mo" ? inner : n);
  }
  return out;
}

const functionName = (name: string): string =>
  FUNCTIONS.has(name) ? `\\${name}` : `\\operatorname{${name.replace(/[ \u2009]/g, "\\,")}}`;

/** Whether a node is the name of a function, with limits or not. */
function isName(node: MathNode): boolean {
  const inner = only(node);
  return inner.kids.length > 0 ? isName(inner.kids[0]!) : FUNCTIONS.has(inner.text.trim());
}

/** Several nodes side by side. */
function rowLatex(nodes: MathNode[]): string {
  const kids = kidsOf(nodes);
  const last = kids.length - 1;
  if (kids.length > 1 && isFence(kids[0], OPEN) && isFence(kids[last], CLOSE)) {
    const inside = kids.slice(1, last);
    const closing = inside.some((k) => isFence(k, CLOSE) && !isFence(k, OPEN));
    if (inside.length === 1) {
      const special =
        binomial(kids[0]!, inside[0]!, kids[last]!) ?? fencedTable(kids[0]!, inside[0]!, kids[last]!);
      if (special) return special;
    }
    const grown =
      closing && kids[0]!.attributes.fence !== "true" ? undefined : fences(kids[0]!, inside, kids[last]!);
    if (grown) return grown;
  }
  const parts: string[] = [];
  for (let i = 0; i < kids.length; i++) {
    const [a, b, c] = [kids[i]!, kids[i + 1], kids[i + 2]];
    if (b && isFence(a, OPEN)) {
      const cases = a.text.trim() === "{" && i + 1 === last ? fencedTable(a, b, undefined) : undefined;
      const three = c && isFence(c, CLOSE) ? (binomial(a, b, c) ?? fencedTable(a, b, c)) : undefined;
      const special = three ?? cases;
      if (special) {
        parts.push(special);
        i += three ? 2 : 1;
        continue;
      }
    }
    // A name in front of what it is applied to, which is apart from it anyway.
    const applied = b?.name === "mo" && b.text.trim() === "\u2061";
    const after = kids[applied ? i + 2 : i + 1];
    if (applied && a.name === "mi" && [...a.text.trim()].length > 1) parts.push(functionName(a.text.trim()));
    else parts.push(latexOf(a));
    if (applied) i++;
    if (after?.name === "mspace" && (applied || isName(a)) && space(after) === "\\,") i++;
  }
  return joined(parts);
}

function fencedTable(open: MathNode, middle: MathNode, close: MathNode | undefined): string | undefined {
  const table = only(middle);
  if (table.name !== "mtable") return undefined;
  return tableLatex(table, { open: open.text.trim(), close: close ? close.text.trim() : "" }, latexOf);
}

function fraction(node: MathNode): string {
  const [a, b] = [latexOf(node.kids[0]), latexOf(node.kids[1])];
  if (/^0(?:\.0+)?(?:[a-z]*)$/.test(node.attributes.linethickness ?? ""))
    return `{${a.trim()} \\atop ${b.trim()}}`;
  if (node.attributes.bevelled === "true") return `${group(a)}/${group(b)}`;
  return `\\frac${group(a)}${group(b)}`;
}

function scripts(node: MathNode): string {
  const [base, first, second] = node.kids;
  const sub = node.name === "msup" ? undefined : first;
  const sup = node.name === "msup" ? first : second;
  const b = base ? latexOf(base) : "";
  const mark = tokenText(sup);
  const head =
    /^(?:\\(?:math[a-z]+|operatorname\*?|boldsymbol|text|under[a-z]+|over[a-z]+)\{[^{}]*\}|.?[)\]|']|\\[})|])$/su.test(
      b,
    )
      ? b
      : b === ""
        ? "{}"
        : /^\\left(?:(?!\\left).)*\\right(?:[^a-zA-Z\\]|\\[a-zA-Z]+|\\.)$/s.test(b)
          ? b
          : braced(b);
  const index = sub ? latexOf(sub).trim() : "";
  const below = index === "" ? "" : `_${braced(index)}`;
  if (!sup) return head + below;
  if (/^[′″‴⁗']+$/.test(mark)) return `${head}${symbols(mark)}${below}`;
  const above = latexOf(sup).trim();
  return head + below + (above === "" ? "" : `^${braced(above)}`);
}

/** A prime, a brace or an accent is one mark; a mark that stretches is drawn over all of the base. */
function stretches(mark: MathNode, base: MathNode): boolean {
  const inner = only(mark);
  if (inner.attributes.stretchy) return inner.attributes.stretchy === "true";
  return [...(tokenText(base) || "xx")].length > 1;
}

function over(base: MathNode, above: MathNode, accent: string | undefined): string {
  const arrow = LONG_ARROWS[tokenText(base)];
  if (arrow && (only(base).attributes.stretchy === "true" || above.name === "mpadded"))
    return `\\${arrow}${group(latexOf(above))}`;
  const mark = tokenText(above);
  const command = accent === "false" ? undefined : overCommand(mark, stretches(above, base));
  if (command && only(above).name !== "mi") return `\\${command}${group(latexOf(base))}`;
  const tex = latexOf(base).trim();
  if (LIMITS.test(tex)) return `${tex}^${braced(latexOf(above))}`;
  return `\\overset${group(latexOf(above))}${group(tex)}`;
}

function under(base: MathNode, below: MathNode): string {
  const command = underCommand(tokenText(below));
  if (command && only(below).name === "mo") return `\\${command}${group(latexOf(base))}`;
  const tex = latexOf(base).trim();
  if (LIMITS.test(tex)) return `${tex}_${braced(latexOf(below))}`;
  // An operator with its limits in upright letters.
  const name = /^\\(?:mathrm|operatorname|text)\{([a-zA-Z]+)\}$/.exec(tex)?.[1];
  if (name) return `\\operatorname*{${name}}_${braced(latexOf(below))}`;
  return `\\underset${group(latexOf(below))}${group(tex)}`;
}

function underOver(node: MathNode): string {
  const [base, below, above] = node.kids;
  if (!base || !below || !above) return rowLatex(node.kids);
  const tex = latexOf(base).trim();
  const arrow = LONG_ARROWS[tokenText(base)];
  if (arrow) return `\\${arrow}[${latexOf(below).trim()}]${group(latexOf(above))}`;
  const command = underCommand(tokenText(below));
  const accent = overCommand(tokenText(above), false);
  if (LIMITS.test(tex) || !(command || accent)) {
    if (LIMITS.test(tex)) return `${tex}_${braced(latexOf(below))}^${braced(latexOf(above))}`;
    return `\\overset${group(latexOf(above))}{\\underset${group(latexOf(below))}${group(tex)}}`;
  }
  const inner = command ? `\\${command}${group(tex)}` : `\\underset${group(latexOf(below))}${group(tex)}`;
  return accent ? `\\${accent}${group(inner)}` : `\\overset${group(latexOf(above))}${group(inner)}`;
}

const isNone = (n: MathNode | undefined): boolean => !n || n.name === "none" || n.name === "mprescripts";

/** Scripts on both sides: base, pairs behind it, mark, pairs in front of it. */
function multiscripts(node: MathNode): string {
  const [base, ...rest] = node.kids;
  const mark = rest.findIndex((k) => k.name === "mprescripts");
  const pairs = (list: MathNode[]): string => {
    let out = "";
    for (let i = 0; i < list.length; i += 2) {
      const [below, above] = [list[i], list[i + 1]];
      const one = `${isNone(below) ? "" : `_${braced(latexOf(below))}`}${isNone(above) ? "" : `^${braced(latexOf(above))}`}`;
      out += i > 0 && one !== "" ? `{}${one}` : one;
    }
    return out;
  };
  const before = mark < 0 ? "" : pairs(rest.slice(mark + 1));
  const after = pairs(mark < 0 ? rest : rest.slice(0, mark));
  return `${before === "" ? "" : `{}${before}`}${base ? braced(latexOf(base)) : ""}${after}`;
}

function enclosed(node: MathNode): string {
  const body = group(rowLatex(node.kids));
  const notation = (node.attributes.notation ?? "longdiv").split(/\s+/);
  if (notation.includes("box") || notation.length === 4) return `\\boxed${body}`;
  const up = notation.includes("updiagonalstrike");
  const down = notation.includes("downdiagonalstrike");
  if (up || down) return `\\${up && down ? "xcancel" : up ? "cancel" : "bcancel"}${body}`;
  if (notation.includes("horizontalstrike")) return `\\sout${body}`;
  if (notation.includes("radical")) return `\\sqrt${body}`;
  if (notation.includes("top")) return `\\overline${body}`;
  if (notation.includes("bottom")) return `\\underline${body}`;
  return body;
}

function fenced(node: MathNode): string {
  const open = token("mo", node.attributes.open ?? "(");
  const close = token("mo", node.attributes.close ?? ")");
  const separators = [...(node.attributes.separators ?? ",").replace(/\s/g, "")];
  const kids = kidsOf(node.kids);
  if (kids.length === 1) {
    const special = binomial(open, kids[0]!, close) ?? fencedTable(open, kids[0]!, close);
    if (special) return special;
  }
  const inside = kids.flatMap((k, i) =>
    i === 0 || separators.length === 0
      ? [k]
      : [token("mo", separators[Math.min(i, separators.length) - 1]!), k],
  );
  return fences(open, inside, close) ?? rowLatex([open, ...inside, close]);
}

function style(node: MathNode): string {
  const inner = only(node);
  const body = rowLatex(node.kids);
  if (inner.name === "mfrac" && node.attributes.displaystyle && body.startsWith("\\frac"))
    return `\\${node.attributes.displaystyle === "true" ? "d" : "t"}${body.slice(1)}`;
  return body;
}

/** LaTeX of a formula or a part of one; empty for nothing. */
export function latexOf(node: MathNode | undefined): string {
  if (!node) return "";
  switch (node.name) {
    case "#text":
      return symbols(node.text);
    case "mi":
      return node.kids.length > 0 ? rowLatex(node.kids) : identifier(node);
    case "mn":
      return styled(node.text.trim(), variantOf(node, "italic"));
    case "mo":
      return operator(node);
    case "mtext":
      return node.kids.length > 0 ? rowLatex(node.kids) : words(node.text);
    case "ms":
      return words(`${node.attributes.lquote ?? '"'}${node.text}${node.attributes.rquote ?? '"'}`);
    case "mspace":
      return space(node);
    case "mfrac":
      return fraction(node);
    case "msqrt":
      return `\\sqrt${group(rowLatex(node.kids))}`;
    case "mroot":
      return `\\sqrt[${latexOf(node.kids[1]).trim()}]${group(latexOf(node.kids[0]))}`;
    case "msup":
    case "msub":
    case "msubsup":
      return scripts(node);
    case "mover":
      return node.kids.length > 1
        ? over(node.kids[0]!, node.kids[1]!, node.attributes.accent)
        : rowLatex(node.kids);
    case "munder":
      return node.kids.length > 1 ? under(node.kids[0]!, node.kids[1]!) : rowLatex(node.kids);
    case "munderover":
      return underOver(node);
    case "mmultiscripts":
      return multiscripts(node);
    case "mfenced":
      return fenced(node);
    case "menclose":
      return enclosed(node);
    case "mtable":
      return tableLatex(node, undefined, latexOf) ?? "";
    case "mstyle":
      return style(node);
    case "mphantom":
      return `\\phantom${group(rowLatex(node.kids))}`;
    case "semantics":
    case "maction":
      return latexOf(kidsOf(node.kids)[0]);
    case "annotation":
    case "annotation-xml":
    case "none":
    case "mprescripts":
      return "";
    default:
      return node.kids.length > 0 ? rowLatex(node.kids) : symbols(node.text);
  }
}
