// Elements in the place of styles, before the main-content step drops styles: sup and sub for raised and lowered text, pre for text
// whose line breaks count.
import type { DomElement } from "./dom.ts";

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

/** Replaces elements that their style makes powers, indices or lines that stand, in place. */
export function markStyles(body: DomElement): void {
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
