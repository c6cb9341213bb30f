// Expressions of a tokenizer.json whose failure would take for ever are refused; those of published tokenizers are not.
import { expect, test } from "vitest";
import { toRegExp } from "../src/tokenizer/expression.ts";

test.each([
  "(a+)+$",
  "(?:a*)*b",
  "(\\p{L}+)+",
  "([a-z]+)*x",
  "(?:\\s+|b)+c",
  "(b|\\d+)*",
  "(a{2,})+",
  "x(?:[^a]+)+y",
  "(?:\\w+?)+;",
])("%s_is_refused", (source) => {
  expect(() => toRegExp(source)).toThrow(
    expect.objectContaining({ code: "tokenizer_expression_unsupported", exitCode: 4 }),
  );
});

test.each([
  "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+",
  "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
  "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+(?i:'s|'t)?|\\p{N}{1,3}",
  "(?:\\p{L}\\p{M}*)+",
  "(?:[a-z]+-)*[a-z]+",
  "(ab)+",
])("%s_is_taken", (source) => {
  expect(toRegExp(source)).toBeInstanceOf(RegExp);
});
