// The judge of `pnpm bench extract`, and the extractors that it runs beside ours. Each takes a page and gives its text.
import { Readability } from "@mozilla/readability";
import { Defuddle } from "defuddle/node";
import katex from "katex";
import { parseHTML } from "linkedom";
import TurndownService from "turndown";

/** MathML of a formula without what leaves its meaning alone; undefined where it does not parse. */
export function mathmlOf(tex) {
  let mathml;
  try {
    mathml = katex.renderToString(tex, { output: "mathml", throwOnError: true, strict: false });
  } catch {
    return undefined;
  }
  mathml = mathml
    .replace(/<annotation[\s\S]*?<\/annotation>/g, "")
    .replace(/<\/?semantics>|<\/?mstyle[^>]*>|<span[^>]*>|<\/span>/g, "")
    .replace(/<mspace[^>]*>(?:<\/mspace>)?/g, "")
    .replace(/<mtext>[\s\u00a0]*<\/mtext>/g, "");
  // Rows of one element are that element, and rows in rows are one.
  for (let before = ""; before !== mathml; ) {
    before = mathml;
    mathml = mathml
      .replace(/<mrow>(<(\w+)[^<>]*>[^<>]*<\/\2>)<\/mrow>/g, "$1")
      .replace(/<mrow><\/mrow>/g, "");
  }
  return mathml;
}

export async function defuddle(html) {
  const { document } = parseHTML(html);
  const result = await Defuddle(document, "https://example.org/", { markdown: true });
  return result.contentMarkdown ?? result.content ?? "";
}

export async function readabilityTurndown(html) {
  const { document } = parseHTML(html);
  const content = new Readability(document).parse()?.content ?? "";
  return new TurndownService({ headingStyle: "atx", codeBlockStyle: "fenced" }).turndown(
    parseHTML(`<html><body>${content}</body></html>`).document.body,
  );
}
