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
