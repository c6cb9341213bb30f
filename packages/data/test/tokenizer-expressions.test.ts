// Expressions of Split: their own engine's meaning, or refused by what they have.
import { expect, test } from "vitest";
import { Tokenizer } from "../src/index.ts";
import { toRegExp } from "../src/tokenizer/expression.ts";
import { bpe } from "./tokenizer-jsons.ts";

const split = (Regex: string) =>
  bpe({
    pre_tokenizer: {
      type: "Sequence",
      pretokenizers: [
        { type: "Split", pattern: { Regex }, behavior: "Isolated", invert: false },
        { type: "ByteLevel", add_prefix_space: false, use_regex: false },
      ],
    },
  });

/** By Oniguruma: letters, digits and blanks of Unicode, `.` all but a line feed, `^` and `$` at every line. */
test.each<[string, string, string[]]>([
  ["\\d{1,3}|\\w+|\\s+|[^\\w\\s]+", "naïve ٣٤ été", ["naïve", " ", "٣٤", " ", "été"]],
  [".+|\\n", "a\r\nb c", ["a\r", "\n", "b c"]],
  [".+|\\n", "a\u2028b\nc", ["a\u2028b", "\n", "c"]],
  ["\\W+|\\w+", "дом_1, кот", ["дом_1", ", ", "кот"]],
  ["\\D+|\\d", "x٣4", ["x", "٣", "4"]],
  ["\\S+|\\s", "a\u0085b\ufeffc", ["a", "\u0085", "b\ufeffc"]],
  ["[\\w]+|[^\\w]+", "été!!x", ["été", "!!", "x"]],
  ["[[:alpha:]]+|[[:digit:]]", "été12", ["été", "1", "2"]],
  ["(?i:don't|é)|.", "DON'TÉé", ["DON'T", "É", "é"].slice(0, 1).concat(["É", "é"])],
  ["\\p{Han}+|\\P{Han}+", "数学abc", ["数学", "abc"]],
  ["^.|.$|.", "ab\ncd", ["a", "b", "\n", "c", "d"]],
  ["\\bto\\b|\\w+|\\W", "to éto", ["to", " ", "éto"]],
  ["\\h+|\\H+", "beefgh", ["beef", "gh"]],
])("the_expression_%s_has_its_own_engine_s_meaning", (regex, text, expected) => {
  const found = [...text.matchAll(toRegExp(regex))].map((m) => m[0]);
  const covered: string[] = [];
  let at = 0;
  for (const word of found) {
    const index = text.indexOf(word, at);
    if (index > at) covered.push(text.slice(at, index));
    covered.push(word);
    at = index + word.length;
  }
  expect(covered).toEqual(expected);
  const t = new Tokenizer(split(regex));
  expect(t.decode(t.encode(text))).toBe(text);
});

test.each([
  ["a++", "possessive"],
  ["[^\\r\\n]?+x", "possessive"],
  ["(?>a|ab)c", "atomic"],
  ["(?x) a", "option"],
  ["(?i)abc", "option"],
  ["(?m:a.b)", "option"],
  ["(a)\\1", "reference"],
  ["a\\Rb", "escape"],
  ["a\\Kb", "escape"],
  ["a(", "something"],
])("the_expression_%s_is_refused_by_name", (regex, what) => {
  const error = {
    code: "tokenizer_expression_unsupported",
    exitCode: 4,
    what: expect.stringContaining(what),
  };
  expect(() => new Tokenizer(split(regex))).toThrowError(expect.objectContaining(error));
});

test("plus_signs_in_classes_and_behind_braces_are_none", () => {
  for (const regex of ["[*+]+|x", "a{2}+|.", "\\++|.", "[+?+]"]) expect(() => toRegExp(regex)).not.toThrow();
});
