// KaTeX's HTML without its MathML: boxes laid out by classes, back to a tree.
import { childElements, type DomElement, type DomNode, isElement } from "../dom.ts";
import { type MathNode, mathNode, row, token } from "./node.ts";

/** Newer versions put `katex-` before some of the names. */
const has = (e: DomElement, name: string): boolean =>
  (e.getAttribute("class") ?? "").split(/\s+/).some((c) => c === name || c === `katex-${name}`);

/** Marks that are drawn, by the start of their path. */
const DRAWN: [string, string][] = [
  ["M377 20c0-5.333", "→"],
  ["M0 241v40h399891", "→"],
  ["M400000 241H110l3", "←"],
];

function find(e: DomElement, name: string, depth = 4): DomElement | undefined {
  for (const c of childElements(e)) {
    if (has(c, name)) return c;
    const found = depth > 0 ? find(c, name, depth - 1) : undefined;
    if (found) return found;
  }
  return undefined;
}

/** Layers of a vertical list from the top down, without those that hold nothing. */
function layers(vlist: DomElement): { e: DomElement; top: number }[] {
  return childElements(vlist)
    .filter((c) => !has(c, "vlist-s"))
    .map((e) => ({ e, top: Number(/top:\s*([-\d.]+)em/.exec(e.getAttribute("style") ?? "")?.[1] ?? 0) }))
    .sort((a, b) => a.top - b.top);
}

const CHARACTERS: Record<string, string> = { "\u200b": "", "∗": "*", "∣": "|" };

function leaf(text: string, e: DomElement): MathNode[] {
  const shown = text.replace(/[\u200b\u2060]/g, "");
  if (shown === "") return [];
  const variants: [string, string][] = [
    ["mathbb", "double-struck"],
    ["mathcal", "script"],
    ["mathscr", "script"],
    ["mathfrak", "fraktur"],
    ["mathbf", "bold"],
    ["boldsymbol", "bold-italic"],
    ["mathsf", "sans-serif"],
    ["mathtt", "monospace"],
  ];
  const variant = variants.find(([name]) => has(e, name))?.[1];
  const attributes = variant
    ? { mathvariant: variant }
    : has(e, "mathrm")
      ? { mathvariant: "normal" }
      : undefined;
  if (/^[\d.,]+$/.test(shown)) return [token("mn", shown, attributes ?? {})];
  const one = [...shown].map((c) => CHARACTERS[c] ?? c).join("");
  if (/^\p{L}+$/u.test(one) && !has(e, "mrel") && !has(e, "mbin")) {
    if ([...one].length > 1 && has(e, "mop")) return [token("mi", one)];
    if ([...one].length > 1) return [...one].flatMap((c) => leaf(c, e));
    const upright = !has(e, "mathnormal") && !variant && /^[a-zA-Z]$/.test(one) && !has(e, "mathit");
    return [token("mi", one, attributes ?? (upright ? { mathvariant: "normal" } : {}))];
  }
  const fence = has(e, "mopen") || has(e, "mclose") || has(e, "delimcenter");
  return [token("mo", one, fence ? { stretchy: "false" } : {})];
}

/** Runs of letters and digits that the layout cut into spans. */
function merged(nodes: MathNode[]): MathNode[] {
  const out: MathNode[] = [];
  for (const n of nodes) {
    const last = out.at(-1);
    if (n.name === "mn" && last?.name === "mn" && !n.attributes.mathvariant) last.text += n.text;
    else out.push(n.name === "mn" ? { ...n } : n);
  }
  return out;
}

const content = (e: DomElement): MathNode => row(merged(nodesOf(e)));

/** Scripts on what stands before them. */
function scripts(e: DomElement, base: MathNode | undefined): MathNode {
  const lists = find(e, "vlist");
  const parts = lists ? layers(lists) : [];
  const b = base ?? mathNode("mrow");
  if (parts.length >= 2) return mathNode("msubsup", [b, content(parts.at(-1)!.e), content(parts[0]!.e)]);
  const one = parts[0];
  if (!one) return b;
  const below = find(e, "vlist-t2") !== undefined || has(childElements(e)[0] ?? e, "vlist-t2");
  return mathNode(below ? "msub" : "msup", [b, content(one.e)]);
}

function fraction(e: DomElement): MathNode {
  const vlist = find(e, "vlist");
  const parts = vlist ? layers(vlist) : [];
  const lined = parts.some((p) => find(p.e, "frac-line", 1));
  const solid = parts.filter((p) => !find(p.e, "frac-line", 1));
  const [a, b] = [solid[0], solid.at(-1)].map((p) => (p ? content(p.e) : mathNode("mrow")));
  return mathNode("mfrac", [a!, b!], lined ? {} : { linethickness: "0" });
}

function root(e: DomElement): MathNode {
  const degree = childElements(e).find((c) => has(c, "root"));
  const box = childElements(e).find((c) => !has(c, "root"));
  const vlist = box ? (find(box, "vlist") ?? box) : e;
  const inside = layers(vlist).find((p) => !find(p.e, "hide-tail", 2));
  const body = inside ? content(inside.e) : mathNode("mrow");
  return degree ? mathNode("mroot", [body, content(degree)]) : mathNode("msqrt", [body]);
}

