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
