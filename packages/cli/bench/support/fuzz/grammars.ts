// What each target's inputs look like, as grammars that also say the unusual.
import { gzipSync } from "node:zlib";
import type { Draw } from "./inputs.ts";

const text = (d: Draw): string =>
  d.pick([
    "a",
    "Sum 1+1",
    "é\u2028",
    "",
    "x".repeat(d.below(200)),
    "\u0661\u0662",
    "𝑥",
    "$x^2$",
    "\ufeffb",
    "0",
    "null",
  ]);
const number = (d: Draw): number | string =>
  d.pick([0, 1, -1, 0.5, 1e308, 2 ** 53, -0, 3, 1000, "7", 2 ** 31]);

/** Any JSON, of at most so many levels. */
function json(d: Draw, depth = 4): unknown {
  if (depth === 0) return d.pick([null, true, number(d), text(d)]);
  if (d.chance(0.3)) return d.many(4, () => json(d, depth - 1));
  if (d.chance(0.4)) return Object.fromEntries(d.many(4, () => [text(d), json(d, depth - 1)]));
  return d.pick([null, number(d), text(d)]);
}

/** The value, or anything else in its place. */
const or = (d: Draw, value: unknown): unknown => (d.chance(0.06) ? json(d) : value);

export function recipe(d: Draw): Buffer {
  const keys = [
    "name",
    "seed",
    "steps",
    "model",
    "train",
    "data",
    "extends",
    "plugins",
    "threads",
    "<<",
    "? a",
    "d_model",
    "optimizer",
    "lr",
    "mix",
    "sources",
  ];
  const scalar = () =>
    d.pick([
      "1",
      "x",
      "~",
      "*a",
      "&a b",
      "!t 3",
      "'",
      '"',
      "[1, 2",
      "{a: 1}",
      "|\n  x",
      "0x1F",
      ".nan",
      "1e999",
      "${HOME:-x}",
      "2026-01-01",
      "!!binary aa",
      "- x",
    ]);
  const lines = (depth: number, indent: string): string[] =>
    d.many(6, () =>
      depth > 0 && d.chance(0.4)
        ? `${indent}${d.pick(keys)}:\n${lines(depth - 1, `${indent}  `).join("\n")}`
        : `${indent}${d.chance(0.1) ? "- " : ""}${d.pick(keys)}: ${scalar()}`,
    );
  return Buffer.from(lines(4, "").join("\n"));
}

export function tokenizerJson(d: Draw): Buffer {
  const tokens = [
    ...new Set(d.many(30, () => d.pick(["a", "b", "ab", "Ġ", "Ġa", "<s>", "1", "▁", "<0x41>", "é", ""]))),
  ];
  const vocab = Object.fromEntries(tokens.map((token, i) => [token, d.chance(0.05) ? number(d) : i]));
  const merges = d.many(8, () =>
    d.chance(0.5)
      ? `${d.pick(["a", "b", "Ġ"])} ${d.pick(["a", "b", "Ġ"])}`
      : [d.pick(["a", "b"]), d.pick(["a", "b"])],
  );
  const expression = () =>
    d.pick(["\\d", "(a+)+$", "\\p{L}+", "[", "(?<x>a)", "(?i)a", " ?\\S+", "(?=", "a{99999999}"]);
  const pre = () =>
    d.pick<object | null>([
      null,
      { type: "ByteLevel", add_prefix_space: or(d, false), use_regex: true },
      {
        type: "Split",
        pattern: { Regex: expression() },
        behavior: d.pick(["Isolated", "Removed", "x"]),
        invert: false,
      },
      { type: "Metaspace", replacement: "▁", prepend_scheme: d.pick(["always", "never", "x"]) },
      { type: "Digits", individual_digits: true },
      { type: text(d) },
    ]);
  return Buffer.from(
    JSON.stringify(
      or(d, {
        version: "1.0",
        added_tokens: or(
          d,
          d.many(3, () =>
            or(d, {
              id: d.below(40),
              content: d.pick(["<s>", "</s>", "", "a"]),
              special: true,
              lstrip: d.chance(0.3),
            }),
          ),
        ),
        normalizer: or(
          d,
          d.pick([
            null,
            { type: "NFC" },
            { type: "Replace", pattern: { Regex: expression() }, content: "" },
            { type: "Sequence", normalizers: [] },
          ]),
        ),
        pre_tokenizer: or(d, d.chance(0.3) ? { type: "Sequence", pretokenizers: d.many(3, pre) } : pre()),
        post_processor: or(
          d,
          d.pick([
            null,
            {
              type: "TemplateProcessing",
              single: [{ SpecialToken: { id: "<s>", type_id: 0 } }, { Sequence: { id: "A", type_id: 0 } }],
              pair: [],
              special_tokens: { "<s>": { id: "<s>", ids: [0], tokens: ["<s>"] } },
            },
          ]),
        ),
        decoder: or(d, d.pick([null, { type: "ByteLevel" }, { type: "Fuse" }])),
        model: or(d, {
          type: d.pick(["BPE", "BPE", "WordLevel", "Unigram", "x"]),
          vocab: or(d, vocab),
          merges: or(d, merges),
          byte_fallback: d.chance(0.2),
          unk_token: d.pick([null, "<s>", "zz"]),
        }),
      }),
    ),
  );
}

