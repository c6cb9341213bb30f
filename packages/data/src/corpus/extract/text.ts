// A DOM subtree to plain text: paragraphs apart by blank lines, list items and table rows on lines of their own, powers and
// indices kept, code as it stands.

import { codeText, DROP, isCodeBox, NUMBERS } from "./code.ts";
import { type DomElement, type DomNode, isElement } from "./dom.ts";
import { CODE_END, CODE_START, FOLDED, NO_CHARACTERS } from "./math/marks.ts";

const BLOCK = new Set(
  "address article aside blockquote body center dd details div dl dt fieldset figcaption figure footer form h1 h2 h3 h4 h5 h6 header hgroup hr legend li main menu nav ol p pre section summary table tbody tfoot thead tr ul caption dir listing xmp".split(
    " ",
  ),
);
/** Marks that no one sees and that only hide what a text says. */
const INVISIBLE = /[\u00ad\u200b\u200e\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f\ufeff\ufff9-\ufffb]/g;
const ORDINAL = /^(?:st|nd|rd|th|er|ère|re|ème|e|o|a|º|ª|tm|sm|®|™|©)$/i;
/** Marks of footnotes and sources: a number, letter or sign between brackets, or a link. */
const CITATION = /^(?:\[[^\]]{1,40}\]|[†‡*§]+)(?:\s*[,:]?\s*\[[^\]]{1,20}\])*$/;
interface List {
  ordered: boolean;
  next: number;
  step: number;
  type: string;
}

interface Out {
  blocks: string[];
  line: string;
  lists: List[];
  /** Bullet that waits for the first words of its item. */
  bullet: string;
}

/** Digits raised before a bar and lowered behind it are a fraction. */
const FRACTION = /(\d?)\^\{(\d{1,6})\}\s*[⁄∕/]\s*_\{(\d{1,6})\}/g;

function flush(out: Out): void {
  const line = out.line
    .replace(
      FRACTION,
      (_, before: string, a: string, b: string) => `${before}${before === "" ? "" : " "}${a}/${b}`,
    )
    .replace(/(?:[ \t\u00a0]|\ufdd4)+/g, (run) => (run.includes(FOLDED) ? FOLDED : run))
    .trim();
  const shown = line.replace(/[ \t\ufdd4]*\n[ \t\ufdd4]*/g, "\n").replace(/^[\s\ufdd4]+|[\s\ufdd4]+$/g, "");
  out.line = "";
  if (shown === "") return;
  const indent = "  ".repeat(Math.max(0, out.lists.length - 1));
  if (out.bullet !== "") out.blocks.push(`\n${indent}${out.bullet} ${shown.replace(/^•\s*/, "")}`);
  else out.blocks.push(shown);
  out.bullet = "";
}

const LETTERS = "abcdefghijklmnopqrstuvwxyz";

function roman(n: number): string {
  const parts: [number, string][] = [
    [1000, "m"],
    [900, "cm"],
    [500, "d"],
    [400, "cd"],
    [100, "c"],
    [90, "xc"],
    [50, "l"],
    [40, "xl"],
    [10, "x"],
    [9, "ix"],
    [5, "v"],
    [4, "iv"],
    [1, "i"],
  ];
  let rest = n;
  let out = "";
  for (const [value, letters] of parts) for (; rest >= value; rest -= value) out += letters;
  return out;
}

function numeral(n: number, type: string): string {
  const lower = type.toLowerCase();
  if (n < 1 || n > 3999 || (lower !== "a" && lower !== "i")) return String(n);
  let made = lower === "i" ? roman(n) : "";
  if (lower === "a")
    for (let k = n; k > 0; k = Math.floor((k - 1) / 26)) made = LETTERS[(k - 1) % 26]! + made;
  return type === lower ? made : made.toUpperCase();
}

function openList(e: DomElement): List {
  const type = e.getAttribute("type") ?? "1";
  const ordered = e.localName === "ol" && type !== "none";
  const start = Number.parseInt(e.getAttribute("start") ?? "", 10);
  const reversed = e.hasAttribute("reversed");
  const items = () => {
    let n = 0;
    for (let c = e.firstElementChild; c; c = c.nextElementSibling) if (c.localName === "li") n++;
    return n;
  };
  const first = Number.isNaN(start) ? (reversed ? items() : 1) : start;
  return { ordered, next: first, step: reversed ? -1 : 1, type };
}

function bulletOf(e: DomElement, list: List | undefined): string {
  if (!list?.ordered) return "-";
  const value = Number.parseInt(e.getAttribute("value") ?? "", 10);
  const n = Number.isNaN(value) ? list.next : value;
  list.next = n + list.step;
  return `${numeral(n, list.type)}.`;
}

function code(e: DomElement, out: Out): void {
  const text = codeText(e)
    .replace(/^\n+|\s+$/g, "")
    .replace(NO_CHARACTERS, "");
  flush(out);
  if (text === "") return;
  out.blocks.push(`${CODE_START}${text}${CODE_END}`);
}

