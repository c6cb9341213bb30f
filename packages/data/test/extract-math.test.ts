// Formulas on the pages that real renderers made (the bench's): the source where it is on the page, else what was drawn.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { expect, test } from "vitest";
import { extractHtml } from "../src/index.ts";

/** The bench's formulas, and what they read as where only the drawing is left. */
const FORMULAS: [string, string?][] = [
  ["x^2+y^2=z^2"],
  ["\\frac{a+b}{2}\\ge\\sqrt{ab}"],
  ["\\sum_{i=1}^{n} i^2=\\frac{n(n+1)(2n+1)}{6}", "\\sum_{i=1}^ni^2=\\frac{n(n+1)(2n+1)}{6}"],
  ["\\int_0^1 f(x)\\,dx", "\\int_0^1f(x)\\,dx"],
  ["\\sqrt[3]{x+1}"],
  ["\\alpha+\\beta\\le\\gamma"],
  ["f:\\mathbb{R}^n\\to\\mathbb{R}"],
  ["\\mathbf{x}\\cdot\\mathbf{y}=0"],
  ["\\binom{n}{k}"],
  ["\\lim_{x\\to 0}\\frac{\\sin x}{x}=1", "\\lim_{x\\to0}\\frac{\\sin x}{x}=1"],
  ["\\begin{pmatrix} a & b \\\\ c & d \\end{pmatrix}"],
  [
    "|x|=\\begin{cases} x & x\\ge 0 \\\\ -x & x<0 \\end{cases}",
    "|x|=\\begin{cases} x & x\\ge0 \\\\ -x & x<0 \\end{cases}",
  ],
  ["\\hat{x}=\\overline{AB}"],
  ["\\left(\\frac{1}{2}\\right)^n"],
  ["f''(x)+2f'(x)=0"],
  ["\\vec{v}\\times\\vec{w}"],
  ["a_{ij}^{(k)}\\neq 0", "a_{ij}^{(k)}\\neq0"],
  ["\\forall\\epsilon>0\\ \\exists\\delta>0"],
  ["A\\subseteq B\\cup C"],
  ["\\log_2 n\\in\\mathcal{O}(\\ln n)", "\\log_2n\\in \\mathcal{O}(\\ln n)"],
];
/** Blanks that TeX does not read. */
const bare = (tex: string) => tex.replace(/(\\[a-zA-Z]+) (?=\\)/g, "$1").trim();

interface Page {
  markup: string;
  source?: boolean;
  display?: boolean;
  code?: string[];
  html: string;
}
const pages = (name: string): Page[] =>
  gunzipSync(readFileSync(join(import.meta.dirname, "../bench/pages", `${name}.jsonl.gz`)))
    .toString("utf8")
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as Page);

function found(text: string, i: number): string {
  const between = new RegExp(`K${i}Q([\\s\\S]*?)Q${i}K`).exec(text)?.[1] ?? "";
  return /\$\$([\s\S]+?)\$\$|\$([\s\S]+?)\$/.exec(between)?.slice(1).find(Boolean) ?? "nothing";
}

const formulas = pages("formulas");

test.each(formulas.filter((p) => p.source))("the_source_is_read: $markup", ({ html, display }) => {
  const { text } = extractHtml(html);
  expect(FORMULAS.map((_, i) => bare(found(text, i)))).toEqual(FORMULAS.map(([tex]) => bare(tex)));
  if (display) expect(text.match(/\$\$/g)).toHaveLength(2 * FORMULAS.length);
});

/** What a drawing without MathML does not show, by markup: formulas, and what they read as. */
const LOST: Record<string, Record<string, string>> = {
  "KaTeX HTML alone": {
    "\\int_0^1 f(x)\\,dx": "\\int_0^1f(x)dx",
    "\\forall\\epsilon>0\\ \\exists\\delta>0": "\\forall\\epsilon>0\\exists\\delta>0",
  },
  "MathJax 3 SVG alone": { "\\int_0^1 f(x)\\,dx": "\\int_0^1f(x)dx" },
};

test.each(formulas.filter((p) => !p.source))("what_is_drawn_is_read: $markup", ({ html, markup }) => {
  const { text } = extractHtml(html);
  const lost = LOST[markup] ?? {};
  expect(FORMULAS.map((_, i) => bare(found(text, i)))).toEqual(
    FORMULAS.map(([tex, drawn]) => bare(lost[tex] ?? drawn ?? tex)),
  );
});

test("each_formula_that_is_lost_is_one_of_a_markup", () => {
  const drawn = formulas.filter((p) => !p.source).map((p) => p.markup);
  const known = FORMULAS.map(([tex]) => tex);
  for (const [markup, lost] of Object.entries(LOST)) {
    expect(drawn).toContain(markup);
    for (const tex of Object.keys(lost)) expect(known).toContain(tex);
  }
});

test.each(pages("code"))("code_stands_as_it_is: $markup", ({ html, code }) => {
  const { text } = extractHtml(html);
  for (const block of code!) expect(text).toContain(block);
});