export function safetensors(d: Draw): Buffer {
  let at = 0;
  const entries = d.many(4, () => {
    const dtype = d.pick(["F32", "F16", "BF16", "I64", "U8", "BOOL", "F8_E4M3", "Q4"]);
    const shape = d.many(3, () => d.pick([0, 1, 2, 3, 2 ** 40, -1]));
    const bytes = d.pick([0, 4, 8, 24, 2 ** 33]);
    const entry = { dtype: or(d, dtype), shape: or(d, shape), data_offsets: or(d, [at, at + bytes]) };
    at += Math.min(bytes, 64);
    return [text(d), or(d, entry)] as const;
  });
  const header = Buffer.from(
    JSON.stringify(
      or(d, {
        ...Object.fromEntries(entries),
        ...(d.chance(0.3) ? { __metadata__: or(d, { format: "pt" }) } : {}),
      }),
    ),
  );
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(d.chance(0.1) ? 2n ** BigInt(d.below(64)) : BigInt(header.length));
  return Buffer.concat([length, header, Buffer.alloc(at)]);
}

export function fastText(d: Draw): Buffer {
  const ints = [793712314, 12, ...[4, 2, 1, 1, 5, 1, 3, 1, 8, 0, 0, 100], ...[2, 1, 1]].map((n) =>
    d.chance(0.05) ? d.pick([-1, 0, 2 ** 31 - 1, -(2 ** 31)]) : n,
  );
  const head = Buffer.alloc(4 * 14 + 8 + 12 + 16);
  let p = 0;
  for (const n of ints.slice(0, 14)) p = head.writeInt32LE(n, p);
  p = head.writeDoubleLE(1e-4, p);
  for (const n of ints.slice(14)) p = head.writeInt32LE(n, p);
  p = head.writeBigInt64LE(d.chance(0.1) ? -5n : 9n, p);
  head.writeBigInt64LE(-1n, p);
  const word = (w: string, label: number) =>
    Buffer.concat([Buffer.from(`${w}\0`), Buffer.from([3, 0, 0, 0, 0, 0, 0, 0, label])]);
  const matrix = (rows: bigint, columns: bigint, floats: number) => {
    const m = Buffer.alloc(17);
    m.writeBigInt64LE(rows, 1);
    m.writeBigInt64LE(columns, 9);
    return Buffer.concat([m, Buffer.alloc(4 * floats)]);
  };
  const rows = d.chance(0.1) ? 2n ** BigInt(d.below(62)) : 9n;
  return Buffer.concat([head, word("a", 0), word("__label__x", 1), matrix(rows, 4n, 36), matrix(1n, 4n, 4)]);
}

