// The math pre-pass: every known way to put mathematics on a page becomes `$…$` (inline) or `$$…$$` (display) text,
// before the main-content step could drop it.
import type { DomDocument, DomElement } from "./dom.ts";
import { mathmlToLatex } from "./mathml.ts";

const DISPLAY_STYLE = /^\{\\(display|text)style\s*([\s\S]*)\}$/;

function clean(tex: string): string {
  return tex
    .trim()
    .replace(DISPLAY_STYLE, "$2")
    .replace(/^\\(?:display|text)style\s+/, "")
    .replace(/^(\$\$?|\\\(|\\\[)\s*([\s\S]*?)\s*(\$\$?|\\\)|\\\])$/, "$2")
    .replace(/\s+/g, " ")
    .trim();
}

export function delimited(tex: string, display: boolean): string {
  const body = clean(tex);
  if (body === "") return "";
  return display ? `$$${body}$$` : `$${body}$`;
}

function put(document: DomDocument, element: DomElement, tex: string, display: boolean): void {
  const text = delimited(tex, display);
  element.replaceWith(document.createTextNode(display ? ` ${text} ` : text));
}

function annotationOf(element: DomElement): string | undefined {
  for (const a of element.querySelectorAll("annotation")) {
    const encoding = a.getAttribute("encoding") ?? "";
    if (/tex/i.test(encoding)) return a.textContent ?? undefined;
  }
  return undefined;
}

function texOfImage(img: DomElement): string | undefined {
  const src = img.getAttribute("src") ?? "";
  const codecogs = /codecogs\.com\/(?:gif|png|svg|pdf|eq)?[^?]*\?(.*)$/i.exec(src);
  const wordpress = /(?:wp\.com|wordpress\.com)\/latex\.php\?(?:.*&)?latex=([^&]*)/i.exec(src);
  const raw = wordpress?.[1] ?? codecogs?.[1];
  if (raw !== undefined) {
    try {
      return decodeURIComponent(raw.replace(/\+/g, " "))
        .replace(/^\\(?:inline|dpi\{\d+\}|bg_\w+|fn_\w+|large|small|LARGE)\s*/g, "")
        .trim();
    } catch {
      return img.getAttribute("alt") ?? undefined;
    }
  }
  const names = `${img.getAttribute("class") ?? ""} ${img.getAttribute("data-latex") ? "latex" : ""}`;
  if (
    /\b(tex|latex|math|equation|mwe-math[\w-]*|ql-img[\w-]*)\b/i.test(names) ||
    /\/(math|tex|latex)\//i.test(src)
  )
    return img.getAttribute("data-latex") ?? img.getAttribute("alt") ?? undefined;
  const alt = img.getAttribute("alt") ?? "";
  return /^(\$.+\$|\\\(.+\\\)|\\\[.+\\\])$/s.test(alt.trim()) ||
    /\\(frac|sum|int|sqrt|alpha|begin)\b/.test(alt)
    ? alt
    : undefined;
}

function isDisplay(element: DomElement): boolean {
  return (
    element.getAttribute("display") === "block" ||
    element.getAttribute("data-display") === "true" ||
    /\bdisplay\b|-display\b|\bblock\b|mwe-math-fallback-image-display/.test(
      element.getAttribute("class") ?? "",
    )
  );
}

const COPIES = /(^|\s)(MathJax_Preview|MathJax|MathJax_Display|MathJax_CHTML|MathJax_SVG)(\s|$)/;
const TEX_TEXT = /(^|\s)(wp-katex-eq|wp-katex|math-tex)(\s|$)/;
const KATEX = /(^|\s)katex(\s|$)/;