/** Words inside an element on one line, apart from what is around it. */
function inner(e: DomElement, out: Out): string {
  const own: Out = { blocks: [], line: "", lists: out.lists, bullet: "" };
  for (let c = e.firstChild; c; c = c.nextSibling) walk(c, own);
  return [...own.blocks, own.line]
    .join(" ")
    .replace(/[\s\ufdd4]+/g, " ")
    .trim();
}

function scripted(e: DomElement, out: Out): void {
  const text = inner(e, out);
  if (text === "") return;
  const names = e.getAttribute("class") ?? "";
  if (e.localName === "sup") {
    if (CITATION.test(text) || /(?:^|[\s_-])(?:reference|footnote|cite|noprint)/i.test(names)) return;
    if (ORDINAL.test(text)) {
      out.line += text;
      return;
    }
    const link = e.firstElementChild?.localName === "a" && /^\d{1,3}$/.test(text);
    if (link && /#/.test(e.firstElementChild!.getAttribute("href") ?? "")) return;
  }
  out.line += `${e.localName === "sup" ? "^" : "_"}{${text}}`;
}

/** Cells of a row on one line where they hold words only. */
function tableRow(e: DomElement, out: Out): boolean {
  const cells: string[] = [];
  for (let c = e.firstElementChild; c; c = c.nextElementSibling) {
    if (c.localName !== "td" && c.localName !== "th") return false;
    if (NUMBERS.test(c.getAttribute("class") ?? "")) continue;
    if (!flat(c)) return false;
    cells.push(inner(c, out));
  }
  const filled = cells.filter((c) => c !== "");
  flush(out);
  if (filled.length > 0) out.blocks.push(`\n${filled.length === 1 ? filled[0]! : cells.join(" | ")}`);
  return true;
}

/** Whether a cell holds no blocks but single paragraphs. */
function flat(cell: DomElement): boolean {
  let paragraphs = 0;
  const visit = (e: DomElement, depth: number): boolean => {
    for (let c = e.firstElementChild; c; c = c.nextElementSibling) {
      if (BLOCK.has(c.localName) && ((c.localName !== "p" && c.localName !== "div") || ++paragraphs > 1))
        return false;
      if (depth > 8 || !visit(c, depth + 1)) return false;
    }
    return true;
  };
  return visit(cell, 0);
}

/** Elements that are handled as a whole; false for those whose children are walked. */
function special(e: DomElement, out: Out): boolean {
  // Numbers of lines beside steps of an algorithm, which is no code.
  if (/(?:^|\s)ltx_tag_listingline(?:\s|$)/.test(e.getAttribute("class") ?? "")) return true;
  if (isCodeBox(e)) {
    code(e, out);
    return true;
  }
  switch (e.localName) {
    case "br":
      out.line += "\n";
      return true;
    case "pre":
    case "xmp":
    case "listing":
      code(e, out);
      return true;
    case "code":
    case "kbd":
    case "samp": {
      const text = codeText(e);
      if (/\n/.test(text.trim())) code(e, out);
      else if (text !== "")
        out.line += `${CODE_START}${text.replace(NO_CHARACTERS, "").replace(/\s+/g, " ")}${CODE_END}`;
      return true;
    }
    case "sup":
    case "sub":
      scripted(e, out);
      return true;
    case "tr":
      return tableRow(e, out);
  }
  return false;
}

function walk(node: DomNode, out: Out): void {
  if (node.nodeType === 3) {
    const text = (node.textContent ?? "").replace(INVISIBLE, "");
    // Line breaks are told apart from blanks until comments of formulas are out.
    out.line += text.replace(/[\s\u00a0]+/g, (run) => (/[\n\r]/.test(run) ? FOLDED : " "));
    return;
  }
  if (!isElement(node) || DROP.has(node.localName) || special(node, out)) return;
  const name = node.localName;
  if (name === "td" || name === "th") {
    if (NUMBERS.test(node.getAttribute("class") ?? "")) return;
    out.line += " ";
  }
  const block = BLOCK.has(name);
  if (block) flush(out);
  const list = name === "ul" || name === "ol" || name === "menu" || name === "dir";
  if (list) out.lists.push(openList(node));
  if (name === "li") out.bullet = bulletOf(node, out.lists.at(-1));
  for (let child = node.firstChild; child; child = child.nextSibling) walk(child, out);
  if (block) flush(out);
  if (name === "li") out.bullet = "";
  if (list) out.lists.pop();
}

/** Text with the marks of formulas and code in it: see `markDelimiters`, which takes them out. */
export function domText(root: DomNode): string {
  const out: Out = { blocks: [], line: "", lists: [], bullet: "" };
  walk(root, out);
  flush(out);
  const parts: string[] = [];
  for (const block of out.blocks) {
    // Items and rows begin with their line break.
    const close = block.startsWith("\n");
    if (parts.length > 0) parts.push(close ? "\n" : "\n\n");
    const body = close ? block.slice(1) : block;
    parts.push(body.includes("\n") ? body : body.replace(/(?<=\S) {2,}/g, " "));
  }
  return parts.join("");
}
