// The code blocks of a page as text: line breaks and indentation are preserved; line numbers and buttons are removed.
import { type DomElement, type DomNode, isElement } from "./dom.ts";

/** Elements whose text is none of the page's. */
export const DROP = new Set(
  "script style noscript template iframe object svg canvas button clipboard-copy select textarea input head datalist map audio video".split(
    " ",
  ),
);
export const NUMBERS =
  /(?:^|[\s_-])(?:gutter|lineno|linenos?|line-?numbers?(?:-rows)?|hljs-ln-numbers|blob-num|rouge-gutter|ln-num|linenodiv|crayon-nums?|ltx_tag_listingline)(?:$|[\s_-])/i;

/** A number that stands first on its line of code, in an element of its own, until it is clear what it counts. */
const NUMBER = /\ufdd6(\d+)\ufdd6/g;
/** Numbers that a highlighter marks are the program's. */
const LITERAL = /(?:^|[\s_-])(?:m[fhio]?|number|num|hljs-number|constant|literal|nu0|lit)(?:$|\s)/;

/** Code without the numbers of its lines: those that count each line that has any text, one by one. */
function withoutNumbers(code: string): string {
  if (!code.includes("\ufdd6")) return code;
  const numbers = [...code.matchAll(NUMBER)].map((found) => Number(found[1]));
  const counted = numbers.every((n, i) => i === 0 || n === numbers[i - 1]! + 1);
  const lines = code.split("\n");
  const bare = lines.filter((line) => line !== "" && !line.startsWith("\ufdd6")).length;
  const filled = lines.filter((line) => line.replace(NUMBER, "").trim() !== "").length;
  const gutter = counted && numbers.length > 1 && bare === 0 && filled * 2 >= numbers.length;
  if (!gutter) return code.replace(NUMBER, "$1");
  // One blank behind every number is the gutter's too.
  const spaced = lines.every((line) => line === "" || /^\ufdd6\d+\ufdd6(?:[ \t]|$)/.test(line));
  const indented = lines.every((line) => line === "" || /^\ufdd6\d+\ufdd6(?:[ \t]{2}|$)/.test(line));
  return code.replace(spaced && !indented ? /\ufdd6\d+\ufdd6[ \t]?/g : NUMBER, "");
}

const isLineNumber = (e: DomElement): boolean =>
  e.localName === "span" &&
  /^[ \t\u00a0]*\d{1,6}[ \t\u00a0]*$/.test(e.textContent ?? "") &&
  !LITERAL.test(e.getAttribute("class") ?? "");

/** Text of code: line breaks and blanks as they stand, no line numbers, no buttons. */
export function codeText(e: DomElement): string {
  let out = "";
  const visit = (node: DomNode): void => {
    for (let c = node.firstChild; c; c = c.nextSibling) {
      if (c.nodeType === 3) {
        out += c.textContent ?? "";
        continue;
      }
      if (!isElement(c) || DROP.has(c.localName) || NUMBERS.test(c.getAttribute("class") ?? "")) continue;
      if (c.localName === "br") {
        out += "\n";
        continue;
      }
      if ((out === "" || out.endsWith("\n")) && isLineNumber(c)) {
        out += `\ufdd6${c.textContent!.trim()}\ufdd6`;
        continue;
      }
      const line =
        /^(?:div|li|tr|p|ol|ul|table|tbody|pre)$/.test(c.localName) ||
        /display:\s*block/.test(c.getAttribute("style") ?? "");
      if (line && out !== "" && !out.endsWith("\n")) out += "\n";
      const before = out.length;
      visit(c);
      // A line that is empty on the page is a line.
      if (
        line &&
        !/^(?:ol|ul|table|tbody)$/.test(c.localName) &&
        (out.length === before || !out.endsWith("\n"))
      )
        out += "\n";
    }
  };
  visit(e);
  return withoutNumbers(out)
    .replace(/\r\n?/g, "\n")
    .replace(/\u00a0/g, " ")
    .replace(/[\u200b\ufeff]/g, "");
}

/** Editors and highlighters that show code without a pre around it. */
const CODE_BOX =
  /(?:^|\s)(?:CodeMirror-code|cm-content|view-lines|ace_text-layer|js-file-line-container|highlight|hljs-ln|code-table|syntaxhighlighter|blob-code-content|crayon-pre|crayon-table|ltx_lstlisting)(?:\s|$)/;

export function isCodeBox(e: DomElement): boolean {
  const names = e.getAttribute("class") ?? "";
  if (names === "" || !CODE_BOX.test(names)) return false;
  if (/CodeMirror-code/.test(names)) return true;
  const table = e.localName === "table" || e.localName === "tbody";
  return (table || !/(?:^|\s)highlight(?:\s|$)/.test(names)) && e.querySelector("pre") === null;
}

const BLOCKS =
  "pre,xmp,listing,[class*=CodeMirror],[class*=cm-content],[class*=view-lines],[class*=ace_],[class*=js-file],[class*=hljs-ln],[class*=code-],[class*=syntaxhighlighter],[class*=crayon-],[class~=ltx_lstlisting]";

/** Makes one text of each block of code, in place: the main-content step drops empty elements, which are lines of code. */
export function settleCode(body: DomElement): void {
  for (const e of Array.from(body.querySelectorAll(BLOCKS))) {
    if (!/^(?:pre|xmp|listing)$/.test(e.localName) && !isCodeBox(e)) continue;
    if (e.firstElementChild === null && e.localName === "pre") continue;
    // What stands in a block that was settled is gone with it.
    if (!body.contains(e)) continue;
    const settled = body.ownerDocument.createElement("pre");
    settled.append(body.ownerDocument.createTextNode(codeText(e)));
    e.replaceWith(settled);
  }
}
