// Added tokens by the rules of Rust's tokenizers.
import { expect, test } from "vitest";
import { Tokenizer } from "../src/index.ts";
import { bpe, type Json } from "./tokenizer-jsons.ts";

/** Ids 400 … are added; the rules are those of Rust's AddedVocabulary. */
const added = (...tokens: Json[]) =>
  bpe({ added_tokens: tokens.map((t, i) => ({ id: 400 + i, special: false, normalized: false, ...t })) });
function shown(json: Json, text: string): string[] {
  const t = new Tokenizer(json);
  const parts: (string | number[])[] = [];
  for (const id of t.encode(text)) {
    const last = parts.at(-1);
    if (id >= 400) parts.push(`<${id}>`);
    else if (Array.isArray(last)) last.push(id);
    else parts.push([id]);
  }
  return parts.map((part) => (typeof part === "string" ? part : t.decode(part)));
}

test.each<[string, Json[], string, string[]]>([
  ["plain", [{ content: "[X]" }], "a [X] b", ["a ", "<400>", " b"]],
  ["lstrip", [{ content: "[X]", lstrip: true }], "a \n[X] b", ["a", "<400>", " b"]],
  ["rstrip", [{ content: "[X]", rstrip: true }], "a [X] \t\u3000b", ["a ", "<400>", "b"]],
  ["both", [{ content: "[X]", lstrip: true, rstrip: true }], " [X] [X] ", ["<400>", "<400>"]],
  [
    "single_word",
    [{ content: "to", single_word: true }],
    "to tomato, to_ to",
    ["<400>", " tomato, to_ ", "<400>"],
  ],
  ["single_word_unicode", [{ content: "to", single_word: true }], "éto to·", ["éto ", "<400>", "·"]],
  ["not_single", [{ content: "to" }], "atoto", ["a", "<400>", "<400>"]],
  ["longest", [{ content: "ab" }, { content: "abc" }], "abcab", ["<401>", "<400>"]],
  ["leftmost", [{ content: "ab" }, { content: "bcd" }], "abcd", ["<400>", "cd"]],
  ["expression_signs", [{ content: "a.*[b" }], "a.*[b axxb", ["<400>", " axxb"]],
  ["blank", [{ content: "  " }], "a   b", ["a", "<400>", " b"]],
  // The blank that the first takes along is the head of the second, which is found all the same.
  ["head_taken", [{ content: "[X]", rstrip: true }, { content: " q" }], "[X] q z", ["<400>", "<401>", " z"]],
  // Tokens that are looked for in the second pass see what the first has left of the text alone.
  [
    "a_cut_ends_a_word",
    [{ content: "[X]" }, { content: "to", single_word: true, normalized: true }],
    "a[X]to[X]tomato to",
    ["a", "<400>", "<401>", "<400>", "tomato ", "<401>"],
  ],
  [
    "first_pass_first",
    [{ content: "bc" }, { content: "abcd", normalized: true }],
    "abcd",
    ["a", "<400>", "d"],
  ],
])("added_tokens_%s", (_, tokens, text, expected) => {
  expect(shown(added(...tokens), text)).toEqual(expected);
});

test("normalized_added_tokens_are_found_behind_the_normalizer", () => {
  const nfc = { normalizer: { type: "NFC" } };
  const late = { ...added({ content: "é", normalized: true }), ...nfc };
  const early = { ...added({ content: "é", normalized: false }), ...nfc };
  expect(shown(late, "xe\u0301y")).toEqual(["x", "<400>", "y"]);
  expect(shown(early, "xe\u0301y")).toEqual(["xéy"]);
  const lower = { ...added({ content: "Hey", normalized: true }), normalizer: { type: "Lowercase" } };
  expect(shown(lower, "A HEY b")).toEqual(["a ", "<400>", " b"]);
});

test("of_tokens_that_the_normalizer_makes_one_the_first_counts_special_or_not", () => {
  const blank = { normalizer: { type: "Replace", pattern: { Regex: "[A-Z]" }, content: "x" } };
  const two = {
    ...added({ content: "AB", normalized: true }, { content: "CD", normalized: true }),
    ...blank,
  };
  expect(shown(two, "aCDb")).toEqual(["a", "<400>", "b"]);
  const special = {
    ...added({ content: "AB", normalized: true }, { content: "CD", normalized: true, special: true }),
    ...blank,
  };
  expect(shown(special, "aABb")).toEqual(["a", "<400>", "b"]);
});

test("a_token_of_other_characters_than_those_of_bytes_is_decoded_as_it_is", () => {
  // `WhitespaceSplit` is no kind of byte-level BPE of ours: tokens pass the decoder of the file.
  const foreign = {
    ...added({ content: "<｜User｜>" }, { content: "数", special: true }),
    pre_tokenizer: {
      type: "Sequence",
      pretokenizers: [
        { type: "WhitespaceSplit" },
        { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: false },
      ],
    },
    decoder: { type: "ByteLevel", add_prefix_space: true, trim_offsets: true, use_regex: true },
  };
  const t = new Tokenizer(foreign);
  const ids = t.encode("é<｜User｜>数学");
  expect(ids.filter((id) => id >= 400)).toEqual([400, 401]);
  expect(t.decode(ids, { special: true })).toBe("é<｜User｜>数学");
  expect(t.decode(ids)).toBe("é<｜User｜>学");
});