/** Elements that hold math, outermost first, found in one walk; a found element is not searched further. */
function mathElements(root: DomElement): { found: DomElement[]; copies: DomElement[]; scripts: boolean } {
  const found: DomElement[] = [];
  const copies: DomElement[] = [];
  let scripts = false;
  const visit = (e: DomElement): void => {
    switch (e.localName) {
      case "script":
        if (/^math\/(tex|mml)/.test(e.getAttribute("type") ?? "")) {
          scripts = true;
          found.push(e);
        }
        return;
      case "math":
      case "mjx-container":
      case "img":
        found.push(e);
        return;
    }
    const names = e.getAttribute("class");
    if (names) {
      if (COPIES.test(names)) copies.push(e);
      if (KATEX.test(names) || TEX_TEXT.test(names) || names.includes("mwe-math-element")) {
        found.push(e);
        return;
      }
    }
    if (e.hasAttribute("data-tex") || e.hasAttribute("data-mathml")) {
      found.push(e);
      return;
    }
    for (let c = e.firstElementChild; c; c = c.nextElementSibling) visit(c);
  };
  visit(root);
  return { found, copies, scripts };
}

function parsedMath(document: DomDocument, markup: string): string {
  const holder = document.createElement("span");
  holder.innerHTML = markup;
  const math = holder.querySelector("math");
  return math ? texOfMath(math) : (holder.textContent ?? "");
}

function texOfMath(math: DomElement): string {
  return annotationOf(math) ?? math.getAttribute("alttext") ?? mathmlToLatex(math);
}

function texOf(document: DomDocument, e: DomElement): { tex: string; display: boolean } | undefined {
  switch (e.localName) {
    case "script": {
      const type = e.getAttribute("type")!;
      const content = e.textContent ?? "";
      return {
        tex: type.startsWith("math/mml") ? parsedMath(document, content) : content,
        display: /mode\s*=\s*display/.test(type),
      };
    }
    case "math":
      return { tex: texOfMath(e), display: isDisplay(e) };
    case "img": {
      const tex = texOfImage(e);
      return tex ? { tex, display: isDisplay(e) } : undefined;
    }
    case "mjx-container": {
      const math = e.querySelector("math");
      return math ? { tex: texOfMath(math), display: e.getAttribute("display") === "true" } : undefined;
    }
  }
  const names = e.getAttribute("class") ?? "";
  const math = e.querySelector("math");
  if (KATEX.test(names)) {
    const display = /(^|\s)katex-display(\s|$)/.test(e.parentElement?.getAttribute("class") ?? "");
    return math ? { tex: texOfMath(math), display } : undefined;
  }
  if (names.includes("mwe-math-element")) {
    if (math) return { tex: texOfMath(math), display: isDisplay(math) };
    const img = e.querySelector("img");
    return img ? { tex: img.getAttribute("alt") ?? "", display: isDisplay(img) } : undefined;
  }
  const tex = e.getAttribute("data-tex");
  if (tex) return { tex, display: isDisplay(e) };
  const markup = e.getAttribute("data-mathml");
  if (markup) return { tex: parsedMath(document, markup), display: isDisplay(e) };
  return { tex: math ? texOfMath(math) : (e.textContent ?? ""), display: isDisplay(e) };
}

/** Replaces all math of a parsed page by delimited LaTeX text, in place. */
export function markMath(document: DomDocument): void {
  const root = document.body ?? document.documentElement;
  if (!root) return;
  const { found, copies, scripts } = mathElements(root);
  // What MathJax 2 rendered beside its script is a copy.
  if (scripts) for (const e of copies) e.remove();
  for (const e of found) {
    if (scripts && e.parentElement?.closest(".MathJax, .MathJax_Display, .MathJax_Preview")) continue;
    const math = texOf(document, e);
    if (math) put(document, e, math.tex, math.display);
  }
}

/** MathJax delimiters that stand in plain text: `\(…\)` → `$…$`, `\[…\]` → `$$…$$`. */
export function markDelimiters(text: string): string {
  if (!text.includes("\\(") && !text.includes("\\[")) return text;
  return text
    .replace(/\\\(([\s\S]{1,2000}?)\\\)/g, (_, tex: string) => delimited(tex, false))
    .replace(/\\\[([\s\S]{1,8000}?)\\\]/g, (_, tex: string) => delimited(tex, true));
}
