// HTML to title and text: math marked first, then the page's own main element or Readability's choice, else the body.
import { Readability } from "@mozilla/readability";
import { gatherBody } from "./body.ts";
import { settleCode } from "./code.ts";
import { nestsDeeperThan } from "./depth.ts";
import { type DomDocument, type DomElement, type DomNode, parseDom } from "./dom.ts";
import { markDelimiters } from "./math/delimiters.ts";
import { markMath } from "./math/mark.ts";
import { NO_CHARACTERS } from "./math/marks.ts";
import { markStyles } from "./styles.ts";
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
/** Readability's time grows faster than a page: larger and deeper ones are taken whole. */
const READABLE_ELEMENTS = 20_000;
const READABLE_DEPTH = 100;
/** Depths of all elements together: it walks what is below an element for each element around it. */
const READABLE_DEPTHS = 300_000;
const BOILERPLATE = new Set(["nav", "footer", "header", "script", "style", "noscript", "template", "iframe"]);
const ROLES = /^(?:navigation|banner|contentinfo|search)$/;
/** Names of what stands beside the text of a page. */
const BESIDE =
  /(?:^|[\s_-])(?:related|share|sharing|social|promo\w*|advert\w*|ads?|newsletter|sidebar|toc|navigation|navbox|widget|recommend\w*|subscribe|popular|breadcrumbs?|cookie\w*)(?:$|[\s_-])/i;
/** What Wikipedia and its kin put into the text for editors. */
const EDITING =
  /(?:^|\s)(?:mw-editsection|mw-jump-link|navbox|noprint|mw-cite-backlink|headerlink|anchorjs-link|anchor-link)(?:\s|$)/;
const FORM_OF_SITE = /search|log-?in|sign-?(?:in|up)|subscri|newsletter|comment-?form|contact/i;
/** A site's own form is short. */
const FORM_CHARACTERS = 300;

/** Lengths of text below each element, and how large and deep the page is (`depths`: of all elements together). */
class Measure {
  readonly lengths = new Map<DomNode, number>();
  elements = 0;
  depth = 0;
  depths = 0;

  length(root: DomNode, depth = 0): number {
    this.elements++;
    this.depths += depth;
    if (depth > this.depth) this.depth = depth;
    let n = 0;
    for (let c = root.firstChild; c; c = c.nextSibling) {
      if (c.nodeType === 3) n += (c.textContent ?? "").trim().length;
      else if (c.nodeType === 1) n += this.length(c, depth + 1);
    }
    this.lengths.set(root, n);
    return n;
  }
}

/** The sign beside a headline that links to it. */
function isOwnAnchor(e: DomElement): boolean {
  if (!e.getAttribute("href")?.startsWith("#") || !/^h[1-6]$/.test(e.parentElement?.localName ?? ""))
    return false;
  return /^\s*[#¶§🔗]?\s*$/u.test(e.textContent ?? "") && e.firstElementChild === null;
}

function isBeside(e: DomElement, measure: Measure, inContent: boolean): boolean {
  const name = e.localName;
  if (ROLES.test(e.getAttribute("role") ?? "")) return true;
  if (name === "a") return isOwnAnchor(e);
  const names = e.getAttribute("class") ?? "";
  if (names !== "" && EDITING.test(names)) return true;
  // A header inside the content often holds its headline.
  if (name === "header") return e.parentElement?.localName === "body";
  if (name === "footer" && inContent) return !/footnote|endnote|references/i.test(names);
  if (name === "form") {
    const label = `${names} ${e.getAttribute("id") ?? ""} ${e.getAttribute("action") ?? ""}`;
    return FORM_OF_SITE.test(label) && (measure.lengths.get(e) ?? 0) < FORM_CHARACTERS;
  }
  if (name === "aside") return !inContent || BESIDE.test(`${names} ${e.getAttribute("id") ?? ""}`);
  return BOILERPLATE.has(name);
}

function removeBoilerplate(root: DomElement, measure: Measure, inContent = false): void {
  const content =
    inContent ||
    root.localName === "main" ||
    root.localName === "article" ||
    root.getAttribute("role") === "main";
  for (let c = root.firstElementChild; c; ) {
    const next = c.nextElementSibling;
    if (isBeside(c, measure, content)) c.remove();
    else removeBoilerplate(c, measure, content);
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
  const measure = new Measure();
  const all = measure.length(body);
  const articles = candidates.filter((e) => e.localName === "article");
  return candidates.find(
    (e) =>
      !(articles.length > 1 && e.localName === "article") &&
      (measure.lengths.get(e) ?? 0) >= MAIN_SHARE * all,
  );
}

const formulas = (text: string): number => text.match(/\ufdd2|\\\(|\\\[/g)?.length ?? 0;

/** Empty elements with a prefix, which only XML parsers close: `<m:mspace/>`. */
function closePrefixed(html: string): string {
  if (!/<(?:m|mml|mathml|ns\d):/i.test(html)) return html;
  return html.replace(/<([a-z]\w*:[\w-]+)((?:\s[^<>]*)?)\/>/gi, "<$1$2></$1>");
}

/** Extracts a page; one without text gives an empty `text`. Throws only where the tree is too deep for the stack. */
export function extractHtml(html: string): Extracted {
  const source = /<html[\s>]/i.test(html) ? html : `<!DOCTYPE html><html><body>${html}</body></html>`;
  const document = parseDom(closePrefixed(source.replace(NO_CHARACTERS, "")));
  gatherBody(document);
  const title = (document.querySelector("title")?.textContent ?? "").replace(/\s+/g, " ").trim();
  const body = document.body;
  if (!body) return { title, text: "", method: "body" };
  markMath(document);
  markStyles(body);
  settleCode(body);
  const measure = new Measure();
  measure.length(body);
  removeBoilerplate(body, measure);
  const main = ownMain(body);
  if (main) return { title, text: markDelimiters(domText(main)), method: "main" };
  const whole = domText(body);
  const { elements, depth, depths } = measure;
  const small = elements < READABLE_ELEMENTS && depth < READABLE_DEPTH && depths < READABLE_DEPTHS;
  const content = small ? readable(document) : undefined;
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
      keepClasses: true,
      serializer: (node) => node as unknown as DomNode,
    }).parse();
    return article?.content ? domText(article.content) : undefined;
  } catch {
    // Readability gives up on some broken trees; the body is kept then.
    return undefined;
  }
}
