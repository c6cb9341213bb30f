// Short strings that tell tokenizers apart: contractions, runs of spaces and lines, scripts, marks, wide characters.
import { choices } from "../src/index.ts";

const ATOMS = [
  ..."aZé'’ſKǅßñ日本かカ한أब1٣½²９_/\\-—.,!?#@$%^&*()[]{}|~`\"<>=+:;",
  ..." \t\n\r\u00a0\u2003\u3000\u200b\u0000\u0085\u2028\u00ad\u0301\u20d0\ufe0f\u{1d7d8}\u{10400}\u{10428}\u{20000}😀",
  ..."ǅʰªᾼ",
  "'s",
  "'S",
  "'re",
  "'VE",
  "'ll",
  "'Ll",
  "don't",
  "HTTPServer",
  "camelCase",
  "McDonald's",
  "the",
  " The",
  " and",
  "  ",
  "   ",
  "\n\n",
  "\r\n",
  " \n ",
  "\t\t",
  "123",
  "1234567",
  "3.14",
  "日本語",
  "数学は",
  "カタカナ",
  "안녕하세요",
  "Привет",
  "مرحبا",
  "नमस्ते",
  "e\u0301",
  "A\u030a",
  "ﬁ",
  "👩‍👩‍👧",
  "🇩🇪",
  "https://x.org/a?b=1",
  "//",
  "=====",
  "--------",
  "\\frac{1}{2}",
  "$x^2$",
  "<|endoftext|>",
  "\ud800",
  "\udc00",
  "ſ",
  "'ſ",
];

/** `count` strings of up to ten atoms, the same on every call. */
export function edgeStrings(count: number): string[] {
  const c = choices(77);
  const all = ["", ...ATOMS];
  while (all.length < count) all.push(Array.from({ length: c.int(2, 10) }, () => c.pick(ATOMS)).join(""));
  return all.slice(0, count);
}
