// Ways in which pages hold a formula. `source`: the TeX is somewhere on the page.
import katex from "katex";
import temml from "temml";

const esc = (s) =>
  s.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;").replace(/"/g, "&quot;");
const enc = encodeURIComponent;

/** MathJax in a process of its own kind: version 3 and 4 cannot be loaded together. */
async function mathjax(name, output) {
  const { execFileSync } = await import("node:child_process");
  const { formulas } = await import("./formulas.mjs");
  const script = `
    const tex = ${JSON.stringify(formulas)};
    const MJ = await (await import("node:module")).createRequire(${JSON.stringify(import.meta.url)})(${JSON.stringify(name)}).init({
      loader: { load: ["input/tex", "output/${output}"] }, startup: { typeset: false } });
    const out = [];
    for (const t of tex) {
      const node = await (${JSON.stringify(output)} === "svg" ? MJ.tex2svgPromise : MJ.tex2chtmlPromise)(t, { display: false });
      out.push([MJ.startup.adaptor.outerHTML(node), await MJ.tex2mmlPromise(t, { display: false })]);
    }
    process.stdout.write(JSON.stringify(out), () => process.exit(0));`;
  return JSON.parse(
    execFileSync(process.execPath, ["--input-type=module", "-e", script], { maxBuffer: 1 << 28 }).toString(),
  );
}
const rendered = {
  m3c: await mathjax("mathjax3", "chtml"),
  m3s: await mathjax("mathjax3", "svg"),
  m4c: await mathjax("mathjax", "chtml"),
  m4s: await mathjax("mathjax", "svg"),
};
const flat = (mml) => mml.replace(/\n\s*/g, "");
/** MathJax's output as version 3 with assistive MathML has it. */
const assisted = ([html, mml]) =>
  html.replace(
    /<\/mjx-container>$/,
    `<mjx-assistive-mml>${flat(mml).replace(/ data-latex="[^"]*"/g, "")}</mjx-assistive-mml></mjx-container>`,
  );
const plainMml = (i) => flat(rendered.m3c[i][1]);
const temmlOf = (tex, annotate = false) => temml.renderToString(tex, { annotate });
const katexOf = (tex, output = "htmlAndMathml", displayMode = false) =>
  katex.renderToString(tex, { output, displayMode, throwOnError: false });
const prefixed = (mml, p) =>
  mml
    .replace(/<(\/?)([a-z])/g, `<$1${p}:$2`)
    .replace(`<${p}:math`, `<${p}:math xmlns:${p}="http://www.w3.org/1998/Math/MathML"`);

const text = (open, close, display = false, block = false) => ({
  source: true,
  display,
  block,
  make: (t) => `${open}${esc(t)}${close}`,
});
const attribute = (html) => ({ source: true, make: (t) => html.replace("TEX", esc(t)) });

