// What MathJax 3 and 4 leave on a page without the formula's source: CHTML elements and SVG groups name the MathML they
// were made of, characters are in class names or text. MathJax 2 has the same in the classes of spans.
import { childElements, type DomElement, isElement } from "../dom.ts";
import { characterOf, type MathNode, mathNode, row, token } from "./node.ts";

const TOKENS = new Set(["mi", "mn", "mo", "mtext", "ms"]);
/** Parts of the layout that hold nothing of the formula. */
const STRUTS = new Set([
  "nstrut",
  "dstrut",
  "line",
  "spacer",
  "surd",
  "linestrut",
  "tstrut",
  "bstrut",
  "break",
  "strut",
  "annotation",
  "assistive-mml",
  "speech",
]);

/** Name of a CHTML element without `mjx-`. */
const chtmlName = (e: DomElement): string => e.localName.toLowerCase().replace(/^mjx-/, "");

/** Characters of a token: the text, else the code points that its class names hold. */
function characters(e: DomElement): string {
  let out = "";
  for (const c of childElements(e)) {
    const name = chtmlName(c);
    if (name === "c") {
      const code = /(?:^|\s)mjx-c([0-9A-F]+)(?:\s|$)/.exec(c.getAttribute("class") ?? "")?.[1];
      out += (code && characterOf(code)) || (c.textContent ?? "");
    } else if (name === "utext" || name === "text") out += c.textContent ?? "";
    else if (name === "stretchy-v" || name === "stretchy-h") out += stretched(c);
    else if (!STRUTS.has(name)) out += characters(c);
  }
  return out || (e.firstElementChild ? "" : (e.textContent ?? ""));
}

/** First pieces of delimiters that are put together. */
const PIECES: Record<string, string> = {
  "⎛": "(",
  "⎜": "(",
  "⎞": ")",
  "⎟": ")",
  "⎡": "[",
  "⎢": "[",
  "⎤": "]",
  "⎥": "]",
  "⎧": "{",
  "⎨": "{",
  "⎫": "}",
  "⎬": "}",
  "⏐": "|",
  "∥": "‖",
};

/** The sign that pieces of the fonts' own make up. */
function whole(text: string): string {
  const pieces = [...text];
  const first = pieces[0] ?? "";
  if (/^[\ue150-\ue15f]+$/.test(text)) return "⏟";
  if (PIECES[first]) return PIECES[first]!;
  return pieces.length > 1 && /^[→←↔⇒⇐]/.test(text) ? first : text;
}

/** A delimiter of pieces; version 3 has only the extension in its class, and the character of the whole on it. */
function stretched(e: DomElement): string {
  const own = /(?:^|\s)mjx-c([0-9A-F]+)(?:\s|$)/.exec(e.getAttribute("class") ?? "")?.[1];
  if (own) return characterOf(own);
  for (const c of childElements(e)) {
    const piece = characters(c);
    if (piece) return PIECES[piece] ?? piece;
  }
  return "";
}

function styleAttributes(e: DomElement): Record<string, string> {
  const variant = /(?:^|\s)mjx-(b|bi|ds|cal|frak|ss|tt)(?:\s|$)/.exec(e.getAttribute("class") ?? "")?.[1];
  const names: Record<string, string> = {
    b: "bold",
    bi: "bold-italic",
    ds: "double-struck",
    cal: "script",
    frak: "fraktur",
    ss: "sans-serif",
    tt: "monospace",
  };
  const upright = /(?:^|\s)mjx-n(?:\s|$)/.test(e.getAttribute("class") ?? "");
  if (variant) return { mathvariant: names[variant]! };
  return upright && chtmlName(e) === "mi" ? { mathvariant: "normal" } : {};
}

/** Children as trees; layout boxes pass theirs on. */
function chtmlKids(e: DomElement): MathNode[] {
  return childElements(e).flatMap((c) => {
    const name = chtmlName(c);
    if (STRUTS.has(name)) return [];
    return /^(?:box|frac|num|den|dbox|dtable|row|base|script|table|itable|root|sqrt|mlabels|labels|under|over)$/.test(
      name,
    )
      ? chtmlKids(c)
      : [chtml(c)];
  });
}

function descendant(e: DomElement, wanted: string): DomElement | undefined {
  for (const c of childElements(e)) {
    const name = chtmlName(c);
    if (name === wanted) return c;
    if (/^(?:box|frac|dbox|dtable|row|table|munder|over|under|base|sqrt)$/.test(name)) {
      const found = descendant(c, wanted);
      if (found) return found;
    }
  }
  return undefined;
}

