// What tells texts and addresses apart: signs count, spelling of characters does not; parameters by what they hold.
import { expect, test } from "vitest";
import { comparedForm, normaliseUrl } from "../src/index.ts";

const OPERATORS = [..."+−×÷=<>≤≥≠≈≡∈∉⊂∪∩∧∨→⇒±·*/^%|&∑∏∫√∞∂∇°€$"];
const pairs = OPERATORS.flatMap((a, i) => OPERATORS.slice(i + 1).map((b) => [a, b] as const));

test("exercises_that_differ_in_one_operator_are_different", () => {
  const sheet = (sign: string) => `Compute 3 ${sign} 5 for the pair (1, 2).`;
  for (const [a, b] of pairs) expect(comparedForm(sheet(a)), `${a} ${b}`).not.toBe(comparedForm(sheet(b)));
});

test.each([
  ["3.5", "35"],
  ["3.5", "3,5"],
  ["12:30", "1230"],
  ["5!", "5"],
  ["f'(x)", "f(x)"],
  ["f''", "f'"],
  ["-5", "5"],
  ["5-3", "5 3"],
  ["x - y", "x y"],
  ["a -b", "a b"],
  ["(1,2)", "[1,2]"],
  ["{1}", "(1)"],
  ["10²", "102"],
  ["x₁", "x1"],
  ["½", "1 2"],
  ["x^2", "x 2"],
  ["a_1", "a 1"],
  ["50%", "50"],
  ["$5", "5"],
  ["\\frac", "frac"],
  ["⌊x⌋", "⌈x⌉"],
  ["٣ + ٥", "٣ − ٥"],
  ["３＋５", "３－５"],
])("%s_and_%s_are_different", (a, b) => {
  expect(comparedForm(`Take ${a} here.`)).not.toBe(comparedForm(`Take ${b} here.`));
});

test.each([
  ["The cat, sat!", "the CAT sat"],
  ["well-known facts", "well known facts"],
  ["a fact — known", "a fact, known"],
  ["“quoted” words…", "quoted words"],
  ["prime numbers: two; three?", "Prime numbers two three."],
  ["pri\u200bme num\u00adbers", "prime numbers"],
  ["pri\u2060me\ufeff", "prime"],
  ["\u202aprime\u202c", "prime"],
  ["３ ＋ ５ ＝ ８", "3 + 5 = 8"],
  ["ＡＢＣ", "abc"],
  ["e\u0301tale", "étale"],
  ["\ufb01eld", "field"],
  ["𝑥 + 𝐲", "x + y"],
  ["5 − 3", "5 - 3"],
  ["5 – 3", "5 - 3"],
  ["a\u00a0b\u2009c\u3000d", "a b c d"],
  ["\uff76\uff9e", "ガ"],
  ["K\u212a", "kk"],
  ["dogs' tails", "dogs tails"],
  ["ΣΑΣ", "σας"],
])("%s_and_%s_are_the_same", (a, b) => {
  expect(comparedForm(a)).toBe(comparedForm(b));
});

test("every_letter_of_a_text_may_be_hidden_behind_a_mark_or_a_width", () => {
  const text = "Gwen has 5 apples and buys 4 more: 5 + 4 = 9.";
  for (const mark of [
    "\u200b",
    "\u00ad",
    "\u200d",
    "\u2060",
    "\ufeff",
    "\u200e",
    "\ufe0f",
    "\u034f",
    "\u061c",
    "\u180e",
    "\u3164",
    "\u{e0001}",
  ])
    expect(comparedForm([...text].join(mark)), mark).toBe(comparedForm(text));
  const wide = [...text]
    .map((c) => (c > " " ? String.fromCharCode(c.charCodeAt(0) + 0xfee0) : "\u3000"))
    .join("");
  expect(comparedForm(wide)).toBe(comparedForm(text));
});

const DIFFERENT: [string, string, string][] = [
  ["sid", "100", "101"],
  ["sid", "a1", "a2"],
  ["sid", "primes-and-gaps-1", "primes-and-gaps-2"],
  ["sessionid", "12", "13"],
  ["session", "morning", "evening"],
  ["s", "euler", "gauss"],
  ["ref", "12", "13"],
  ["ref", "RFC2616", "RFC2617"],
  ["source", "book1", "book2"],
  ["source", "euclid", "gauss"],
  ["from", "2010", "2011"],
  ["token", "x1", "x2"],
  ["key", "C", "D"],
  ["id", "0123456789abcdef0123456789abcdef", "1123456789abcdef0123456789abcdef"],
  ["q", "utm_source", "utm_medium"],
  ["utm", "1", "2"],
];
test.each(DIFFERENT)("%s=%s_and_%s_are_two_pages", (name, a, b) => {
  const url = (value: string) =>
    normaliseUrl(`http://a.org/modules.php?name=News&file=article&${name}=${value}`);
  expect(url(a)).not.toBe(url(b));
});

test.each([
  ["sid", "4f1c0a9be2d84f7c9a1b2c3d4e5f6071"],
  ["SID", "pj3s8k2l9q0a7d6f5g4h3j2k1l"],
  ["sessionid", "8f14e45f-ceea-467f-a9c9-5b0b6a3b1f2d"],
  ["s", "0b1c2d3e4f5a6b7c8d9e0f1a2b3c4d5e"],
  ["PHPSESSID", "z"],
  ["jsessionid", "1F2"],
  ["utm_source", "x"],
  ["utm_campaign", "spring2020"],
  ["gclid", "1"],
  ["fbclid", "IwAR0abc"],
  ["_ga", "1.2.3"],
  ["ref", "twitter"],
  ["ref", "https://t.co/x1"],
  ["referrer", "news.example.org"],
  ["src", "https://a.org/1"],
])("%s=%s_is_dropped", (name, value) => {
  expect(normaliseUrl(`http://a.org/x?b=1&${name}=${encodeURIComponent(value)}`)).toBe("a.org/x?b=1");
});

test("sessions_in_the_path_are_dropped", () => {
  expect(normaliseUrl("http://a.org/(S(lit3py55t21z5v55vlm25s55))/orders.aspx")).toBe("a.org/orders.aspx");
  expect(normaliseUrl("http://a.org/b;jsessionid=1F2?x=1")).toBe("a.org/b?x=1");
  expect(normaliseUrl("http://a.org/f(S(1))/b")).toBe("a.org/f(S(1))/b");
});

test("every_mark_of_format_hides_nothing_and_every_shape_of_a_letter_is_the_letter", () => {
  const text = "Gwen has 5 apples";
  let [marks, shapes] = [0, 0];
  for (let code = 0xa0; code < 0xe0200; code++) {
    if (code === 0xd800) code = 0xe000;
    const c = String.fromCodePoint(code);
    // Signs in front of Arabic numbers are seen.
    if (/[\p{Cf}\p{Variation_Selector}]/u.test(c)) {
      expect(comparedForm([...text].join(c)), code.toString(16)).toBe(comparedForm(text));
      marks++;
    }
    const plain = c.normalize("NFKC");
    if (/^[A-Za-z0-9]$/.test(plain) && /^[\uff00-\uffef\u{1d400}-\u{1d7ff}]$/u.test(c)) {
      expect(comparedForm(`take ${c}${c} here`), code.toString(16)).toBe(
        comparedForm(`take ${plain}${plain} here`),
      );
      shapes++;
    }
  }
  expect(marks).toBeGreaterThan(350);
  expect(shapes).toBeGreaterThan(700);
});
