// Finds math in a page, whatever rendered it, and replaces it by LaTeX between dollar signs before the main-content step
// could drop it. What stands beside a formula is its source only if it reads as one.
import type { DomDocument, DomElement, DomNode } from "../dom.ts";
import { parseDom } from "../dom.ts";
import { texOfImage, wirisMathml } from "./images.ts";
import { readKatex } from "./katex.ts";
import { MATH_END, MATH_START } from "./marks.ts";
import { readContainer } from "./mathjax.ts";
import { localName, mathmlToLatex } from "./mathml.ts";
import { printed } from "./printed.ts";
import { attributeSource, isDisplay, textSource } from "./sources.ts";
import { delimited, hasTexMarks, isFormula, isProse } from "./tex.ts";

interface Formula {
  tex: string;
  display: boolean;
}

/** What MathJax 2 drew beside its script, and what it shows before that. */
const COPIES =
  /(?:^|\s)(?:MathJax_Preview|MathJax|MathJax_Display|MathJax_CHTML|MathJax_SVG\w*|mjx-chtml|MJXc-display)(?:\s|$)/;
const KATEX = /(?:^|\s)katex(?:\s|$)/;
const TEX_ENCODING = /(?:^|[^a-z])(?:la|ams|x-la|x-)?tex(?:$|[^a-z])/i;

/** Source in a formula's annotation. */
function annotationOf(element: DomElement): string | undefined {
  for (const a of descendants(element, "annotation")) {
    const text = a.textContent ?? "";
    if (TEX_ENCODING.test(a.getAttribute("encoding") ?? "") && text.trim() !== "") return text;
  }
  return undefined;
}

function descendants(root: DomElement, name: string, out: DomElement[] = []): DomElement[] {
  for (let c = root.firstElementChild; c; c = c.nextElementSibling) {
    if (localName(c) === name) out.push(c);
    else descendants(c, name, out);
  }
  return out;
}

const first = (root: DomElement, name: string): DomElement | undefined => descendants(root, name)[0];

function texOfMath(math: DomElement): string {
  const source = annotationOf(math) ?? attributeSource(math);
  if (source) return source;
  const alternative = math.getAttribute("alttext") ?? "";
  if (
    alternative !== "" &&
    (hasTexMarks(alternative) || isFormula(alternative)) &&
    !(isProse(alternative) && !alternative.includes("\\"))
  )
    return alternative;
  const made = mathmlToLatex(math).trim();
  return made === "" && !math.firstElementChild ? (math.textContent ?? "") : made;
}

function parsedMath(markup: string): string {
  const document = parseDom(`<html><body>${markup}</body></html>`);
  const math = document.body && first(document.body, "math");
  return math ? texOfMath(math) : (document.body?.textContent ?? "");
}

function ofScript(e: DomElement, type: string): Formula {
  const content = e.textContent ?? "";
  const display = /mode\s*=\s*display/.test(type);
  return {
    tex: type.startsWith("math/mml")
      ? parsedMath(content)
      : content.replace(/^\s*%?\s*<!\[CDATA\[|%?\s*\]\]>\s*$/g, ""),
    display,
  };
}

function ofContainer(e: DomElement): Formula | undefined {
  const display = e.getAttribute("display") === "true" || e.getAttribute("display") === "block";
  const math = first(e, "math");
  const found = readContainer(e);
  if (typeof found === "string") return { tex: found, display };
  if (math) return { tex: texOfMath(math), display };
  const tex = found ? printed(found) : "";
  return tex.trim() === "" ? undefined : { tex, display };
}

function ofKatex(e: DomElement): Formula | undefined {
  const parent = e.parentElement?.getAttribute("class") ?? "";
  const display = /(?:^|\s)katex-display(?:\s|$)/.test(`${parent} ${e.getAttribute("class") ?? ""}`);
  const source =
    annotationOf(e) ?? attributeSource(e) ?? (e.parentElement && attributeSource(e.parentElement));
  if (source) return { tex: source, display };
  const math = first(e, "math");
  if (math) return { tex: texOfMath(math), display };
  const html = e.querySelector(".katex-html");
  if (html) return { tex: printed(readKatex(html)), display };
  const text = textSource(e);
  return text === undefined ? undefined : { tex: text, display };
}

/** Wikipedia's element: MathML, or only a picture with the source as its text. */
function ofWiki(e: DomElement): Formula | undefined {
  const math = first(e, "math");
  if (math) return { tex: texOfMath(math), display: isDisplay(math) };
  const img = first(e, "img");
  const tex = img && (texOfImage(img) ?? img.getAttribute("alt"));
  return tex ? { tex, display: isDisplay(img!) } : undefined;
}

function ofImage(e: DomElement): Formula | undefined {
  const wiris = wirisMathml(e);
  const tex = wiris ? parsedMath(wiris) : texOfImage(e);
  return tex ? { tex, display: isDisplay(e) } : undefined;
}

