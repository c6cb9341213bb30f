// What pages mean by their markup, kept in plain text: powers, comments in formulas, delimiters, pictures, lists, forms.
import { expect, test, vi } from "vitest";
import { markDelimiters } from "../src/corpus/extract/math/delimiters.ts";
import { extractHtml } from "../src/index.ts";

const FILLER =
  "This paragraph has words enough of its own that the page counts as an article about numbers. ".repeat(4);
const text = (body: string): string => {
  const html = `<html><head><title>T</title></head><body><article><p>${FILLER}</p>${body}</article></body></html>`;
  return extractHtml(html).text.replace(FILLER.trim(), "").trim();
};

test.each([
  ["10<sup>6</sup> cells", "10^{6} cells"],
  ["3 × 10<sup>-3</sup> mol", "3 × 10^{-3} mol"],
  ["x<sub>1</sub> + x<sub>2</sub>", "x_{1} + x_{2}"],
  ["a<sub>n+1</sub> = 2a<sub>n</sub>", "a_{n+1} = 2a_{n}"],
  ["<em>a</em><sup>2</sup>", "a^{2}"],
  ["(a + b)<sup>2</sup>", "(a + b)^{2}"],
  ["x<sub>i</sub><sup>2</sup>", "x_{i}^{2}"],
  ["e<sup>x<sup>2</sup></sup>", "e^{x^{2}}"],
  ["H<sub>2</sub>O", "H_{2}O"],
  ["2<sup><b>n</b></sup>", "2^{n}"],
  ["the 1<sup>st</sup>, 2<sup>nd</sup> and 5<sup>th</sup>", "the 1st, 2nd and 5th"],
  ["Fermat.<sup id='c'><a href='#n'>[1]</a></sup> So", "Fermat. So"],
  ["Euler<sup class='reference'>[2]</sup> wrote", "Euler wrote"],
  ["noted<sup><a href='#fn3'>3</a></sup> there", "noted there"],
  ["some<sup>[citation needed]</sup> claim", "some claim"],
])("a_script_keeps_the_value: %s", (html, expected) => expect(text(`<p>${html}</p>`)).toBe(expected));

test.each([
  ["<p>\\( a% note\n+b \\)</p>", "$a+b$"],
  ["<p>\\( a\\% b \\)</p>", "$a\\% b$"],
  ["<p>\\( a\\\\% note\nb \\)</p>", "$a\\\\b$"],
  ["<p>$$ a % one\n % two\n b $$</p>", "$$a b$$"],
  ["<p><math alttext='p(x_{i})%\n+\\lambda R'><mi>p</mi></math></p>", "$p(x_{i})+\\lambda R$"],
  ["<p><span data-latex='a%\n+\\beta'></span></p>", "$a+\\beta$"],
  ["<p><script type='math/tex'>a_1% note\n+b</script></p>", "$a_1+b$"],
  ["<p><img class='tex' src='a.png' alt='x^2%&#10;+1'></p>", "$x^2+1$"],
  ["<p><img class='tex' src='a.png' alt='\\frac{a}{b}% +c'></p>", "$\\frac{a}{b} +c$"],
])("a_comment_goes_with_its_line: %s", (html, expected) => expect(text(html)).toBe(expected));

