// What pages say by their markup alone: numbers of lines, powers by style, anchors of headlines, pictures for readers without scripts.
import { expect, test } from "vitest";
import { extractHtml } from "../src/index.ts";

const PROSE =
  "This sentence has words of its own, so that the page counts as content about numbers and primes. ".repeat(
    5,
  );
const read = (html: string): string =>
  extractHtml(`<html><body><p>${PROSE}</p>${html}</body></html>`).text.slice(PROSE.length).trim();

const PROGRAMS = [
  ["a = 1", "    b = 2"],
  ["def f(x):", "    return x", "print(f(2))"],
  ["for i in range(3):", "    print(i)", "", "done()"],
  ["int main() {", "  return 0;", "}"],
  ["x <- c(1, 2)", "y <- x * 2"],
];
const escaped = (s: string) => s.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
/** Each line in elements of a highlighter's making. */
const each = (lines: string[], of: (line: string, number: number) => string, between = "\n") =>
  lines.map((line, i) => of(escaped(line), i + 1)).join(between);

const HIGHLIGHTERS: Record<string, (lines: string[]) => string> = {
  pygments: (l) =>
    `<div class="highlight"><pre>${each(l, (t, n) => `<span class="linenos">${n}</span>${t}`)}</pre></div>`,
  chroma: (l) =>
    `<pre class="chroma"><code>${each(l, (t, n) => `<span class="line"><span class="ln">${n}</span><span class="cl">${t}\n</span></span>`, "")}</code></pre>`,
  unnamed: (l) => `<pre>${each(l, (t, n) => `<span>${n}</span> ${t}`)}</pre>`,
  "from another number": (l) => `<pre>${each(l, (t, n) => `<span class="x">${n + 41}</span>${t}`)}</pre>`,
  "lines as divisions": (l) =>
    `<pre>${each(l, (t, n) => `<div><span class="n">${n}</span><span>${t}</span></div>`, "")}</pre>`,
  "table of numbers and code": (l) =>
    `<table class="highlighttable"><tr><td class="linenos"><pre>${each(l, (_, n) => String(n))}</pre></td><td class="code"><div class="highlight"><pre>${each(l, (t) => t)}</pre></div></td></tr></table>`,
  syntaxhighlighter: (l) =>
    `<div class="syntaxhighlighter"><table><tr><td class="gutter">${each(l, (_, n) => `<div class="line">${n}</div>`, "")}</td><td class="code"><div class="container">${each(l, (t) => `<div class="line"><code>${t}</code></div>`, "")}</div></td></tr></table></div>`,
  "rows of a file": (l) =>
    `<table class="js-file-line-container">${each(l, (t, n) => `<tr><td class="blob-num" data-line-number="${n}"></td><td class="blob-code">${t}</td></tr>`, "")}</table>`,
  codemirror: (l) =>
    `<div class="CodeMirror-code">${each(l, (t) => `<div><pre class="CodeMirror-line"><span>${t}</span></pre></div>`, "")}</div>`,
  "set by style": (l) => `<div style="font-family: monospace; white-space: pre">${each(l, (t) => t)}</div>`,
  crayon: (l) =>
    `<div class="crayon-main"><table class="crayon-table"><tr><td class="crayon-nums"><div class="crayon-nums-content">${each(l, (_, n) => `<div class="crayon-num">${n}</div>`, "")}</div></td><td class="crayon-code"><div class="crayon-pre">${each(l, (t) => `<div class="crayon-line">${t.replaceAll("  ", "&nbsp;&nbsp;")}</div>`, "")}</div></td></tr></table></div>`,
  LaTeXML: (l) =>
    `<div class="ltx_listing ltx_lstlisting ltx_lst_language_Python">${each(l, (t, n) => `<div class="ltx_listingline"><span class="ltx_tag ltx_tag_listingline">${n}</span>${t}</div>`, "")}</div>`,
  xmp: (l) => `<xmp>${l.join("\n")}</xmp>`,
  "copied by an element": (l) =>
    `<div class="highlight"><pre>${each(l, (t) => t)}</pre><clipboard-copy value="x">Copy</clipboard-copy></div>`,
};

test.each(Object.keys(HIGHLIGHTERS))("code_of_%s_is_its_lines", (name) => {
  for (const lines of PROGRAMS) {
    const expected = lines.join("\n");
    expect(read(HIGHLIGHTERS[name]!(lines)), expected).toBe(expected);
  }
});

test("numbers_that_count_no_lines_stay", () => {
  for (const html of [
    '<pre><span class="mi">1</span> + x\n<span class="mi">2</span> + y</pre>',
    "<pre><span>1</span> + x\n<span>3</span> + y</pre>",
    "<pre><span>1</span> + x\nz</pre>",
    "<pre><span>1</span>\n<span>2</span>\n<span>3</span></pre>",
    '<pre><span class="hljs-number">7</span></pre>',
  ])
    expect(read(html).replace(/\s/g, "")).toBe(html.replace(/<[^>]*>|\s/g, ""));
});

