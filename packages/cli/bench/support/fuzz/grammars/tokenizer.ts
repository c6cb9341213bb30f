// Grammar of tokenizer.json files.
import type { Draw } from "../inputs.ts";
import { number, or, text } from "./values.ts";

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