test.each([
  [
    "$$\\begin{matrix} a \\\\[4pt] b \\end{matrix}$$ and \\[ x = 1 \\]",
    "$$\\begin{matrix} a \\\\[4pt] b \\end{matrix}$$ and $$x = 1$$",
  ],
  ["\\(a\\\\[2pt] b\\) or \\(c\\)", "$a\\\\[2pt] b$ or $c$"],
  ["$a \\\\( b$ and \\(c\\)", "$a \\\\( b$ and $c$"],
  ["a \\\\(b\\) c", "a \\\\(b\\) c"],
  ["It costs $5, that $6, and \\(x\\).", "It costs $5, that $6, and $x$."],
  ["costs \\$5 and \\(x\\)", "costs \\$5 and $x$"],
  ["\\begin{equation}x=1\\label{a}\\end{equation}", "$$x=1$$"],
  [
    "\\begin{align} a &amp;= b \\\\ c &amp;= d \\end{align}",
    "$$\\begin{aligned} a &= b \\\\ c &= d \\end{aligned}$$",
  ],
  ["\\begin{theorem} words \\end{theorem}", "\\begin{theorem} words \\end{theorem}"],
  ["[latex]x^2[/latex] and $latex y$", "$x^2$ and $y$"],
  ["<code>\\(b\\)</code> is written so", "\\(b\\) is written so"],
  ["\\(\\text{if } \\$5\\)", "$\\text{if } \\$5$"],
  ["an open \\( stays", "an open \\( stays"],
])("delimiters_are_found_from_left_to_right: %s", (html, expected) =>
  expect(text(`<p>${html}</p>`)).toBe(expected),
);

test.each([
  ["<img src='/images/math/teacher.jpg' alt='A smiling teacher'>"],
  ["<img class='math' src='a.png' alt='Our new classroom'>"],
  ["<img class='equation-photo' src='a.png' alt='Professor Euler at the blackboard'>"],
  ["<img src='https://example.org/render?code=200&from=home' alt=''>"],
  ["<img src='/tex/logo.png' alt='Department of Mathematics'>"],
  ["<img src='/photo.png?title=a_b' alt='two students'>"],
  ["<span data-context='x_1 of y'>words</span>"],
  ["<span data-text='x_1'>words</span>"],
  ["<div class='math-department'>The department of mathematics</div>"],
  ["<div class='equation'>Equation of state</div>"],
  ["<svg aria-label='A chart of sales'><path d='M0 0'/></svg>"],
])("what_is_no_formula_stays_prose: %s", (html) =>
  expect(text(`<p>Before ${html} after</p>`)).not.toContain("$"),
);

test.each([
  ["<math><apply><plus/><ci>a</ci><ci>b</ci></apply></math>", "$a+b$"],
  ["<math><apply><times/><cn>2</cn><apply><plus/><ci>x</ci><cn>1</cn></apply></apply></math>", "$2(x+1)$"],
  ["<math><apply><divide/><cn>1</cn><ci>x</ci></apply></math>", "$\\frac{1}{x}$"],
  ["<math><apply><power/><ci>x</ci><cn>2</cn></apply></math>", "$x^2$"],
  ["<math><apply><root/><ci>x</ci></apply></math>", "$\\sqrt{x}$"],
  ["<math><apply><eq/><apply><sin/><ci>x</ci></apply><cn>0</cn></apply></math>", "$\\sin x=0$"],
  ["<math><apply><in/><ci>x</ci><reals/></apply></math>", "$x\\in \\mathbb{R}$"],
  [
    "<math><mmultiscripts><mi>C</mi><mi>k</mi><none/><mprescripts/><mi>n</mi><none/></mmultiscripts></math>",
    ["$", "{}_nC_k$"].join(""),
  ],
  ["<math><mi mathvariant='double-struck'>R</mi></math>", "$\\mathbb{R}$"],
  ["<math><mi>𝐱</mi><mo>∈</mo><mi>ℝ</mi></math>", "$\\mathbf{x}\\in \\mathbb{R}$"],
  ["<math><menclose notation='box'><mn>4</mn></menclose></math>", "$\\boxed{4}$"],
  ["<math><mfenced open='[' close=')'><mn>0</mn><mn>1</mn></mfenced></math>", "$[0,1)$"],
  [
    "<math><mfenced open='(' close=')'><mfrac linethickness='0'><mi>n</mi><mi>k</mi></mfrac></mfenced></math>",
    "$\\binom{n}{k}$",
  ],
  [
    "<math><munder><mo>lim</mo><mrow><mi>x</mi><mo>→</mo><mn>0</mn></mrow></munder><mi>f</mi></math>",
    "$\\lim_{x\\to0}f$",
  ],
  ["<math><unknown><mfrac><mn>1</mn><mn>2</mn></mfrac></unknown></math>", "$\\frac{1}{2}$"],
  [
    "<math><semantics><mi>y</mi><annotation encoding='StarMath 5.0'>y over z</annotation></semantics></math>",
    "$y$",
  ],
  ["<math><semantics><mi>y</mi><annotation encoding='TeX'>y</annotation></semantics></math>", "$y$"],
  ["<m:math><m:mi>x</m:mi><m:mspace width='1em'/><m:mi>y</m:mi></m:math>", "$x\\quad y$"],
])("mathml_is_read: %s", (html, expected) => expect(text(`<p>${html}</p>`)).toBe(expected));

