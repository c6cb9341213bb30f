// Elements in the place of styles, before the main-content step drops styles: sup and sub for raised and lowered text, pre for text
// whose line breaks count.
import { type DomElement, type DomNode, isElement } from "./dom.ts";

const RAISED = /(?:^|\s)(?:super-?script|sup)(?:\s|$)/i;
const LOWERED = /(?:^|\s)(?:sub-?script|sub)(?:\s|$)/i;
const STYLED = '[style],[class*="script"],[class~="sup"],[class~="sub"]';
/** Indices and powers are short. */
const MAX_CHARACTERS = 40;

function scriptOf(e: DomElement, style: string): "sup" | "sub" | undefined {
  if (!/^(?:span|font|small|i|em|b|strong|var)$/.test(e.localName)) return undefined;
  const names = e.getAttribute("class") ?? "";
  const raised = /vertical-align\s*:\s*super/i.test(style) || RAISED.test(names);
  if (!raised && !/vertical-align\s*:\s*sub/i.test(style) && !LOWERED.test(names)) return undefined;
  // What is inside is looked at last: it costs its size.
  if ((e.textContent ?? "").length > MAX_CHARACTERS || e.querySelector("sup,sub")) return undefined;
  return raised ? "sup" : "sub";
}

/** Whether the text is set line by line, as code is; prose that only wraps is not. */
function isSet(e: DomElement, style: string): boolean {
  if (!/white-space\s*:\s*pre(?:;|\s|$)/i.test(style) || /^(?:pre|code|body)$/.test(e.localName))
    return false;
  return (e.textContent ?? "").trim().includes("\n") && !e.querySelector("p,div,table,ul,ol,pre,h1,h2,h3,br");
}

const FRACTIONS = '[class~="frac"],[class~="sfrac"],[class~="tfrac"],[class~="fraction"],[style*="inline-"]';
const ABOVE = '[class~="num"],[class~="numerator"],[class~="top"]';
const BELOW = '[class~="den"],[class~="denominator"],[class~="bottom"]';
/** What stands above or below a bar without brackets: one number or name. */
const SINGLE = /^\s*(?:\d+(?:[.,]\d+)*|\p{L}|\p{L}{2,})\s*$/u;

/** The nodes of a part, in brackets unless it is one number or name. */
function bracketed(of: DomElement): DomNode[] {
  const document = of.ownerDocument;
  const kids = Array.from(of.childNodes);
  const single = SINGLE.test(of.textContent ?? "") && of.querySelector("sup,sub") === null;
  return single ? kids : [document.createTextNode("("), ...kids, document.createTextNode(")")];
}

/** What stands above and below a bar that is a border between the two children of an element. */
function overBorder(e: DomElement): [DomElement, DomElement] | undefined {
  const [above, below] = [e.firstElementChild, e.lastElementChild];
  if (!above || !below || above.nextElementSibling !== below) return undefined;
  const bar = (of: DomElement, side: string) =>
    new RegExp(`border-${side}\\s*:\\s*(?!none|0)`, "i").test(of.getAttribute("style") ?? "");
  if (!bar(above, "bottom") && !bar(below, "top")) return undefined;
  const alone = Array.from(e.childNodes).every(
    (node) => isElement(node) || !/\S/.test(node.textContent ?? ""),
  );
  const inline = /inline-(?:block|table|flex)/i.test(e.getAttribute("style") ?? "");
  return alone && inline ? [above, below] : undefined;
}

/** Nodes of a fraction, at most. */
const MAX_NODES = 80;

/** Whether an element is as small as a fraction; no more of it is visited than that. */
function isSmall(e: DomElement): boolean {
  let [nodes, characters] = [0, 0];
  const visit = (node: DomNode): boolean => {
    for (let c = node.firstChild; c; c = c.nextSibling) {
      if (++nodes > MAX_NODES) return false;
      if (c.nodeType === 3) characters += (c.textContent ?? "").length;
      if (characters > 4 * MAX_CHARACTERS || !visit(c)) return false;
    }
    return true;
  };
  return visit(e);
}

/** Fractions by class or border, as a quotient on one line, apart from what stands before them. */
function setFractions(body: DomElement): void {
  const document = body.ownerDocument;
  for (const e of Array.from(body.querySelectorAll(FRACTIONS))) {
    if (e.closest("pre,code,math") || !body.contains(e)) continue;
    const bordered = overBorder(e);
    if ((!bordered && e.hasAttribute("style") && !e.hasAttribute("class")) || !isSmall(e)) continue;
    const [above, below] = bordered ?? [e.querySelector(ABOVE), e.querySelector(BELOW)];
    if (!above || !below || above.contains(below) || below.contains(above)) continue;
    const before: DomNode[] = [];
    for (let c = e.firstChild; c && !(isElement(c) && c.contains(above)); c = c.nextSibling) before.push(c);
    const whole = before.some((node) => /\S/.test(node.textContent ?? ""));
    const made = document.createElement("span");
    made.append(...before, document.createTextNode(whole || /\d$/.test(textBefore(e)) ? " " : ""));
    made.append(...bracketed(above), document.createTextNode("/"), ...bracketed(below));
    e.replaceWith(made);
  }
}

const textBefore = (e: DomElement): string =>
  e.previousSibling?.nodeType === 3 ? (e.previousSibling.textContent ?? "") : "";

const LINES = '[style*="overline"],[style*="border-top"]';

/** What a line above makes the argument of a root sign before it. */
function setRoots(body: DomElement): void {
  for (const e of Array.from(body.querySelectorAll(LINES)))
    if (/√\s*$/.test(textBefore(e)) && isSmall(e)) {
      const made = body.ownerDocument.createElement("span");
      made.append(...bracketed(e));
      e.replaceWith(made);
    }
}

/** Types of numbers by the names that styles have for them. */
const STYLE_TYPES: Record<string, string> = {
  "lower-alpha": "a",
  "lower-latin": "a",
  "upper-alpha": "A",
  "upper-latin": "A",
  "lower-roman": "i",
  "upper-roman": "I",
};

/** Types of lists by their style, as HTML's attribute states them. */
function setLists(body: DomElement): void {
  for (const e of Array.from(body.querySelectorAll('ol[style*="list-style"]'))) {
    const style = /list-style(?:-type)?\s*:\s*([a-z -]+)/i.exec(e.getAttribute("style") ?? "")?.[1] ?? "";
    const names = style.toLowerCase().split(/\s+/);
    const type = names.includes("none") ? "none" : names.map((name) => STYLE_TYPES[name]).find((x) => x);
    if (type !== undefined) e.setAttribute("type", type);
  }
}

/** Replaces elements that their style makes powers, indices or lines that stand, in place. */
export function markStyles(body: DomElement): void {
  setFractions(body);
  setRoots(body);
  setLists(body);
  const document = body.ownerDocument;
  for (const e of Array.from(body.querySelectorAll(STYLED))) {
    const style = e.getAttribute("style") ?? "";
    const name = scriptOf(e, style) ?? (isSet(e, style) ? "pre" : undefined);
    if (!name || e.closest("pre,code")) continue;
    const made = document.createElement(name);
    while (e.firstChild) made.append(e.firstChild);
    e.replaceWith(made);
  }
}