/** Big operators with limits, and what else stands under and over. */
function limits(e: DomElement): MathNode {
  const vlist = find(e, "vlist", 2);
  const parts = vlist ? layers(vlist) : [];
  const bases = parts.map((p) => find(p.e, "mop", 2) !== undefined);
  const at = Math.max(0, bases.length === 1 ? 0 : bases.lastIndexOf(true));
  const base = parts[at] ? content(parts[at]!.e) : mathNode("mrow");
  const above = parts[at - 1];
  const below = parts[at + 1];
  if (above && below) return mathNode("munderover", [base, content(below.e), content(above.e)]);
  if (below) return mathNode("munder", [base, content(below.e)]);
  return above ? mathNode("mover", [base, content(above.e)]) : base;
}

function accent(e: DomElement): MathNode {
  const vlist = find(e, "vlist");
  const parts = vlist ? layers(vlist) : [];
  const mark = parts.find((p) => find(p.e, "accent-body", 2));
  const base = parts.find((p) => p !== mark);
  const path = mark?.e.querySelector("path")?.getAttribute("d") ?? "";
  const drawn = DRAWN.find(([start]) => path.startsWith(start))?.[1];
  const text = drawn ?? (mark ? (mark.e.textContent ?? "").replace(/\u200b/g, "") : "");
  return mathNode("mover", [
    base ? content(base.e) : mathNode("mrow"),
    token("mo", text || "^", text ? { stretchy: "false" } : { stretchy: "true" }),
  ]);
}

/** A line over or under. */
function lined(e: DomElement): MathNode {
  const vlist = find(e, "vlist");
  const under = has(e, "underline");
  const base = (vlist ? layers(vlist) : []).find(
    (p) => !find(p.e, under ? "underline-line" : "overline-line", 1),
  );
  const body = base ? content(base.e) : mathNode("mrow");
  return mathNode(under ? "munder" : "mover", [body, token("mo", "‾", { stretchy: "true" })]);
}

/** Columns of vertical lists as rows. */
function table(e: DomElement): MathNode {
  const columns = childElements(e).filter((c) => /(?:^|\s)col-align-/.test(c.getAttribute("class") ?? ""));
  const cells = columns.map((c) => {
    const vlist = find(c, "vlist");
    return vlist ? layers(vlist).map((p) => content(p.e)) : [];
  });
  const rows = Math.max(0, ...cells.map((c) => c.length));
  const align = columns.map(
    (c) =>
      ({ l: "left", r: "right", c: "center" })[
        /col-align-([lrc])/.exec(c.getAttribute("class") ?? "")?.[1] ?? "c"
      ],
  );
  const made = Array.from({ length: rows }, (_, i) =>
    mathNode(
      "mtr",
      cells.map((c) => mathNode("mtd", c[i] ? [c[i]!] : [])),
    ),
  );
  return mathNode("mtable", made, { columnalign: align.join(" ") });
}

function spaced(e: DomElement): MathNode[] {
  const em = Number(/margin-right:\s*([-\d.]+)em/.exec(e.getAttribute("style") ?? "")?.[1] ?? 0);
  return em >= 1 ? [token("mspace", "", { width: `${em}em` })] : [];
}

function element(e: DomElement): MathNode[] {
  if (
    has(e, "strut") ||
    has(e, "pstrut") ||
    has(e, "vlist-s") ||
    has(e, "nulldelimiter") ||
    has(e, "frac-line")
  )
    return [];
  if (has(e, "mspace")) return spaced(e);
  if (has(e, "mfrac")) return [fraction(e)];
  if (has(e, "sqrt")) return [root(e)];
  if (has(e, "accent") && !has(e, "accent-body")) return [accent(e)];
  if (has(e, "overline") || has(e, "underline")) return [lined(e)];
  if (has(e, "mrel") && (e.textContent ?? "").includes("\ue020")) return [token("mo", "≠")];
  if (has(e, "mtable")) return [table(e)];
  if (has(e, "op-limits")) return [limits(e)];
  if (has(e, "delimsizing") || has(e, "op-symbol")) {
    const text = (e.textContent ?? "").replace(/\u200b/g, "");
    return [token("mo", text, has(e, "delimsizing") ? { fence: "true" } : {})];
  }
  if (has(e, "minner") && find(e, "mopen", 0) && find(e, "mclose", 0)) return [row(fenced(e))];
  if (has(e, "text")) return [token("mtext", (e.textContent ?? "").replace(/\u200b/g, ""))];
  const name = has(e, "mop") ? (e.textContent ?? "").replace(/\u200b/g, "") : "";
  if (/^[a-z]{2,}$/i.test(name) && !find(e, "vlist")) return [token("mi", name)];
  return nodesOf(e);
}

/** \left … \right: the fences grow. */
function fenced(e: DomElement): MathNode[] {
  return nodesOf(e).map((n, i, all) =>
    n.name === "mo" && (i === 0 || i === all.length - 1) ? token("mo", n.text, { fence: "true" }) : n,
  );
}

function nodesOf(e: DomElement): MathNode[] {
  const out: MathNode[] = [];
  for (let c: DomNode | null = e.firstChild; c; c = c.nextSibling) {
    if (c.nodeType === 3) {
      out.push(...leaf(c.textContent ?? "", e));
      continue;
    }
    if (!isElement(c)) continue;
    if (has(c, "msupsub")) out.push(scripts(c, out.pop()));
    else out.push(...element(c));
  }
  return merged(out);
}

/** The tree of a `.katex-html` element. */
export function readKatex(e: DomElement): MathNode {
  return mathNode("math", nodesOf(e));
}