const part = (e: DomElement, name: string): MathNode => {
  const found = descendant(e, name);
  return found ? row(chtmlKids(found)) : mathNode("mrow");
};

/** Base and scripts: in one box the upper script comes first. */
function chtmlScripts(e: DomElement, name: string): MathNode {
  const kids = childElements(e);
  const script = kids.find((c) => chtmlName(c) === "script");
  if (!script) return limits(e, name);
  const base = row(
    kids
      .filter((c) => chtmlName(c) !== "script")
      .flatMap((c) => (chtmlName(c) === "base" ? chtmlKids(c) : [chtml(c)])),
  );
  const parts = childElements(script);
  const spacer = parts.findIndex((c) => chtmlName(c) === "spacer");
  if (spacer >= 0) {
    const [above, below] = [parts.slice(0, spacer), parts.slice(spacer + 1)].map((p) => row(p.map(chtml)));
    return mathNode(name === "munderover" ? "munderover" : "msubsup", [base, below!, above!]);
  }
  const one = row(parts.map(chtml));
  if (name === "munder" || name === "msub") return mathNode(name, [base, one]);
  if (name === "msubsup" || name === "munderover")
    return mathNode(/vertical-align:\s*-/.test(script.getAttribute("style") ?? "") ? "msub" : "msup", [
      base,
      one,
    ]);
  return mathNode(name, [base, one]);
}

function limits(e: DomElement, name: string): MathNode {
  const base = part(e, "base");
  if (name === "munderover") return mathNode(name, [base, part(e, "under"), part(e, "over")]);
  return mathNode(name, [base, part(e, name === "munder" ? "under" : "over")]);
}

function chtmlTable(e: DomElement): MathNode {
  const rows: MathNode[] = [];
  const visit = (x: DomElement): void => {
    for (const c of childElements(x)) {
      const name = chtmlName(c);
      if (name === "mtr" || name === "mlabeledtr") {
        const cells = childElements(c).filter((d) => chtmlName(d) === "mtd");
        rows.push(
          mathNode(
            "mtr",
            cells.map((d) => mathNode("mtd", chtmlKids(d))),
          ),
        );
      } else if (/^(?:table|itable|tbody)$/.test(name)) visit(c);
    }
  };
  visit(e);
  const first: DomElement[] = [];
  const align = (x: DomElement): void => {
    for (const c of childElements(x)) {
      const name = chtmlName(c);
      if (name === "mtd") first.push(c);
      else if (/^(?:table|itable|mtr)$/.test(name) && first.length === 0) align(c);
    }
  };
  align(e);
  const alignment = first.map(
    (c) => /text-align:\s*(left|right)/.exec(c.getAttribute("style") ?? "")?.[1] ?? "center",
  );
  return mathNode("mtable", rows, { columnalign: alignment.join(" ") });
}

/** A CHTML element as a tree. */
function chtml(e: DomElement): MathNode {
  const name = chtmlName(e);
  if (TOKENS.has(name)) {
    const text = characters(e);
    return token(name, text, styleAttributes(e));
  }
  switch (name) {
    case "c":
      return token("mo", characters(e.parentElement ?? e));
    case "mspace":
      return token("mspace", "", {
        width: /width:\s*([-\d.]+em)/.exec(e.getAttribute("style") ?? "")?.[1] ?? "",
      });
    case "mfrac": {
      const lined =
        descendant(e, "line") ??
        childElements(e).some((c) => chtmlName(c) === "frac" && !c.getAttribute("atop"));
      return mathNode("mfrac", [part(e, "num"), part(e, "den")], lined ? {} : { linethickness: "0" });
    }
    case "msqrt":
      return mathNode("msqrt", [part(e, "box")]);
    case "mroot":
      return mathNode("mroot", [part(e, "box"), part(e, "root")]);
    case "msup":
    case "msub":
    case "msubsup":
      return chtmlScripts(e, name);
    case "mover":
    case "munder":
    case "munderover":
      return chtmlScripts(e, name);
    case "mtable":
      return chtmlTable(e);
    case "menclose":
      return mathNode("menclose", chtmlKids(e), { notation: e.getAttribute("notation") ?? "box" });
    default:
      return mathNode(name === "texatom" ? "texatom" : "mrow", chtmlKids(e));
  }
}

