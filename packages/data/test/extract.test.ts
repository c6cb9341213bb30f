// Every way to put math on a page ends as delimited LaTeX in the extracted text.
import { expect, test } from "vitest";
import { decodePage, extractHtml, identifyLanguage } from "../src/index.ts";

const FILLER = `<p>${"This paragraph gives the page enough words to count as its content. ".repeat(8)}</p>`;
const page = (body: string) =>
  extractHtml(
    `<!DOCTYPE html><html><head><title>T</title></head><body><nav>Menu Home</nav><article>${FILLER}${body}${FILLER}</article><footer>Imprint</footer></body></html>`,
  ).text;

const FORMS: [string, string, string][] = [
  ["mathjax_inline_delimiters", "<p>Let \\(x^2 + 1\\) be.</p>", "Let $x^2 + 1$ be."],
  ["mathjax_display_delimiters", "<p>So \\[\\frac{a}{b}\\]</p>", "$$\\frac{a}{b}$$"],
  ["dollar_display", "<p>So $$a &lt; b$$ holds</p>", "$$a < b$$"],
  ["mathjax_script", 'A <script type="math/tex">y_1</script> b', "$y_1$"],
  ["mathjax_script_display", '<script type="math/tex; mode=display">\\sum_i i</script>', "$$\\sum_i i$$"],
  [
    "mathjax2_rendered_copy_is_dropped",
    '<p>Q <span class="MathJax_Preview">zzz</span><span class="MathJax">zzz</span><script type="math/tex">q</script></p>',
    "Q $q$",
  ],
  [
    "mathjax3_container",
    '<p><mjx-container display="true"><svg></svg><mjx-assistive-mml><math><msup><mi>x</mi><mn>2</mn></msup></math></mjx-assistive-mml></mjx-container></p>',
    "$$x^2$$",
  ],
  [
    "katex",
    '<p><span class="katex"><span class="katex-mathml"><math><semantics><mrow><mi>c</mi></mrow><annotation encoding="application/x-tex">c = \\pm\\sqrt{a}</annotation></semantics></math></span><span class="katex-html">c=±√a</span></span></p>',
    "$c = \\pm\\sqrt{a}$",
  ],
  [
    "katex_display",
    '<span class="katex-display"><span class="katex"><math><semantics><annotation encoding="application/x-tex">z</annotation></semantics></math></span></span>',
    "$$z$$",
  ],
  ["mathml_alttext", '<p><math alttext="n\\neq 0"><mi>n</mi></math></p>', "$n\\neq 0$"],
  [
    "mathml_converted",
    "<p><math><mfrac><mi>π</mi><mn>2</mn></mfrac><mo>≤</mo><msqrt><mi>x</mi></msqrt></math></p>",
    "$\\frac{\\pi}{2}\\le \\sqrt{x}$",
  ],
  [
    "wikipedia",
    '<span class="mwe-math-element"><span><math><semantics><mi>E</mi><annotation encoding="application/x-tex">{\\displaystyle E=mc^{2}}</annotation></semantics></math></span><img class="mwe-math-fallback-image-inline" alt="{\\displaystyle E=mc^{2}}" src="x.svg"></span>',
    "$E=mc^{2}$",
  ],
  ["image_alt", '<p>See <img class="tex" alt="\\alpha+1" src="a.png"></p>', "$\\alpha+1$"],
  [
    "codecogs",
    '<p><img src="https://latex.codecogs.com/gif.latex?%5Cfrac%7B1%7D%7B2%7D" alt=""></p>',
    "$\\frac{1}{2}$",
  ],
  [
    "wordpress_image",
    '<p><img src="https://s0.wp.com/latex.php?latex=a%2Bb&bg=fff" class="latex"></p>',
    "$a+b$",
  ],
  [
    "wp_katex",
    '<p><span class="wp-katex-eq" data-display="true">x \\to \\infty</span></p>',
    "$$x \\to \\infty$$",
  ],
];

test.each(FORMS)("%s", (_, html, expected) => {
  const text = page(html);
  expect(text).toContain(expected);
  expect(text).not.toContain("zzz");
});

test("boilerplate_around_the_article_is_left_out", () => {
  const text = page("<p>Core sentence.</p>");
  expect(text).toContain("Core sentence.");
  expect(text).not.toContain("Imprint");
  expect(text).not.toContain("Menu");
});

test("pages_are_decoded_by_header_meta_tag_or_fallback", () => {
  expect(decodePage(Uint8Array.of(0xe9), "text/html; charset=iso-8859-1")).toBe("é");
  const meta = Buffer.concat([Buffer.from('<meta charset="shift_jis">'), Buffer.from([0x83, 0x41])]);
  expect(decodePage(meta, "text/html")).toContain("ア");
  expect(decodePage(Uint8Array.of(0x93, 0x61, 0x94), "")).toBe("“a”");
  expect(decodePage(Buffer.from("\ufeffü", "utf16le"), "")).toBe("ü");
});

test("languages_are_identified", async () => {
  expect((await identifyLanguage("The sum of the angles of a triangle is two right angles.")).language).toBe(
    "en",
  );
  expect((await identifyLanguage("求方程的解，其中 x 是整数。")).language).toBe("zh");
  expect((await identifyLanguage("  ")).language).toBe("");
});
