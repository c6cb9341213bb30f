// The grader on answers that others' parsers credit wrongly.
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { needs } from "../../core/test/needs.ts";
import { sharedData } from "../../core/test/shared-data.ts";
import { compareAnswers, extractAnswer, grade, sameAnswer } from "../src/index.ts";

const pairsFile = join(sharedData, "grading/math-verify-pairs.json");

test("equal_numbers_are_equal_in_every_form", () => {
  for (const [a, b] of [
    ["1,234", "1234"],
    ["0.50", "1/2"],
    ["\\frac{3}{6}", "1/2"],
    ["-\\frac{1}{2}", "-0.5"],
    ["50\\%", "0.5"],
    ["$18", "18"],
    ["18.", "18.0"],
    ["\u22123", "-3"],
  ]) {
    expect(sameAnswer(a!, b!), `${a} ${b}`).toBe(true);
  }
  for (const [a, b] of [
    ["1/3", "0.333"],
    ["4 or 5", "4"],
    ["4, 5", "4"],
    ["", ""],
    ["1/0", "1/0x"],
    ["9^{9^9}", "9"],
  ]) {
    expect(sameAnswer(a!, b!), `${a} ${b}`).toBe(false);
  }
});

test("only_the_final_answer_after_the_thought_counts", () => {
  const verdict = (s: string) => grade(s, "42").verdict;
  expect(verdict("<think>x</think> <answer>42</answer>")).toBe("correct");
  expect(verdict("so the answer is 42.")).toBe("correct");
  expect(verdict("12 * 3 = 36\n#### 42")).toBe("correct");
  expect(verdict("\\boxed{41} wait \\boxed{42}")).toBe("correct");
  expect(verdict("<think>\\boxed{42}")).toBe("unknown");
  expect(verdict("<think>\\boxed{42}</think> I do not know")).toBe("unknown");
  expect(verdict("<think>\\boxed{42}</think> \\boxed{7}")).toBe("wrong");
  expect(verdict("<think>42 it is</think> <answer>41</answer>")).toBe("wrong");
  expect(verdict("<answer>41</answer> <answer>42</answer>")).toBe("unknown");
  expect(verdict("<think>a</think> <answer>41 or 42 or 43</answer>")).toBe("wrong");
  expect(verdict("")).toBe("unknown");
});

test("huge_numbers_are_answered_at_once", () => {
  const start = performance.now();
  expect(grade(`<answer>${"9".repeat(100_000)}</answer>`, "2003^{2002^{2001}}").verdict).toBe("unknown");
  expect(performance.now() - start).toBeLessThan(200);
});

test("answers_of_every_shape_are_compared_by_meaning", () => {
  for (const [answer, gold] of [
    ["\\frac{x}{7}+\\frac27", "\\frac{x+2}{7}"],
    ["\\sec^2 y", "\\tan^2(y)+1"],
    ["2\\sqrt{3}", "\\sqrt{12}"],
    ["(1+\\sqrt5)(1-\\sqrt5)", "-4"],
    ["\\frac{1}{\\sqrt2}", "\\frac{\\sqrt2}{2}"],
    ["1\\frac12", "3/2"],
    ["1 1/2", "1.5"],
    ["0.1\\overline{6}", "\\frac16"],
    ["\\{3, 1, 2\\}", "1,2,3"],
    ["x = 1 \\pm \\sqrt{2}", "1-\\sqrt2, 1+\\sqrt2"],
    ["[0.5, \\infty)", "x \\ge \\frac12"],
    ["(-\\infty,2)\\cup(3,4]", "(3,4]\\cup(-\\infty,2)"],
    ["y = -\\frac12 x + \\frac34", "2x+4y-3=0"],
    ["\\begin{pmatrix}1&2\\\\3&4\\end{pmatrix}", "\\begin{bmatrix}1&2\\\\3&\\frac82\\end{bmatrix}"],
    ["y=2, x=1", "x=1, y=2"],
    ["6:4", "3:2"],
    ["204_5", "204_5"],
    ["18 apples", "18"],
    ["$1{,}250.50", "1250.5"],
    ["5 m", "500 cm"],
    ["28 percent", "28\\%"],
    ["twenty-one", "21"],
    ["五分之三", "0.6"],
    ["3万元", "30000"],
    ["18元", "18"],
    ["x^2", "x \\cdot x"],
    ["0.33333", "1/3"],
    ["\\text{(C)}", "C"],
    ["C) 42", "C"],
    ["the Evelyn", "\\text{Evelyn}"],
    ["F_k F_{n-k-1}", "F_{n-k-1} F_k"],
    ["3 hours 20 minutes", "200 minutes"],
    ["about 5", "5"],
    ["\\emptyset", "\\{\\}"],
    ["A. I think so", "A"],
  ] as const) {
    expect(compareAnswers(answer, gold), `${answer} against ${gold}`).toMatchObject({ verdict: "correct" });
  }
});

