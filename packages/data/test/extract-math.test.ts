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

const long =
  "<p>This page has enough words of its own to be read as a page about numbers and figures. </p>".repeat(4);
const read = (html: string) =>
  extractHtml(`<html><body><article>${long}<p>Then ${html} holds.</p>${long}</article></body></html>`).text;

const SHAPES = [
  "\\triangle ABC\\sim\\triangle DEF",
  "\\angle ABC=\\angle DEF",
  "\\overline{AB}\\parallel\\overline{CD}",
  "\\triangle PQR\\cong\\triangle XYZ",
  "ABCD\\perp EFGH",
  "\\overrightarrow{AB}+\\overrightarrow{BC}=AC\\quad ABC",
  "\\odot ABC\\cap\\odot DEF",
];
const PLACES = [
  (tex: string) => `<span class="math">${tex}</span>`,
  (tex: string) => `<code class="js-render-math">${tex}</code>`,
  (tex: string) => `<d-math>${tex}</d-math>`,
  (tex: string) => `<span class="wp-katex-eq">${tex}</span>`,
  (tex: string) => `<img class="latex" src="a.png" alt="${tex}">`,
  (tex: string) =>
    `<img src="https://s0.wp.com/latex.php?latex=${encodeURIComponent(tex)}&bg=ffffff" alt="">`,
  (tex: string) => `<span class="tex" data-tex="${tex}">picture</span>`,
  (tex: string) => `<img src="https://latex.codecogs.com/png.image?${encodeURIComponent(tex)}">`,
];
test.each(SHAPES)("names_of_points_are_no_prose_in_%s", (tex) => {
  for (const place of PLACES)
    expect(read(place(tex)), place(tex)).toMatch(new RegExp(`\\$${tex.replace(/[\\{}+^]/g, "\\$&")}\\$`));
});

test.each([
  ["NASA and ESA", "class"],
  ["A photograph of DNA", "class"],
  ["USA UK", "none"],
])("%s_beside_a_picture_is_no_formula", (alt, marked) => {
  expect(read(`<img ${marked === "class" ? 'class="photo"' : ""} src="a.png" alt="${alt}">`)).not.toContain(
    "$",
  );
});

const mi = (text: string) => [...text].map((c) => `<mi mathvariant="normal">${c}</mi>`).join("");
test.each([
  [`<math>${mi("Var")}<mo>(</mo><mi>X</mi><mo>)</mo></math>`, "\\mathrm{Var}(X)"],
  [`<math>${mi("d")}<mi>x</mi></math>`, "\\mathrm{d}x"],
  [`<math><mi>v</mi><mo>=</mo><mn>3</mn>${mi("kmh")}</math>`, "v=3\\mathrm{kmh}"],
  [`<math><msub><mi>x</mi><mrow>${mi("max")}</mrow></msub></math>`, "x_{\\mathrm{max}}"],
  [
    `<math><mi>a</mi><mo>≡</mo><mi>b</mi><mo>(</mo>${mi("mod")}<mi>n</mi><mo>)</mo></math>`,
    "a\\equiv b\\pmod{n}",
  ],
  [
    `<math><mi>a</mi><mo>≡</mo><mi>b</mi><mspace width="1em"></mspace><mo>(</mo><mi>mod</mi><mspace width="0.333em"></mspace><mn>12</mn><mo>)</mo></math>`,
    "a\\equiv b\\pmod{12}",
  ],
  [
    `<math><mi>a</mi><mo>≡</mo><mi>b</mi><mo>(</mo><mi>mod</mi><mi>p</mi><mo>-</mo><mn>1</mn><mo>)</mo></math>`,
    "a\\equiv b\\pmod{p-1}",
  ],
])("letters_drawn_one_by_one_and_moduli_are_read: %s", (html, tex) =>
  expect(read(html)).toContain(`$${tex}$`),
);
