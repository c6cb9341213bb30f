// HTML to title and text: math marked first, then the page's own main element or Readability's choice, else the body.
import { Readability } from "@mozilla/readability";
import { nestsDeeperThan } from "./depth.ts";
import { type DomDocument, type DomElement, type DomNode, parseDom } from "./dom.ts";
import { markDelimiters, markMath } from "./math.ts";
import { domText } from "./text.ts";

export interface Extracted {
  title: string;
  text: string;
  /** How the main content was found: the page's own main element, Readability, or all of the body. */
  method: "main" | "readability" | "body";
}

/** A main element or article with less than this share of the body's text is not the page's content. */
const MAIN_SHARE = 0.3;
/** Readability's choice is not trusted when it keeps less than this share of the marked formulas. */
const MATH_SHARE = 0.9;
const BOILERPLATE = new Set([
  "nav",
  "footer",
  "aside",
  "header",
  "form",
  "script",
  "style",
  "noscript",
  "template",
  "iframe",
]);

function textLength(root: DomNode): number {
  let n = 0;
  for (let c = root.firstChild; c; c = c.nextSibling) {
    if (c.nodeType === 3) n += (c.textContent ?? "").trim().length;
    else if (c.nodeType === 1 && !BOILERPLATE.has((c as DomElement).localName)) n += textLength(c);
  }
  return n;
}

function removeBoilerplate(root: DomElement): void {
  for (let c = root.firstElementChild; c; ) {
    const next = c.nextElementSibling;
    // A header inside the content often holds its headline.
    const drop = BOILERPLATE.has(c.localName) && !(c.localName === "header" && root.localName !== "body");
    if (drop || /^(navigation|banner|contentinfo|search)$/.test(c.getAttribute("role") ?? "")) c.remove();
    else removeBoilerplate(c);
    c = next;
  }
}

function ownMain(body: DomElement): DomElement | undefined {
  const candidates = [
    ...Array.from(body.getElementsByTagName("main")),
    ...Array.from(body.querySelectorAll('[role="main"]')),
    ...Array.from(body.getElementsByTagName("article")),
  ];
  if (candidates.length === 0) return undefined;
  const all = textLength(body);
  const articles = candidates.filter((e) => e.localName === "article");
  return candidates.find(
    (e) => !(articles.length > 1 && e.localName === "article") && textLength(e) >= MAIN_SHARE * all,
  );
}

function formulas(text: string): number {
  return text.match(/\$\$?[^$\n]+\$\$?|\\\(|\\\[/g)?.length ?? 0;
}

/** Extracts a page; one without text gives an empty `text`. Throws only where the tree is too deep for the stack. */
export function extractHtml(html: string): Extracted {
  const source = /<html[\s>]/i.test(html) ? html : `<!DOCTYPE html><html><body>${html}</body></html>`;
  const document = parseDom(source);
  const title = (document.querySelector("title")?.textContent ?? "").replace(/\s+/g, " ").trim();
  const body = document.body;
  if (!body) return { title, text: "", method: "body" };
  markMath(document);
  removeBoilerplate(body);
  const main = ownMain(body);
  if (main) return { title, text: markDelimiters(domText(main)), method: "main" };
  const whole = domText(body);
  const content = readable(document);
  const trusted = content !== undefined && formulas(content) >= MATH_SHARE * formulas(whole);
  return { title, text: markDelimiters(trusted ? content : whole), method: trusted ? "readability" : "body" };
}

/** Deeper pages are refused; real ones stay far below. */
const MOST_NESTED = 2000;

/** The page extracted, or why it cannot be: a page never takes the rest of its file with it. */
export function extractPage(html: string): Extracted | { reason: "nested_too_deep" | "bad_html" } {
  if (nestsDeeperThan(html, MOST_NESTED)) return { reason: "nested_too_deep" };
  try {
    return extractHtml(html);
  } catch {
    return { reason: "bad_html" };
  }
}

function readable(document: DomDocument): string | undefined {
  try {
    const article = new Readability<DomNode>(document as never, {
      serializer: (node) => node as unknown as DomNode,
    }).parse();
    return article?.content ? domText(article.content) : undefined;
  } catch {
    // Readability gives up on some broken trees; the body is kept then.
    return undefined;
  }
}
