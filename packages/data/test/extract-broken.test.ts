// Formulas that are incomplete or wrong: they are read as far as they go, and cost the page nothing else.
import { expect, test, vi } from "vitest";
import { parseDom } from "../src/corpus/extract/dom.ts";
import { extractPage } from "../src/corpus/extract/html.ts";
import { latexOf } from "../src/corpus/extract/math/latex.ts";
import { readContainer } from "../src/corpus/extract/math/mathjax.ts";
import { mathmlToLatex } from "../src/corpus/extract/math/mathml.ts";

/** A formula that brings to light a bug in the reader. */
const BUG = "<math><mi>unreadable</mi></math>";

vi.mock("../src/corpus/extract/math/mathml.ts", async (original) => {
  const real = await original<typeof import("../src/corpus/extract/math/mathml.ts")>();
  const read: typeof mathmlToLatex = (node) => {
    if (node.textContent === "unreadable") throw new TypeError("a bug");
    return real.mathmlToLatex(node);
  };
  return { ...real, mathmlToLatex: read };
});

const OPERATORS =
  "abs arccos arcsin arctan and approx arg card ceiling compose conjugate cos cot csc curl determinant diff divide divergence eq equivalent exists exp factorial factorof floor forall gcd geq grad gt ident image imaginary implies in int intersect inverse laplacian lcm leq limit ln log lt max mean median min minus mode moment neq not notin notprsubset notsubset or outerproduct partialdiff plus power product prsubset quotient real rem root scalarproduct sdev selector setdiff sin subset sum tan tendsto times transpose union variance vector vectorproduct xor unknown".split(
    " ",
  );
const CONTENT =
  "apply reln interval set list vector matrix matrixrow piecewise piece lambda ci cn csymbol declare".split(
    " ",
  );
const PRESENTATION =
  "math mrow mi mn mo mtext ms mspace mfrac msqrt mroot msup msub msubsup mover munder munderover mmultiscripts mprescripts none mfenced menclose mtable mtr mlabeledtr mtd mstyle mpadded mphantom merror maction semantics annotation".split(
    " ",
  );
const KIDS = [
  "",
  "<mi>x</mi>",
  "<mo>(</mo>",
  "<mi>x</mi><mn>2</mn>",
  "<mrow></mrow><mrow></mrow><mrow></mrow>",
  "<mi></mi><mo></mo>",
  "<mtr></mtr>",
  "words",
];

const mathOf = (inner: string) =>
  parseDom(`<html><body><math>${inner}</math></body></html>`).body!.firstElementChild!;

test.each([
  ...OPERATORS.flatMap((o) => [
    `<apply><${o}></${o}>KIDS</apply>`,
    `<apply><${o}></${o}><bvar></bvar>KIDS</apply>`,
  ]),
  ...[...CONTENT, ...PRESENTATION].map((n) => `<${n}>KIDS</${n}>`),
  '<mtable columnalign="">KIDS</mtable>',
  '<mtable columnalign=" "><mtr><mtd>KIDS</mtd></mtr></mtable>',
  '<mfenced open="" close="" separators="">KIDS</mfenced>',
  '<menclose notation="">KIDS</menclose>',
])("an_element_reads_with_any_children: %s", (element) => {
  for (const kids of KIDS)
    expect(mathmlToLatex(mathOf(element.replace("KIDS", kids))), kids).not.toMatch(/undefined|null|NaN/);
});

const LAYOUT = [
  ...PRESENTATION,
  "box",
  "script",
  "base",
  "c",
  "stretchy-v",
  "texatom",
  "over",
  "under",
  "num",
];
const shown = (html: string): string => {
  const container = parseDom(`<html><body><mjx-container>${html}</mjx-container></body></html>`).body!;
  const found = readContainer(container.firstElementChild!);
  return typeof found === "string" ? found : latexOf(found);
};

test.each(LAYOUT)("what_mathjax_draws_reads_with_any_children: %s", (name) => {
  const letter = '<mjx-mi><mjx-c class="mjx-c78"></mjx-c></mjx-mi>';
  const glyph = '<g data-mml-node="mi"><path data-c="78"></path></g>';
  for (const n of [0, 1, 2, 3, 4]) {
    const chtml = `<mjx-math><mjx-${name}>${letter.repeat(n)}</mjx-${name}></mjx-math>`;
    for (const kids of [glyph.repeat(n), `<g>${glyph.repeat(n)}</g>`])
      expect(
        shown(`<svg><g data-mml-node="math"><g data-mml-node="${name}">${kids}</g></g></svg>`),
      ).not.toContain("undefined");
    expect(shown(chtml)).not.toContain("undefined");
  }
});

test.each(["FFFFFFFF", "110000", "D800", "DFFF", "zz", "", "-1", "1F4A9000000"])(
  "a_code_point_that_is_none_is_passed_over: %s",
  (code) => {
    const mi = (content: string) => `<mjx-math><mjx-mi>${content}</mjx-mi></mjx-math>`;
    const known = '<mjx-c class="mjx-c79"></mjx-c>';
    expect(shown(mi(`<mjx-c class="mjx-c${code}"></mjx-c>${known}`))).toBe("y");
    expect(shown(mi(`<mjx-c class="mjx-c${code}">x</mjx-c>`))).toBe("x");
    expect(
      shown(
        `<mjx-math><mjx-mo><mjx-stretchy-v class="mjx-c${code}"></mjx-stretchy-v></mjx-mo>${mi(known)}</mjx-math>`,
      ),
    ).toBe("y");
    const paths = (paths: string) =>
      shown(`<svg><g data-mml-node="math"><g data-mml-node="mi">${paths}</g></g></svg>`);
    expect(paths(`<path data-c="${code}"></path><path data-c="79"></path>`)).toBe("y");
    expect(paths(`<use xlink:href="#MJX-1-TEX-I-${code}"></use><path data-c="79"></path>`)).not.toContain(
      "x",
    );
  },
);

test("a_formula_that_cannot_be_read_leaves_the_page_and_the_others", () => {
  const page = (math: string) =>
    extractPage(`<html><head><title>T</title></head><body><article><p>before</p>${math}
      <p>after \\(x^2\\) <math><mi>y</mi></math></p></article></body></html>`);
  for (const bad of [
    BUG,
    `<script type="math/mml">${BUG}</script>`,
    `<span class="katex">${BUG}</span>`,
    `<mjx-container>${BUG}</mjx-container>`,
    "<math><apply><abs/></apply></math>",
    "<math><apply><factorial></factorial></apply></math>",
    "<math><apply><not></not></apply></math>",
    '<mjx-container><mjx-math><mjx-mi><mjx-c class="mjx-cFFFFFFFF"></mjx-c></mjx-mi></mjx-math></mjx-container>',
    '<mjx-container><svg><g data-mml-node="math"><g data-mml-node="mi"><path data-c="zz"></path></g></g></svg></mjx-container>',
  ]) {
    const found = page(bad);
    expect(found, bad).toHaveProperty("text");
    const { text } = found as { text: string };
    for (const part of ["before", "after $x^2$ $y$"]) expect(text, bad).toContain(part);
  }
});