test("lists_have_numbers_and_levels", () => {
  expect(text("<ol><li>one<li>two<ul><li>inner</ul><li value=7>seven<li>eight</ol>")).toBe(
    "1. one\n2. two\n  - inner\n7. seven\n8. eight",
  );
  expect(text("<ol type=a start=3><li>c<li>d</ol><ol reversed><li>x<li>y</ol>")).toBe(
    "c. c\nd. d\n2. x\n1. y",
  );
  expect(text("<ol type=I><li><p>first</p><p>more</p></ol>")).toBe("I. first\n\nmore");
});

test("tables_have_their_cells_apart_and_layout_tables_their_blocks", () => {
  expect(text("<table><tr><th>n<th>n<sup>2</sup><tr><td>1<td>1<tr><td>2<td>4</table>")).toBe(
    "n | n^{2}\n1 | 1\n2 | 4",
  );
  expect(text("<table><tr><td><ul><li>menu</ul><td><p>Words</p><p>More</p></table>")).toBe(
    "- menu\n\nWords\n\nMore",
  );
});

test("forms_asides_and_headers_are_dropped_only_where_they_are_the_sites", () => {
  expect(
    text("<form id=aspnetForm><p>Exercise: \\(2+2\\)?</p><input type=radio> 4 <button>Go</button></form>"),
  ).toBe("Exercise: $2+2$?\n\n4");
  expect(text("<form action=/search><label>Find</label><input></form><p>Words</p>")).toBe("Words");
  expect(text("<aside class=theorem>Theorem 1.</aside><aside class=related-posts>More posts</aside>")).toBe(
    "Theorem 1.",
  );
  expect(text("<h2>Proof<span class=mw-editsection>[edit]</span></h2><p>Words</p>")).toBe("Proof\n\nWords");
});

test("marks_that_no_one_sees_are_taken_out", () => {
  expect(text("<p>sub&shy;tract and pri&#8203;me&#8205;&#65279;</p>")).toBe("subtract and prime\u200d");
});

test("nesting_takes_no_way_that_grows_with_its_square", () => {
  for (const nest of [
    "<ul><li>",
    "<table><tr><td>",
    "<div>",
    "<article>",
    "<form>",
    "<b><i>",
    "<math><mrow>",
  ]) {
    const { method, text: got } = extractHtml(`<html><body>${nest.repeat(600)}inside`);
    expect(got, nest).toContain("inside");
    // Readability is not asked.
    if (!nest.startsWith("<math>")) expect(["body", "main"]).toContain(method);
  }
});

test("wide_pages_in_many_elements_are_not_given_to_readability_either", () => {
  const page = (levels: number) =>
    extractHtml(`<html><body>${"<table>".repeat(levels)}${"<p>a, b</p>".repeat(4000)}`);
  expect(page(97).method).toBe("body");
  expect(page(10).method).toBe("readability");
});