test("near_misses_are_not_credited", () => {
  for (const [answer, gold] of [
    ["(1,2)", "(2,1)"],
    ["(0,1)", "[0,1)"],
    ["x=2, y=1", "x=1, y=2"],
    ["2021", "\\pm 2021"],
    ["|x|", "x"],
    ["\\sqrt{x^2+1}", "x+1"],
    ["x > 5", "x < 5"],
    ["1:00", "12:00"],
    ["204_5", "204_7"],
    ["A or B", "A"],
    ["A, B", "A"],
    ["4 or 5", "4"],
    ["42 is not the answer", "42"],
    ["A B C D", "A"],
    ["a dog", "A"],
    ["5 cm", "5 m"],
    ["0.333", "1/3"],
    ["32, 349", "32349"],
    ["11a+c", "7 = 11a+c"],
    ["f(y)", "f(x)"],
    ["\\begin{pmatrix}1&2\\\\3&5\\end{pmatrix}", "\\begin{pmatrix}1&2\\\\3&4\\end{pmatrix}"],
  ] as const) {
    expect(compareAnswers(answer, gold).verdict, `${answer} against ${gold}`).not.toBe("correct");
  }
});

test("a_set_is_answered_by_an_inequality_only_on_request", () => {
  expect(compareAnswers("-2 \\le x \\le 7", "[-2,7]").verdict).toBe("wrong");
  expect(compareAnswers("-2 \\le x \\le 7", "[-2,7]", { relationForSet: true }).verdict).toBe("correct");
});

test("the_text_of_an_option_is_as_good_as_its_letter", () => {
  const choices = ["$61", "$65", "$67.40", "$70"];
  expect(compareAnswers("67.4", "C", { choices }).verdict).toBe("correct");
  expect(compareAnswers("70", "C", { choices }).verdict).toBe("wrong");
  expect(compareAnswers("D", "C", { choices }).verdict).toBe("wrong");
});

test("unreadable_and_endless_answers_are_unknown_within_milliseconds", () => {
  for (const answer of [
    "9^{9^9}",
    "9^{9^{9^9}}",
    "2003^{2002^{2001}}",
    "(10^{400})!",
    "\\frac{1}{",
    "\\foo{3}",
    "{".repeat(1000),
    "1/0",
  ]) {
    const start = performance.now();
    expect(compareAnswers(answer, "7").verdict, answer).toBe("unknown");
    expect(performance.now() - start).toBeLessThan(50);
  }
});

test("the_last_marked_answer_counts_and_parts_of_one_answer_are_joined", () => {
  const text = (s: string) => extractAnswer(s, { fallback: "any" }).text;
  expect(
    text("\\boxed{255} so \\$10,455. Final Answer: The final answer is $10,455$. I hope it is correct."),
  ).toBe("$10,455$.");
  expect(text("The integers are \\boxed{-2} and \\boxed{1}.")).toBe("-2, 1");
  expect(text("\\boxed{1} no no no \\boxed{2}")).toBe("2");
  expect(text("所以一共买了18包。答案是18")).toBe("18");
  expect(text("She makes 5 cakes.\nA: 26")).toBe("26");
  expect(text("He has 3 left. That is 1,234 in all.")).toBe("1,234");
  expect(extractAnswer("He has 3 left.").kind).toBe("none");
});

needs(existsSync(pairsFile), `no ${pairsFile}`)("recorded_pairs_are_graded_as_labelled", () => {
  const pairs = JSON.parse(readFileSync(pairsFile, "utf8")) as {
    gold: string;
    pred: string;
    expected: number;
  }[];
  const short = pairs.filter((p) => p.gold.length < 40 && p.pred.length < 60 && p.expected === 0);
  expect(short.length).toBeGreaterThan(15);
  for (const p of short) expect(sameAnswer(p.pred, p.gold), `${p.gold} ${p.pred}`).toBe(false);
});

test("an_output_that_is_cut_anywhere_is_read_to_an_end", () => {
  // Some begin with what marks an answer, as an output of nothing else does.
  for (const whole of [
    "\\boxed{\\frac{1}{2}} and \\fbox{3}, \\boxed 4 Next",
    "\\fbox{12}",
    "#### 5\n#### 6",
    "Final answer: the final answer is $\\boxed{7}$.",
    "<answer> 8 </answer> <answer>9",
    "答案是 \\boxed{10}",
  ])
    for (let end = 0; end <= whole.length; end++)
      for (const more of ["", " ", "\n"])
        expect(typeof extractAnswer(whole.slice(0, end) + more, { fallback: "any" }).kind).toBe("string");
  expect(extractAnswer("\\boxed").kind).toBe("none");
  expect(extractAnswer("\\boxed 4").text).toBe("4");
  expect(extractAnswer("\\boxed{3} \\boxed").text).toBe("3");
});
