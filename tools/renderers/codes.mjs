// Code of the bench, and the ways in which highlighters and editors put it on a page.
const esc = (s) =>
  s.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;").replace(/"/g, "&quot;");

export const codes = [
  "def f(x):\n    if x > 0:\n        return x\n    return -x",
  'for (int i = 0; i < n; i++) {\n\tsum += a[i] * b[i];\n}\n\nprintf("%d\\n", sum);',
  'latex = r"\\(b\\) and \\[ x_1 \\] and $y$"\nprint(latex)  # costs $5',
  "SELECT a.id, COUNT(*)\n  FROM a\n  JOIN b ON a.id = b.id\n WHERE b.x <> 'q'\n GROUP BY a.id;",
  "main = do\n  let xs = [x^2 | x <- [1..10], odd x]\n  mapM_ print xs\n  where\n    go 0 = 1",
];

const lines = (code, each, joiner = "") => code.split("\n").map(each).join(joiner);
const words = (code) =>
  esc(code).replace(
    /\b(def|if|return|for|int|SELECT|FROM|WHERE|let|do|where|print)\b/g,
    '<span class="hljs-keyword">$1</span>',
  );
const spans = (code) => words(code).replace(/(\d+)/g, '<span class="mi">$1</span>');

const table = {
  pre: (c) => `<pre>${esc(c)}</pre>`,
  "pre > code": (c) => `<pre><code class="language-x">${esc(c)}</code></pre>`,
  "pre with a line break first": (c) => `<pre>\n${esc(c)}\n</pre>`,
  "highlight.js": (c) => `<pre><code class="hljs language-x">${words(c)}</code></pre>`,
  pygments: (c) => `<div class="highlight"><pre><span></span>${spans(c)}\n</pre></div>`,
  "rouge table": (c) =>
    `<div class="language-x highlighter-rouge"><div class="highlight"><pre class="highlight"><code><table class="rouge-table"><tbody><tr><td class="rouge-gutter gl"><pre class="lineno">${lines(c, (_, i) => `${i + 1}\n`)}</pre></td><td class="rouge-code"><pre>${words(c)}\n</pre></td></tr></tbody></table></code></pre></div></div>`,
  "pygments table": (c) =>
    `<table class="highlighttable"><tr><td class="linenos"><div class="linenodiv"><pre>${lines(c, (_, i) => `${i + 1}\n`)}</pre></div></td><td class="code"><div class="highlight"><pre>${spans(c)}\n</pre></div></td></tr></table>`,
  "lines as divs (rehype)": (c) =>
    `<figure><pre><code>${lines(c, (l) => `<span class="line" style="display:block">${words(l)}</span>`)}</code></pre></figure>`,
  "lines as spans (shiki)": (c) =>
    `<pre class="shiki"><code>${lines(c, (l) => `<span class="line">${words(l)}</span>`, "\n")}</code></pre>`,
  "prism with numbers": (c) =>
    `<pre class="line-numbers"><code>${words(c)}<span aria-hidden="true" class="line-numbers-rows">${lines(c, () => "<span></span>")}</span></code></pre>`,
  "github table": (c) =>
    `<table class="highlight tab-size js-file-line-container"><tbody>${lines(c, (l, i) => `<tr><td id="L${i + 1}" class="blob-num js-line-number" data-line-number="${i + 1}"></td><td class="blob-code blob-code-inner js-file-line">${words(l)}</td></tr>`)}</tbody></table>`,
  "google prettify list": (c) =>
    `<pre class="prettyprint linenums"><ol class="linenums">${lines(c, (l, i) => `<li class="L${i % 10}"><span class="pln">${words(l)}</span></li>`)}</ol></pre>`,
  breaks: (c) => `<pre>${lines(c, esc, "<br>")}</pre>`,
  "code with breaks and hard blanks": (c) =>
    `<code>${lines(c.replace(/\t/g, "    "), (l) => esc(l).replace(/^ +| {2,}/g, (b) => "&nbsp;".repeat(b.length)), "<br />")}</code>`,
  "codemirror lines": (c) =>
    `<div class="CodeMirror-code">${lines(c, (l) => `<div style="position: relative;"><pre class=" CodeMirror-line " role="presentation"><span role="presentation">${words(l) || "\u200b"}</span></pre></div>`)}</div>`,
  "gist with a copy button": (c) =>
    `<div class="snippet"><button class="copy">Copy</button><pre><button>Copy</button><code>${esc(c)}</code></pre></div>`,
};

export const codeMarkups = Object.entries(table).map(([name, make]) => ({
  name,
  make,
  expected: name === "code with breaks and hard blanks" ? codes.map((c) => c.replace(/\t/g, "    ")) : codes,
}));