/** Variants by the fonts that links to glyphs name. */
const SVG_FONTS: Record<string, string> = {
  N: "normal",
  B: "bold",
  BI: "bold-italic",
  C: "script",
  CB: "bold-script",
  F: "fraktur",
  FB: "bold-fraktur",
  SS: "sans-serif",
  T: "monospace",
};

/** Characters of an SVG token: code points in `data-c`, or text. */
function svgCharacters(e: DomElement): string {
  let out = "";
  for (const c of childElements(e)) {
    const code = c.getAttribute("data-c");
    if (code) out += characterOf(code);
    else if (c.localName === "text") out += c.textContent ?? "";
    else if (c.localName === "use") {
      const link = c.getAttribute("xlink:href") ?? c.getAttribute("href") ?? "";
      const last = /-([0-9A-F]{2,5})$/.exec(link)?.[1];
      if (last) out += characterOf(last);
    } else out += svgCharacters(c);
  }
  return out;
}

function svgKids(e: DomElement): MathNode[] {
  return childElements(e).flatMap((c) => {
    if (c.localName === "defs" || c.localName === "rect") return [];
    const name = c.getAttribute("data-mml-node");
    if (name) return [svg(c, name)];
    return c.firstElementChild ? svgKids(c) : [];
  });
}

const height = (e: DomElement): number =>
  Number(/translate\([-\d.]+(?:,([-\d.]+))?\)/.exec(e.getAttribute("transform") ?? "")?.[1] ?? 0);

/** An SVG group as a tree. */
function svg(e: DomElement, name: string): MathNode {
  if (TOKENS.has(name)) {
    const link = e.querySelector("use")?.getAttribute("xlink:href") ?? "";
    const font = name === "mi" ? (/-([A-Z]{1,3})-[0-9A-F]+$/.exec(link)?.[1] ?? "") : "";
    const variant = SVG_FONTS[font];
    const text = svgCharacters(e);
    return token(name, name === "mo" ? whole(text) : text, variant ? { mathvariant: variant } : {});
  }
  const kids = svgKids(e);
  switch (name) {
    case "mfrac": {
      const lined = childElements(e).some((c) => c.localName === "rect");
      return mathNode("mfrac", kids, lined ? {} : { linethickness: "0" });
    }
    case "msqrt":
      return mathNode("msqrt", [row(kids.slice(0, -1))]);
    case "mroot": {
      const rest = kids.filter((k) => !(k.name === "mo" && k.text === "√"));
      return mathNode("mroot", [row(rest.slice(0, -1)), rest.at(-1) ?? mathNode("mrow")]);
    }
    case "munderover":
    case "msubsup": {
      // The order on the page is base, upper, lower; positions decide.
      const parts = childElements(e).filter((c) => c.getAttribute("data-mml-node"));
      if (kids.length === 3 && parts.length === 3 && height(parts[1]!) > height(parts[2]!))
        return mathNode(name, [kids[0]!, kids[2]!, kids[1]!]);
      if (kids.length === 2) return mathNode(parts[1] && height(parts[1]) < 0 ? "msub" : "msup", kids);
      return mathNode(name, kids);
    }
    case "menclose":
      return mathNode("menclose", kids, { notation: "box" });
    case "mtable":
    case "mtr":
    case "mlabeledtr":
    case "mtd":
    case "msup":
    case "msub":
    case "mover":
    case "munder":
      return mathNode(name, kids);
    default:
      return mathNode(name === "TeXAtom" ? "texatom" : "mrow", kids);
  }
}

/** Attributes with the source, which version 4 leaves on the root of a formula. */
function sourceOf(container: DomElement): string | undefined {
  const own = container.getAttribute("data-latex");
  if (own) return own;
  const root =
    container.querySelector("mjx-math[data-latex]") ??
    container.querySelector('[data-mml-node="math"][data-latex]');
  return root?.getAttribute("data-latex") ?? undefined;
}

/** Source or tree of an `mjx-container` without MathML in it. */
export function readContainer(container: DomElement): string | MathNode | undefined {
  const source = sourceOf(container);
  if (source) return source;
  const math = container.querySelector("mjx-math");
  if (math) return mathNode("math", chtmlKids(math));
  const picture = container.querySelector('[data-mml-node="math"]');
  return picture && isElement(picture) ? mathNode("math", svgKids(picture)) : undefined;
}