export function warc(d: Draw): Buffer {
  const record = () => {
    const html = `<html><body><p>${text(d)}</p>${"<b>".repeat(d.below(20))}</body></html>`;
    const coded = d.chance(0.2) ? gzipSync(html) : Buffer.from(html);
    const http = Buffer.concat([
      Buffer.from(
        `HTTP/1.1 ${d.pick(["200 OK", "301", "x", "200"])}\r\nContent-Type: ${d.pick(["text/html", "text/plain; charset=utf-16", "image/png", 'text/html; charset="'])}\r\n${d.pick(["", "Content-Encoding: gzip\r\n", "Content-Encoding: br, x\r\n", "Transfer-Encoding: chunked\r\n"])}\r\n`,
      ),
      coded,
    ]);
    const length = d.chance(0.1) ? d.pick(["-1", "99999999999", "x", "", "1e3"]) : String(http.length);
    const head = `WARC/${d.pick(["1.0", "1.1", "0.18", "x"])}\r\nWARC-Type: ${d.pick(["response", "request", "warcinfo", "conversion", "resource", ""])}\r\nWARC-Target-URI: ${d.pick(["http://a.b/c", "", "::", "http://[", "<http://a.b/>"])}\r\nContent-Length: ${length}\r\n${d.chance(0.1) ? "Content-Length: 3\r\n" : ""}\r\n`;
    return Buffer.concat([Buffer.from(head), http, Buffer.from(d.pick(["\r\n\r\n", "\n\n", ""]))]);
  };
  const all = Buffer.concat(d.many(4, record));
  return d.chance(0.2) ? gzipSync(all) : all;
}

export const jsonl = (d: Draw): Buffer =>
  Buffer.from(
    d
      .many(6, () =>
        JSON.stringify(
          or(d, {
            id: or(d, text(d)),
            text: or(d, text(d)),
            html: or(d, `<p>${text(d)}`),
            url: or(d, "http://a.b"),
          }),
        ),
      )
      .join(d.pick(["\n", "\r\n", "\n\n", "\r"])),
  );

const SYMBOLS = [
  "1",
  "2",
  "x",
  "+",
  "-",
  "*",
  "/",
  "^",
  "(",
  ")",
  "{",
  "}",
  "\\frac",
  "\\sqrt",
  "=",
  ",",
  ".",
  "\\pi",
  "\\text{ m}",
  "%",
  "\\boxed{",
  "$",
  "!",
  "<",
  "\\cup",
  "[",
  "]",
  "\\overline{",
  "e",
  "i",
  "sin",
  "|",
  "_",
  " ",
  "10^",
  "million",
  "٣",
  "½",
  "\\begin{pmatrix}",
  "&",
  "\\\\",
  "\\sum",
  ":",
  "°",
  "**",
  "####",
  "\n",
];
export const answer = (d: Draw): Buffer => {
  const part = () =>
    d.many(30, () => (d.chance(0.03) ? d.pick(SYMBOLS).repeat(d.below(3000)) : d.pick(SYMBOLS))).join("");
  return Buffer.from(`${part()}\u0001${part()}`);
};

export function jinja(d: Draw): Buffer {
  const expression = (depth: number): string =>
    depth === 0
      ? d.pick([
          "m",
          "m.role",
          "'a'",
          "1",
          "messages",
          "none",
          "true",
          "range(9)",
          "namespace(x=1)",
          "x",
          "[1,2]",
          "{'a': 1}",
          "loop.index",
          "m['content']",
        ])
      : d.pick([
          `(${expression(depth - 1)} ${d.pick(["+", "~", "*", "==", "in", "and", "%", "/", "<", "is"])} ${expression(depth - 1)})`,
          `${expression(depth - 1)} | ${d.pick(["trim", "length", "join", "tojson", "upper", "list", "first", "zz", "replace('a','b')", "indent(2)", "items"])}`,
          `${expression(depth - 1)}[${expression(depth - 1)}]`,
          `not ${expression(depth - 1)}`,
          `${expression(depth - 1)}.strip()`,
        ]);
  const block = (depth: number): string => {
    const inner = () =>
      depth === 0 ? `{{ ${expression(d.below(3))} }}` : d.many(3, () => block(depth - 1)).join(text(d));
    return d.pick([
      `{% for m in ${expression(1)} %}${inner()}{% endfor %}`,
      `{% if ${expression(2)} %}${inner()}{% else %}${inner()}{% endif %}`,
      `{% set x = ${expression(2)} %}`,
      `{{ ${expression(2)} }}`,
      `{% macro f(a) %}${inner()}{% endmacro %}{{ f(1) }}`,
      "{# c #}",
      "{% raw %}{{{% endraw %}",
      "{{",
      "%}",
      "{% for m in messages %}",
      "{%- break -%}",
      "{% generation %}x{% endgeneration %}",
    ]);
  };
  return Buffer.from(d.many(5, () => block(3)).join(text(d)));
}

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