/** The formula that an element is; undefined for none. */
function formulaOf(e: DomElement, scripts: boolean): Formula | undefined {
  const name = localName(e);
  switch (name) {
    case "script":
      return ofScript(e, e.getAttribute("type")!);
    case "math":
      return { tex: texOfMath(e), display: isDisplay(e) };
    case "img":
    case "object":
    case "embed":
      return ofImage(e);
    case "mjx-container":
      return ofContainer(e);
    case "svg": {
      const label = e.getAttribute("aria-label") ?? first(e, "title")?.textContent ?? "";
      return hasTexMarks(label) && !isProse(label) ? { tex: label, display: isDisplay(e) } : undefined;
    }
  }
  const names = e.getAttribute("class") ?? "";
  if (KATEX.test(names)) return ofKatex(e);
  if (names.includes("mwe-math-element")) return ofWiki(e);
  const markup = e.getAttribute("data-mathml");
  if (markup && /<\s*(?:\w+:)?math/i.test(markup)) return { tex: parsedMath(markup), display: isDisplay(e) };
  const source = attributeSource(e);
  if (source !== undefined) return { tex: source, display: isDisplay(e) };
  if (!scripts && /(?:^|\s)MathJax(?:_Display|_CHTML|_SVG)?(?:\s|$)/.test(names)) {
    const math = first(e, "math");
    if (math) return { tex: texOfMath(math), display: /Display/.test(names) };
  }
  const text =
    names !== "" || name.includes("-") || /^(?:tex|latex|eq|mathjax)$/.test(name) ? textSource(e) : undefined;
  return text === undefined ? undefined : { tex: text, display: isDisplay(e) };
}

/** The same; a formula that cannot be read is none, and the rest of the page is read. */
function soundFormula(e: DomElement, scripts: boolean): Formula | undefined {
  try {
    return formulaOf(e, scripts);
  } catch {
    return undefined;
  }
}

const CODE = new Set(["pre", "code", "kbd", "samp", "textarea", "xmp", "listing"]);

class Marker {
  private scripts = false;
  /** The formula that was put last. */
  private last: DomNode | undefined;
  constructor(private readonly document: DomDocument) {}

  mark(root: DomElement): void {
    this.scripts = this.hasScripts(root);
    this.visit(root);
  }

  private hasScripts(e: DomElement): boolean {
    for (let c = e.firstElementChild; c; c = c.nextElementSibling) {
      if (c.localName === "script" ? /^math\//.test(c.getAttribute("type") ?? "") : this.hasScripts(c))
        return true;
    }
    return false;
  }

  /** Images of formulas in `noscript`: preserved unless the formula before them is the same one. */
  private withoutScripts(e: DomElement): void {
    const { last } = this;
    const between = last?.nextSibling;
    const blank =
      between && between !== e && between.nodeType === 3 && (between.textContent ?? "").trim() === "";
    const copied = last !== undefined && (between === e || (blank && between.nextSibling === e));
    this.visit(e);
    const text = e.textContent ?? "";
    if (!text.includes(MATH_START)) return;
    if (copied) e.remove();
    else e.replaceWith(this.document.createTextNode(text));
  }

  private put(e: DomElement, { tex, display }: Formula): void {
    const text = delimited(tex, display);
    const shown = text === "" ? "" : `${MATH_START}${text}${MATH_END}`;
    this.last = this.document.createTextNode(text.startsWith("$$") ? ` ${shown} ` : shown);
    e.replaceWith(this.last);
  }

  /** Visits the children; those that are formulas are replaced and not searched further. */
  private visit(parent: DomElement): void {
    for (let e = parent.firstElementChild; e; ) {
      const next = e.nextElementSibling;
      if (this.isCopy(e)) e.remove();
      else if (e.localName === "noscript") this.withoutScripts(e);
      else if (e.localName === "script") {
        const isMath = /^math\/(?:tex|mml|asciimath)/.test(e.getAttribute("type") ?? "");
        const found = isMath ? soundFormula(e, true) : undefined;
        if (found) this.put(e, found);
      } else {
        const found = this.candidate(e) ? soundFormula(e, this.scripts) : undefined;
        if (found && found.tex.trim() !== "") this.put(e, found);
        else if (!CODE.has(e.localName) && localName(e) !== "math") this.visit(e);
      }
      e = next;
    }
  }

  private isCopy(e: DomElement): boolean {
    const names = e.getAttribute("class") ?? "";
    if (names === "") return false;
    if (this.scripts) return COPIES.test(names);
    return (
      /(?:^|\s)MathJax_Preview(?:\s|$)/.test(names) &&
      /(?:^|\s)MathJax/.test(e.nextElementSibling?.getAttribute("class") ?? "")
    );
  }

  /** Code is left alone unless it is marked as a formula. */
  private candidate(e: DomElement): boolean {
    if (e === this.document.body) return false;
    if (!CODE.has(e.localName)) return true;
    return /(?:^|\s)(?:js-render-math|math|katex)(?:\s|$)|language-math/.test(e.getAttribute("class") ?? "");
  }
}

/** Replaces all math of a parsed page by delimited LaTeX text, in place. */
export function markMath(document: DomDocument): void {
  const root = document.body ?? document.documentElement;
  if (root) new Marker(document).mark(root);
}
