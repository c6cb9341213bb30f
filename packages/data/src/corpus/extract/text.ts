// A DOM subtree to plain text: paragraphs apart by blank lines, list items and table rows on lines of their own.

import type { DomElement, DomNode } from "./dom.ts";

const BLOCK = new Set(
  "address article aside blockquote body center dd details div dl dt fieldset figcaption figure footer form h1 h2 h3 h4 h5 h6 header hr li main nav ol p pre section summary table tbody tfoot thead tr ul".split(
    " ",
  ),
);
const DROP = new Set(
  "script style noscript template iframe object svg canvas button select textarea input head".split(" "),
);

interface Out {
  blocks: string[];
  line: string;
}

function flush(out: Out): void {
  const line = out.line.replace(/[ \t\u00a0]*\n[ \t\u00a0]*/g, "\n").trim();
  // A bullet waits for the block that its item begins with.
  if (line === "-" || line === "- •") {
    out.line = "- ";
    return;
  }
  if (line !== "") out.blocks.push(line);
  out.line = "";
}

function walk(node: DomNode, out: Out, pre: boolean): void {
  if (node.nodeType === 3) {
    const text = node.textContent ?? "";
    out.line += pre ? text : text.replace(/[\s\u00a0]+/g, " ");
    return;
  }
  if (node.nodeType !== 1) return;
  const name = (node as DomElement).localName;
  if (DROP.has(name)) return;
  if (name === "br") {
    out.line += "\n";
    return;
  }
  if (name === "td" || name === "th") out.line += " ";
  const block = BLOCK.has(name);
  if (block) flush(out);
  if (name === "li") out.line = "- ";
  for (let child = node.firstChild; child; child = child.nextSibling) walk(child, out, pre || name === "pre");
  if (name === "li" && out.line.trim() === "-") out.line = "";
  else if (block) flush(out);
}

export function domText(root: DomNode): string {
  const out: Out = { blocks: [], line: "" };
  walk(root, out, false);
  flush(out);
  const lines: string[] = [];
  for (const block of out.blocks) {
    const collapsed = block.includes("\n") ? block : block.replace(/ {2,}/g, " ");
    lines.push(collapsed);
  }
  return lines.join("\n\n").replace(/\n\n- /g, "\n- ");
}