/** name → markup. */
const table = {
  "text: \\( \\)": text("\\(", "\\)"),
  "text: \\[ \\]": text("\\[", "\\]", true),
  "text: $ $": text("$", "$"),
  "text: $$ $$": text("$$", "$$", true),
  "text: $latex $": text("$latex ", "$"),
  "text: [latex]": text("[latex]", "[/latex]"),
  "text: equation environment": text("\\begin{equation}", "\\end{equation}", true),
  "span.math-container": text('<span class="math-container">$', "$</span>"),
  "span.math.inline (pandoc)": text('<span class="math inline">\\(', "\\)</span>"),
  "div.math (sphinx)": text('<div class="math notranslate nohighlight">\\[', "\\]</div>", true, true),
  "span.math-tex (ckeditor)": text('<span class="math-tex">\\(', "\\)</span>"),
  "span.arithmatex": text('<span class="arithmatex">\\(', "\\)</span>"),
  "span.math (jsmath)": text('<span class="math">', "</span>"),
  "math-renderer (github)": text("<math-renderer>$", "$</math-renderer>"),
  "code.js-render-math (gitlab)": text(
    '<code class="code math js-render-math" data-math-style="inline">',
    "</code>",
  ),
  "d-math": text("<d-math>", "</d-math>"),
  "tex-math": text("<tex-math>$", "$</tex-math>"),
  "wp-katex-eq": text('<span class="wp-katex-eq" data-display="false">', "</span>"),
  "script math/tex": { source: true, make: (t) => `<script type="math/tex">${t}</script>` },
  "script math/tex display": {
    source: true,
    display: true,
    make: (t) => `<script type="math/tex; mode=display">${t}</script>`,
  },
  "MathJax 2, rendered": {
    source: true,
    make: (t, i) =>
      `<span class="MathJax_Preview" style="color: inherit;">${i}</span><span class="MathJax" id="MathJax-Element-${i}-Frame"><nobr><span class="math">zz${i}</span></nobr></span><script type="math/tex" id="MathJax-Element-${i}">${t}</script>`,
  },
  "MathJax 2, data-mathml": {
    source: false,
    make: (_t, i) =>
      `<span class="MathJax" id="MathJax-Element-${i}-Frame" tabindex="0" data-mathml="${esc(plainMml(i))}" role="presentation"><nobr aria-hidden="true"><span class="math">zz</span></nobr></span>`,
  },
  "MathJax 3 CHTML, assistive": { source: false, make: (_t, i) => assisted(rendered.m3c[i]) },
  "MathJax 3 SVG, assistive": { source: false, make: (_t, i) => assisted(rendered.m3s[i]) },
  "MathJax 3 CHTML alone": { source: false, make: (_t, i) => rendered.m3c[i][0] },
  "MathJax 3 SVG alone": { source: false, make: (_t, i) => rendered.m3s[i][0] },
  "MathJax 4 CHTML": { source: true, make: (_t, i) => rendered.m4c[i][0] },
  "MathJax 4 SVG": { source: true, make: (_t, i) => rendered.m4s[i][0] },
  KaTeX: { source: true, make: (t) => katexOf(t) },
  "KaTeX display": { source: true, display: true, make: (t) => katexOf(t, "htmlAndMathml", true) },
  "KaTeX MathML": { source: true, make: (t) => katexOf(t, "mathml") },
  "KaTeX HTML with data-math": {
    source: true,
    make: (t) => katexOf(t, "html").replace('class="katex"', `class="katex" data-math="${esc(t)}"`),
  },
  "KaTeX HTML alone": { source: false, make: (t) => katexOf(t, "html") },
  "Temml annotated": { source: true, make: (t) => temmlOf(t, true) },
  "Temml alone": { source: false, make: (t) => temmlOf(t) },
  "MathML of MathJax": { source: false, make: (_t, i) => plainMml(i) },
  "MathML with prefix m:": { source: false, make: (_t, i) => prefixed(plainMml(i), "m") },
  "MathML with prefix mml:": { source: false, make: (_t, i) => prefixed(plainMml(i), "mml") },
  "MathML with alttext (LaTeXML)": {
    source: true,
    make: (t, i) =>
      plainMml(i).replace(
        "<math",
        `<math id="S1.p${i}" class="ltx_Math" alttext="${esc(t)}" display="inline"`,
      ),
  },
  "MathML, spoken alttext": {
    source: false,
    make: (_t, i) => plainMml(i).replace("<math", '<math alttext="a formula in spoken words"'),
  },
  "MathML, text/plain annotation": {
    source: false,
    make: (_t, i) =>
      plainMml(i).replace(
        /<math([^>]*)>(.*)<\/math>/s,
        '<math$1><semantics><mrow>$2</mrow><annotation encoding="text/plain">in words, as spoken</annotation></semantics></math>',
      ),
  },
  Wikipedia: {
    source: true,
    make: (t, i) =>
      `<span class="mwe-math-element"><span class="mwe-math-mathml-inline mwe-math-mathml-a11y" style="display: none;">${plainMml(i).replace(/<math([^>]*)>(.*)<\/math>/s, `<math$1 alttext="{\\displaystyle ${esc(t)}}"><semantics><mrow>$2</mrow><annotation encoding="application/x-tex">{\\displaystyle ${esc(t)}}</annotation></semantics></math>`)}</span><img src="https://wikimedia.org/api/rest_v1/media/math/render/svg/${i}abc" class="mwe-math-fallback-image-inline" aria-hidden="true" alt="{\\displaystyle ${esc(t)}}"></span>`,
  },
  "Wikipedia, picture only": attribute(
    '<img class="mwe-math-fallback-image-inline tex" alt="{\\displaystyle TEX}" src="//upload.wikimedia.org/math/a/b/c/abc.png">',
  ),
  "data-latex": attribute('<span class="math-node" data-latex="TEX"></span>'),
  "data-tex": attribute('<span data-tex="TEX"><span>shown</span></span>'),
  "data-formula": attribute('<span class="f" data-formula="TEX">shown</span>'),
  "ql-formula data-value (quill)": attribute(
    '<span class="ql-formula" data-value="TEX"><span>shown</span></span>',
  ),
  "math-field value": attribute('<math-field value="TEX" readonly></math-field>'),
  "img alt, class tex": attribute('<img class="tex" src="/cache/0a1b.png" alt="TEX">'),
  "img alt, class latex (aops)": attribute(
    '<img class="latex" src="//latex.example.org/0/a/b.png" alt="$TEX$">',
  ),
  "img alt, quicklatex": attribute(
    '<img class="ql-img-inline-formula quicklatex-auto-format" src="/wp-content/ql-cache/quicklatex.com-ab.png" alt="TEX" title="Rendered by QuickLaTeX.com">',
  ),
  "img alt, sphinx": attribute('<img class="math" src="_images/math/0a1b2c.png" alt="TEX"/>'),
  "img alt, doxygen": attribute('<img class="formulaInl" alt="$TEX$" src="form_12.png"/>'),
  "codecogs, raw": {
    source: true,
    make: (t) => `<img src="https://latex.codecogs.com/svg.image?${esc(t.replace(/ /g, "&space;"))}" alt="">`,
  },
  "codecogs, escaped": {
    source: true,
    make: (t) => `<img src="https://latex.codecogs.com/gif.latex?%5Cdpi%7B150%7D%20${enc(t)}" alt="">`,
  },
  "wp.com latex.php": {
    source: true,
    make: (t) =>
      `<img src="https://s0.wp.com/latex.php?latex=${enc(t).replace(/%20/g, "+")}&#038;bg=ffffff&#038;fg=000&#038;s=0" alt="" class="latex">`,
  },
  "zhihu equation": {
    source: true,
    make: (t) => `<img src="https://www.zhihu.com/equation?tex=${enc(t)}" eeimg="1">`,
  },
  "google chart": {
    source: true,
    make: (t) => `<img src="https://chart.googleapis.com/chart?cht=tx&amp;chl=${enc(t)}">`,
  },
  "github render": {
    source: true,
    make: (t) => `<img src="https://render.githubusercontent.com/render/math?math=${enc(t)}">`,
  },
  mimetex: { source: true, make: (t) => `<img src="/cgi-bin/mimetex.cgi?${esc(t)}">` },
  upmath: { source: true, make: (t) => `<img src="https://i.upmath.me/svg/${enc(t)}">` },
  "lazy picture with noscript": {
    source: true,
    make: (t) =>
      `<img class="lazy latex" src="data:image/gif;base64,R0lGOD" data-src="https://s0.wp.com/latex.php?latex=${enc(t)}">`,
  },
  Wiris: {
    source: false,
    make: (_t, i) =>
      `<img class="Wirisformula" src="data:image/svg+xml;x" data-mathml="${esc(plainMml(i))
        .replace(/&lt;/g, "«")
        .replace(/&gt;/g, "»")
        .replace(/&quot;/g, "¨")
        .replace(/&amp;/g, "§")}" alt="words of a formula" role="math">`,
  },
};

export const markups = Object.entries(table).map(([name, m]) => ({ name, ...m }));