test("powers_and_indices_by_style_or_name_are_powers_and_indices", () => {
  for (const [sup, sub] of [
    ['span style="vertical-align: super"', 'span style="vertical-align:sub;font-size:70%"'],
    ['span class="superscript"', 'span class="subscript"'],
    ['span class="sup"', 'span class="sub"'],
    ['i style="font-size:8px;VERTICAL-ALIGN: super"', 'b class="sub-script"'],
  ])
    for (const [base, script] of [
      ["x", "2"],
      ["10", "-3"],
      ["a", "n+1"],
      ["e", "2πi"],
      ["(a+b)", "10"],
      ["m", "k"],
      ["2", "16"],
    ]) {
      const close = (tag: string) => `</${tag.split(" ")[0]}>`;
      expect(read(`<p>so ${base}<${sup}>${script}${close(sup!)} is</p>`)).toBe(`so ${base}^{${script}} is`);
      expect(read(`<p>so ${base}<${sub}>${script}${close(sub!)} is</p>`)).toBe(`so ${base}_{${script}} is`);
    }
  expect(read('<p>a <span style="vertical-align: middle">b</span></p>')).toBe("a b");
  for (const bar of ["⁄", "/", "&frasl;"]) {
    expect(read(`<p>about <sup>1</sup>${bar}<sub>2</sub> of</p>`)).toBe("about 1/2 of");
    expect(read(`<p>about 3<sup>1</sup>${bar}<sub>2</sub> of</p>`)).toBe("about 3 1/2 of");
  }
});

/** What stands above and below a bar, and how it reads on one line. */
const PARTS: [string, string, string][] = [
  ["1", "2", "1/2"],
  ["3", "4", "3/4"],
  ["22", "7", "22/7"],
  ["1.5", "2", "1.5/2"],
  ["a", "b", "a/b"],
  ["<i>x</i>", "10", "x/10"],
  ["distance", "time", "distance/time"],
  ["a + b", "c", "(a + b)/c"],
  ["1", "1 − x", "1/(1 − x)"],
  ["x<sup>2</sup>", "y<sub>1</sub>", "(x^{2})/(y_{1})"],
  ["2a", "3b", "(2a)/(3b)"],
];
const BARS: Record<string, (a: string, b: string, before: string) => string> = {
  "frac of Wikipedia": (a, b, before) =>
    `<span class="frac">${before}<span class="num">${a}</span>&#8260;<span class="den">${b}</span></span>`,
  "sfrac of Wikipedia": (a, b, before) =>
    `${before}<span class="sfrac tion"><span class="tion"><span class="num">${a}</span><span class="sr-only">/</span><span class="den">${b}</span></span></span>`,
  "numerator and denominator": (a, b, before) =>
    `${before}<span class="fraction"><span class="numerator">${a}</span><span class="denominator">${b}</span></span>`,
  "a border below": (a, b, before) =>
    `${before}<span style="display:inline-block; vertical-align:middle"><span style="display:block; border-bottom:1px solid #000">${a}</span><span style="display:block">${b}</span></span>`,
  "a border above": (a, b, before) =>
    `${before}<span style="display: inline-table"><span>${a}</span><span style="border-top: solid thin">${b}</span></span>`,
};

test.each(Object.keys(BARS))("fractions_by_%s_are_quotients_apart_from_what_stands_before", (name) => {
  for (const [a, b, text] of PARTS) {
    expect(read(`<p>about ${BARS[name]!(a, b, "")} of</p>`)).toBe(`about ${text} of`);
    expect(read(`<p>about ${BARS[name]!(a, b, "5")} of</p>`)).toBe(`about 5 ${text} of`);
  }
});

test("what_a_line_stands_over_is_the_argument_of_the_root_before", () => {
  for (const style of [
    "text-decoration:overline",
    "border-top:1px solid; padding:0 0.1em;",
    "border-top: thin solid",
  ])
    for (const [inside, text] of [
      ["x + 1", "√(x + 1)"],
      ["2", "√2"],
      ["2<i>a</i>", "√(2a)"],
      ["<i>b</i><sup>2</sup> − 4", "√(b^{2} − 4)"],
    ]) {
      expect(read(`<p>so √<span style="${style}">${inside}</span> is</p>`)).toBe(`so ${text} is`);
      expect(read(`<p>so <span style="${style}">${inside}</span> is</p>`)).toBe(
        `so ${text!.replace(/^√\(?/, "").replace(/\)$/, "")} is`,
      );
    }
});

