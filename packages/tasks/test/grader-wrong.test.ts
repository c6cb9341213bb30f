// Wrong answers, made from right ones by a change or by writing another value: none is credited.
import { Rng } from "@nsa/core";
import { expect, test } from "vitest";
import { compareAnswers } from "../src/index.ts";
import { madePair } from "./wrong-answers.ts";

test("values_in_any_writing_are_equal_to_themselves_and_to_no_other", () => {
  const kinds = new Map<string, number>();
  for (let i = 0; i < 9000; i++) {
    const { gold, answer, right, kind } = madePair(i, 5);
    kinds.set(kind, (kinds.get(kind) ?? 0) + 1);
    const { verdict } = compareAnswers(answer, gold);
    if ((verdict === "correct") !== right) expect.soft(`${answer} for ${gold}: ${verdict}`).toBe(right);
  }
  expect([...kinds.values()].every((n) => n >= 50)).toBe(true);
  expect(kinds.size).toBe(17);
});

test.each([
  ["3 ** 7", "37"],
  ["3 **7**", "37"],
  ["3\\quad 7", "37"],
  ["1 2 3", "123"],
  ["2 3/4", "23/4"],
  ["5 \\$ 3", "53"],
  ["4`2", "42"],
  ["12 34", "1234"],
] as const)("numbers_side_by_side_are_not_one: %s for %s", (answer, gold) =>
  expect(compareAnswers(answer, gold).verdict).not.toBe("correct"),
);

test.each(["12 345", "12\\,345", "1 234 567", "12 345"])("%s_in_groups_of_three_is_one", (text) =>
  expect(compareAnswers(text, text.replace(/\\,|\s/g, "")).verdict).toBe("correct"),
);

const RAISED = "⁰¹²³⁴⁵⁶⁷⁸⁹";

/** Right answers, and changes that make a wrong one of each. */
const RIGHT = [
  "42",
  "-7",
  "3.75",
  "\\frac{3}{4}",
  "1\\frac{1}{2}",
  "2\\sqrt{3}",
  "\\frac{\\sqrt{2}}{2}",
  "x^2+1",
  "(1,2)",
  "[0,5)",
  "\\{1,2,3\\}",
  "x=3",
  "x>3",
  "12\\text{ m}",
  "50\\%",
  "\\pi/6",
  "2^{10}",
  "10^{-3}",
  "\\binom{5}{2}",
  "1010_2",
  "\\sin 30^\\circ",
  "5 million",
  "0.\\overline{3}",
  "(-\\infty,1)\\cup(2,\\infty)",
  "3:4",
  "\\begin{pmatrix}1&2\\\\3&4\\end{pmatrix}",
  "\\log_2 8",
  "n(n+1)/2",
  "7!",
  "\\$18.90",
];
type Change = (text: string, draw: (n: number) => number) => string;
const digitAt = (text: string, draw: (n: number) => number): number => {
  const at = [...text].flatMap((c, i) => (/\d/.test(c) ? [i] : []));
  return at.length === 0 ? -1 : at[draw(at.length)]!;
};
const CHANGES: Change[] = [
  (t, draw) => {
    const i = digitAt(t, draw);
    return i < 0 ? t : `${t.slice(0, i)}${(Number(t[i]) + 1 + draw(8)) % 10}${t.slice(i + 1)}`;
  },
  (t, draw) => {
    const i = digitAt(t, draw);
    return i < 0 ? t : `${t.slice(0, i)}${1 + draw(9)}${t.slice(i)}`;
  },
  (t) => `-${t}`,
  (t) => `${t}+1`,
  (t) => `2(${t})`,
  (t) => `${t}0`,
  (t) => t.replace(/(\d)(\d)/, "$2$1"),
  (t) => t.replace(/\d/, (d) => RAISED[Number(d)]!),
  (t) => t.replace("x", "y"),
  (t) => t.replace(/[[(]/, (c) => (c === "(" ? "[" : "(")),
  (t) => t.replace(">", "<"),
  (t) => t.replace("^", ""),
  (t) => t.replace("\\circ", "1"),
  (t) => t.replace("million", "thousand"),
  (t) => `${t}'`,
  (t) => `${t}, 1717`,
];

/** A double for a number and its like, by another way than the grader's; NaN for what only the grader reads. */
function plainValue(text: string): number {
  const fraction = /^(-?)(\d+)\\frac\{(\d+)\}\{(\d+)\}$|^(-?)\\frac\{(\d+)\}\{(\d+)\}$/.exec(text);
  if (fraction?.[2])
    return (fraction[1] ? -1 : 1) * (Number(fraction[2]) + Number(fraction[3]) / Number(fraction[4]));
  if (fraction) return ((fraction[5] ? -1 : 1) * Number(fraction[6])) / Number(fraction[7]);
  return /^-?\d+(?:\.\d+)?$/.test(text) ? Number(text) : Number.NaN;
}

test("wrong_answers_made_from_right_ones_are_never_credited", () => {
  const rng = new Rng(7, 3);
  let at = 0;
  const draw = (n: number) => Math.min(n - 1, Math.floor(rng.uniform(0, at++) * n));
  let tried = 0;
  for (let i = 0; i < 20_000; i++) {
    const gold = RIGHT[i % RIGHT.length]!;
    const answer = CHANGES[draw(CHANGES.length)]!(gold, draw);
    if (answer === gold) continue;
    tried++;
    if (compareAnswers(answer, gold).verdict !== "correct") continue;
    // What is equal all the same: 0 with a sign, another base's digits, the same number written otherwise.
    const [a, b] = [plainValue(answer), plainValue(gold)];
    if (a === b) continue;
    expect
      .soft(
        EQUAL_ALL_THE_SAME.some((p) => p.test(`${answer} | ${gold}`)),
        `${answer} | ${gold}`,
      )
      .toBe(true);
  }
  expect(tried).toBeGreaterThan(10_000);
});

/** Changes that leave the value as it was, each checked by hand. */
const EQUAL_ALL_THE_SAME: RegExp[] = [
  /^y=3 \| x=3$/,
  /^1\\frac\{3\}\{2\} /,
  /^\\binom\{5\}\{3\} /,
  /^\\sin 390\^\\circ /,
  /^\\\$18\.900 /,
  /^0\.\\overline\{33\} /,
];