const SHOWN = "<p>one</p><p>two</p>";
test.each([
  ["without_a_body_tag", `<html><head><title>T</title></head>${SHOWN}</html>`],
  ["without_head_and_body_tags", `<!doctype html><html><title>T</title>${SHOWN}</html>`],
  ["whose_head_has_no_end", `<html><head><title>T</title><meta name=a content=b>${SHOWN}</html>`],
  [
    "with_a_script_before_the_body",
    `<html><head><title>T</title></head><script>1</script><body>${SHOWN}</body></html>`,
  ],
  [
    "with_text_behind_the_body",
    `<html><head><title>T</title></head><body><p>one</p></body><p>two</p></html>`,
  ],
  [
    "with_text_behind_the_page",
    `<html><head><title>T</title></head><body><p>one</p></body></html><p>two</p>`,
  ],
  [
    "with_two_bodies",
    `<html><head><title>T</title></head><body><p>one</p></body><body><p>two</p></body></html>`,
  ],
  [
    "with_an_element_before_the_page",
    `<meta><html><head><title>T</title></head><body>${SHOWN}</body></html>`,
  ],
  [
    "with_two_heads",
    `<html><head><meta charset=utf-8></head><head><title>T</title></head><body>${SHOWN}</body></html>`,
  ],
  ["whose_body_comes_before_its_head", `<html><body>${SHOWN}</body><head><title>T</title></head></html>`],
])("a_page_%s_shows_all_of_its_text", (_, html) => {
  const { title, text: got } = extractHtml(html);
  expect([title, got]).toEqual(["T", "one\n\ntwo"]);
});

/** Characters that searches in strings pass over, and matches that patterns are asked for, in a function. */
function searched(run: () => void): number {
  const { indexOf } = String.prototype;
  const { exec } = RegExp.prototype;
  let n = 0;
  const strings = vi.spyOn(String.prototype, "indexOf").mockImplementation(function (
    this: string,
    mark,
    from = 0,
  ) {
    const at = indexOf.call(this, mark, from);
    n += (at < 0 ? this.length : at) - from + 1;
    return at;
  });
  const patterns = vi.spyOn(RegExp.prototype, "exec").mockImplementation(function (this: RegExp, text) {
    n++;
    return exec.call(this, text);
  });
  try {
    run();
  } finally {
    strings.mockRestore();
    patterns.mockRestore();
  }
  return n;
}

test.each([
  "\\( ",
  "\\[ ",
  "$$ ",
  "$x",
  "$latex x",
  "[latex] ",
  "[math] ",
  "\\begin{align} ",
  "\\begin{align}\\begin{gather} ",
  "\\( \\[ $",
])("delimiters_that_nothing_closes_are_searched_once: %s", (opener) => {
  // Dollar signs close each other: one more keeps the number odd.
  const work = (n: number) => searched(() => markDelimiters(`${opener.repeat(n)} $`));
  const [once, twice] = [work(2000), work(4000)];
  expect(once).toBeGreaterThan(2000);
  expect(twice / once).toBeLessThan(2.1);
  expect(once).toBeLessThan(10 * opener.length * 2000);
});

test("delimiters_are_closed_by_the_nearest_that_is_not_escaped_and_near_enough", () => {
  const long = "x".repeat(2000);
  expect(markDelimiters(`\\(a\\\\) b\\)`)).toBe("$a\\\\) b$");
  expect(markDelimiters(`\\(${long}\\) \\(b\\)`)).toBe(`\\(${long}\\) $b$`);
  expect(markDelimiters("$a$ and $ b and $c$")).toBe("$a$ and $ b and $c$");
  expect(markDelimiters("\\end{cases}\\begin{cases}a\\begin{cases}b\\end{cases}\\end{cases}")).toBe(
    "\\end{cases}$$\\begin{cases}a\\begin{cases}b\\end{cases}\\end{cases}$$",
  );
  expect(markDelimiters("\\begin{gather}a \\begin{align}b\\end{align}")).toBe(
    "\\begin{gather}a $$\\begin{aligned}b\\end{aligned}$$",
  );
});
