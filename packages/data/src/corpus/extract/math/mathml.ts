// MathML of a page, presentation or content, with or without a prefix, as a tree, and as LaTeX.
import { type DomElement, type DomNode, isElement } from "../dom.ts";
import { contentMath, isContentMath } from "./content.ts";
import { type MathNode, mathNode, token } from "./node.ts";
import { printed } from "./printed.ts";

const TOKENS = new Set(["mi", "mn", "mo", "mtext", "ms", "mglyph", "ci", "cn", "csymbol"]);

/** Name of an element without its prefix, lower case. */
export function localName(element: DomElement): string {
  return element.localName.toLowerCase().replace(/^.*:/, "");
}

const ATTRIBUTES = [
  "accent",
  "base",
  "bevelled",
  "close",
  "columnalign",
  "columnlines",
  "data-mjx-texclass",
  "data-mjx-variant",
  "display",
  "displaystyle",
  "fence",
  "form",
  "linebreak",
  "linethickness",
  "lquote",
  "mathvariant",
  "maxsize",
  "minsize",
  "notation",
  "open",
  "rowlines",
  "rquote",
  "scriptlevel",
  "separators",
  "stretchy",
  "type",
  "width",
];

function attributesOf(element: DomElement): Record<string, string> {
  const out: Record<string, string> = {};
  for (const name of ATTRIBUTES) {
    const value = element.getAttribute(name);
    if (value !== null) out[name] = value;
  }
  return out;
}

/** What the first annotation in MathML has. */
function annotated(semantics: DomElement): MathNode[] {
  for (let c = semantics.firstElementChild; c; c = c.nextElementSibling)
    if (localName(c) === "annotation-xml" && /mathml/i.test(c.getAttribute("encoding") ?? "mathml")) {
      const kids: MathNode[] = [];
      for (let k = c.firstElementChild; k; k = k.nextElementSibling) kids.push(readMathml(k));
      if (kids.length > 0) return kids;
    }
  return [];
}

/** The tree of a MathML element. */
export function readMathml(node: DomNode): MathNode {
  if (!isElement(node)) return token("#text", node.nodeType === 3 ? (node.textContent ?? "") : "");
  const name = localName(node);
  const attributes = attributesOf(node);
  const kids: MathNode[] = [];
  let elements = false;
  for (let c = node.firstChild; c; c = c.nextSibling) {
    if (isElement(c)) {
      elements = true;
      if (name !== "semantics" || !/^annotation/.test(localName(c))) kids.push(readMathml(c));
    } else if (c.nodeType === 3 && (c.textContent ?? "").trim() !== "")
      kids.push(token("#text", c.textContent!));
  }
  // A formula may have its content markup alone.
  if (name === "semantics" && kids.length === 0) kids.push(...annotated(node));
  const shown = name === "maction" ? kids[Number(node.getAttribute("selection") ?? 1) - 1] : undefined;
  if (shown) return shown;
  const made =
    TOKENS.has(name) && !elements
      ? token(name, node.textContent ?? "", attributes)
      : mathNode(name, kids, attributes);
  return isContentMath(made) ? contentMath(made) : made;
}

/** LaTeX of a `<math>` element or of any element inside one. */
export function mathmlToLatex(node: DomNode): string {
  return printed(readMathml(node));
}