test("boxes_with_borders_that_are_no_fractions_stay", () => {
  const cell = (style: string) => `<span style="${style}">words</span>`;
  for (const html of [
    `<div style="display:inline-block">${cell("border-bottom:0")}${cell("")}</div>`,
    `<div style="display:inline-block">${cell("border-bottom:1px solid")}</div>`,
    `<div style="display:inline-block">and ${cell("border-bottom:1px solid")}${cell("")}</div>`,
    `<div style="display:block">${cell("border-bottom:1px solid")}${cell("")}</div>`,
  ])
    expect(read(html)).not.toMatch(/[/(]/);
});

test("formulas_of_content_markup_alone_and_the_chosen_one_of_several_are_read", () => {
  for (const [content, tex] of [
    ["<apply><plus></plus><ci>a</ci><ci>b</ci></apply>", "a+b"],
    ["<apply><divide></divide><cn>1</cn><ci>x</ci></apply>", "\\frac{1}{x}"],
    ["<apply><power></power><ci>x</ci><cn>2</cn></apply>", "x^2"],
  ]) {
    const annotation = `<annotation-xml encoding="MathML-Content">${content}</annotation-xml>`;
    expect(read(`<p>so <math><semantics>${annotation}</semantics></math> is</p>`)).toBe(`so $${tex}$ is`);
    expect(read(`<p>so <math><semantics><mi>y</mi>${annotation}</semantics></math> is</p>`)).toBe(
      "so $y$ is",
    );
  }
  for (const [selection, tex] of [
    ["", "a"],
    [' selection="1"', "a"],
    [' selection="2"', "b"],
    [' selection="3"', "c"],
  ])
    expect(
      read(`<p>so <math><maction${selection}><mi>a</mi><mi>b</mi><mi>c</mi></maction></math> is</p>`),
    ).toBe(`so $${tex}$ is`);
});

const ADDRESS = "https://latex.codecogs.com/svg.latex?x^2";
test.each([
  [`<p>so <noscript><img src="${ADDRESS}"></noscript> is</p>`, "so $x^2$ is"],
  [
    `<p>so <img class="lazy" data-src="${ADDRESS}"><noscript><img src="${ADDRESS}"></noscript> is</p>`,
    "so $x^2$ is",
  ],
  [`<p>so <img data-src="${ADDRESS}"> <noscript><img src="${ADDRESS}"></noscript> is</p>`, "so $x^2$ is"],
  [`<p>so <object type="image/svg+xml" data="${ADDRESS}"></object> is</p>`, "so $x^2$ is"],
  [`<p>so <embed src="${ADDRESS}"> is</p>`, "so $x^2$ is"],
  ['<p>so <img class="equation_image" alt="LaTeX: x^2" src="/equation_images/1"> is</p>', "so $x^2$ is"],
  ['<p>so <img src="e.png" data-equation-content="x^2"> is</p>', "so $x^2$ is"],
  ['<pre class="code math js-render-math" data-math-style="display"><code>x^2</code></pre>', "$$x^2$$"],
  ['<h2>Rings<a href="#rings">#</a></h2><p>b</p>', "Rings\n\nb"],
  ['<h3><a class="x" href="#rings">¶</a>Rings</h3><p>b</p>', "Rings\n\nb"],
  ['<h3><a href="#rings">Rings</a></h3><p>b</p>', "Rings\n\nb"],
])("%s", (html, text) => expect(read(html)).toBe(text));

test("items_are_numbered_as_the_page_shows_them", () => {
  const roman = (n: number) =>
    ["", "i", "ii", "iii", "iv", "v", "vi", "vii", "viii", "ix", "x", "xi", "xii"][n]!;
  const letter = (n: number) => "abcdefghijkl"[n - 1]!;
  const forms: Record<string, (n: number) => string> = {
    "1": String,
    a: letter,
    A: (n) => letter(n).toUpperCase(),
    i: roman,
    I: (n) => roman(n).toUpperCase(),
  };
  const styles = { "1": "decimal", a: "lower-alpha", A: "upper-latin", i: "lower-roman", I: "upper-roman" };
  for (const [type, style] of Object.entries(styles))
    for (let start = 1; start <= 10; start++)
      for (const property of ["list-style-type", "list-style"])
        expect(
          read(`<ol style="${property}: ${style} outside" start="${start}"><li>x</li><li>y</li></ol>`),
        ).toBe(`${forms[type]!(start)}. x\n${forms[type]!(start + 1)}. y`);
  for (const [type, form] of Object.entries(forms))
    for (let start = 1; start <= 10; start++) {
      expect(read(`<ol type="${type}" start="${start}"><li>x</li><li>y</li><li>z</li></ol>`)).toBe(
        [0, 1, 2].map((i) => `${form(start + i)}. ${"xyz"[i]}`).join("\n"),
      );
      expect(read(`<ol type="${type}"><li value="${start}">x</li><li>y</li></ol>`)).toBe(
        `${form(start)}. x\n${form(start + 1)}. y`,
      );
    }
});
