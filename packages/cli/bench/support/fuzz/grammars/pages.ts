// Grammars of pages, and of formulas as MathML.
import type { Draw } from "../inputs.ts";
import { text } from "./values.ts";

export function mathml(d: Draw): Buffer {
  const node = (depth: number): string => {
    if (depth === 0)
      return d.pick([
        "<mi>x</mi>",
        "<mn>2</mn>",
        "<mo>+</mo>",
        "<mtext>a b</mtext>",
        "<mspace/>",
        "",
        "<mo>&sum;</mo>",
        "<none/>",
        "<mprescripts/>",
      ]);
    const name = d.pick([
      "mrow",
      "mfrac",
      "msup",
      "msub",
      "msubsup",
      "msqrt",
      "mroot",
      "munder",
      "mover",
      "mtable",
      "mtr",
      "mtd",
      "mfenced",
      "mmultiscripts",
      "mstyle",
      "semantics",
      "annotation",
      "apply",
      "ci",
      "cn",
      "mphantom",
      "m:mrow",
      "menclose",
      "zz",
    ]);
    const attribute = d.pick([
      "",
      ' linethickness="0"',
      ' open="]"',
      ' mathvariant="bold"',
      ' encoding="application/x-tex"',
      ' columnalign="x y"',
      " a",
    ]);
    return `<${name}${attribute}>${d.many(4, () => node(depth - 1)).join("")}${d.chance(0.95) ? `</${name}>` : ""}`;
  };
  return Buffer.from(`<p>a <math>${node(1 + d.below(6))}</math> b</p>`);
}

export function html(d: Draw): Buffer {
  const node = (depth: number): string => {
    if (depth === 0)
      return d.pick([
        text(d),
        "&amp;",
        "&#0;",
        "<br>",
        "<img alt='x^2' class=tex src='/latex/a.png'>",
        "\\(x\\)",
        "$$a",
        "<script>1</script>",
        "<!-- c",
        "\\[x\\]",
        "<input>",
      ]);
    const name = d.pick([
      "div",
      "p",
      "table",
      "tr",
      "td",
      "ul",
      "li",
      "ol",
      "pre",
      "code",
      "sup",
      "sub",
      "form",
      "span",
      "h2",
      "a",
      "svg",
      "template",
      "noscript",
      "math",
      "b",
      "blockquote",
      "article",
      "dl",
      "dd",
      "select",
      "option",
      "details",
      "iframe",
      "textarea",
      "title",
    ]);
    return `<${name}${d.pick(["", " class='katex'", ' style="display:none"', " hidden", " id=content", " class=MathJax data-latex='x'", "\0", " start=99999999999"])}>${d.many(4, () => node(depth - 1)).join("")}${d.chance(0.9) ? `</${name}>` : ""}`;
  };
  const deep = d.chance(0.05) ? `<${d.pick(["div", "table", "ul", "b", "sup"])}>`.repeat(d.below(3000)) : "";
  return Buffer.from(
    `${d.pick(["", "<!doctype html>", "<html><head><meta charset=x>"])}${deep}${d.many(6, () => node(1 + d.below(5))).join("")}`,
  );
}
