// Sources of formulas that renderers and editors leave in attributes, in the text of elements made for them, and in
// simple markup. Names say where to look, the value decides.
import { type DomElement, type DomNode, isElement } from "../dom.ts";
import { symbols } from "./symbols.ts";
import { hasTexMarks, isFormula, isProse } from "./tex.ts";

const SOURCE_NAME =
  /(?:^|[-_])(?:(?:la|ka)?tex|math|formula|equation|eqn?|expr(?:ession)?|tex-?source|latex-?source|math-?source)(?:-?(?:source|code|content|value|original|string))?$/;
const known = new Map<string, boolean>();

function isSourceName(name: string): boolean {
  let yes = known.get(name);
  if (yes === undefined) {
    yes = SOURCE_NAME.test(name) && !/^(?:class|id|style|href|src)$/.test(name);
    if (known.size < 10_000) known.set(name, yes);
  }
  return yes;
}

/** The value of an attribute that holds the element's source. */
export function attributeSource(e: DomElement): string | undefined {
  for (let i = 0; i < e.attributes.length; i++) {
    const { name, value } = e.attributes[i]!;
    if (!isSourceName(name.toLowerCase()) || value === "") continue;
    if (hasTexMarks(value) && !/^\s*[<{]\s*["a-z]/i.test(value.replace(/^\{\\/, ""))) return value;
    if (
      /(?:tex|formula)/.test(name) &&
      isFormula(value) &&
      !/^(?:true|false|inline|block|display)$/i.test(value)
    )
      return value;
  }
  const names = e.getAttribute("class") ?? "";
  const value = e.getAttribute("data-value") ?? e.getAttribute("value");
  if (value && (/formula|math|latex/i.test(names) || e.localName === "math-field") && isFormula(value))
    return value;
  return undefined;
}

/** Elements made for TeX. */
const TEX_ELEMENTS = new Set([
  "math-renderer",
  "d-math",
  "tex-math",
  "tex",
  "latex",
  "eq",
  "katex-expr",
  "math-tex",
  "math-inline",
  "math-block",
  "math-display",
  "la-tex",
  "x-tex",
  "ktex",
  "mathjax",
]);
/** Class names of elements whose text is a formula, and of those where it may be one. */
const FORMULA_CLASS =
  /(?:^|\s)(?:math(?:-?(?:inline|display|block|tex|container|expression|formula|eq))?|tex|latex|katex(?:-(?:inline|block|display|eq|source))?|jsmath|wp-katex(?:-eq)?|mathjax(?:_process)?|MathJax_Preview|js-render-math|arithmatex|tex2jax_process|(?:inline|display|block)-?(?:math|formula|equation|tex|latex)|ql-formula|latex-formula|formula-tex)(?:\s|$)/i;
const MAYBE_CLASS = /math|latex|katex|formula|equation|(?:^|[\s_-])tex(?:$|[\s_-])/i;

function leaf(e: DomElement): boolean {
  const only = e.firstElementChild;
  if (e.localName === "pre" && only?.localName === "code" && !only.nextElementSibling) return leaf(only);
  for (let c = e.firstElementChild; c; c = c.nextElementSibling)
    if (c.localName !== "br" && c.localName !== "wbr") return false;
  return true;
}

const DELIMITED = /^\s*(?:\\\([\s\S]*\\\)|\\\[[\s\S]*\\\]|\$[\s\S]+\$)\s*$/;

/** A formula that an element's text is. */
export function textSource(e: DomElement): string | undefined {
  const names = e.getAttribute("class") ?? "";
  const sure = TEX_ELEMENTS.has(e.localName) || FORMULA_CLASS.test(names);
  if (!sure && !MAYBE_CLASS.test(names)) return undefined;
  if (!leaf(e)) {
    if (!sure) return undefined;
    const made = simpleMarkup(e);
    return made !== undefined && isFormula(made) ? made : undefined;
  }
  const text = e.textContent ?? "";
  if (text.length > 10_000 || text.trim() === "") return undefined;
  if (DELIMITED.test(text)) return text;
  // Several formulas and words between them are the delimiters' business.
  if (/\\\(|\\\[|\$/.test(text)) return undefined;
  if (sure ? isFormula(text) : hasTexMarks(text) && !isProse(text)) return text;
  return undefined;
}

/** Letters in italics, indices and powers: what pandoc and wikis write without a renderer. */
function simpleMarkup(e: DomElement): string | undefined {
  const out: string[] = [];
  const visit = (node: DomNode): boolean => {
    for (let c = node.firstChild; c; c = c.nextSibling) {
      if (c.nodeType === 3)
        out.push(symbols((c.textContent ?? "").replace(/\s+/g, " ")).replace(/^(?=\w)/, " "));
      else if (isElement(c)) {
        const name = c.localName;
        if (name === "sup" || name === "sub") {
          out.push(name === "sup" ? "^{" : "_{");
          if (!visit(c)) return false;
          out.push("}");
        } else if (name === "strong" || name === "b") {
          out.push("\\mathbf{");
          if (!visit(c)) return false;
          out.push("}");
        } else if (/^(?:em|i|var|span|font|nobr)$/.test(name)) {
          if (!visit(c)) return false;
        } else return false;
      }
    }
    return true;
  };
  if (!visit(e)) return undefined;
  return out.join("").replace(/\{ /g, "{").replace(/ {2,}/g, " ").trim();
}

/** Whether a formula stands on a line of its own. */
export function isDisplay(e: DomElement): boolean {
  const attribute = (name: string) => (e.getAttribute(name) ?? "").toLowerCase();
  if (/^(?:block|true|display)$/.test(attribute("display")) || attribute("data-display") === "true")
    return true;
  if (/display|block/.test(attribute("data-math-style")) || attribute("mode") === "display") return true;
  if (/^(?:block|true|displaymath)$/.test(attribute("env")) || e.hasAttribute("block")) return true;
  if (e.localName === "div" || e.localName === "math-block" || e.localName === "math-display") return true;
  return /(?:^|[\s_-])(?:display|block|formuladsp)(?:$|[\s_-])|mwe-math-fallback-image-display|displaymath|numberedequation/i.test(
    e.getAttribute("class") ?? "",
  );
}
