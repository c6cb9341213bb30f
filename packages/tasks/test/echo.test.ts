// An echo is one by its parse tree: a question's expression in another spelling is paid in none and counted in all.
import { expect, test } from "vitest";
import { judgeForm } from "../src/grader/form.ts";
import { type AnswerForm, compareAnswers, gradeProblem, isEcho, isEchoOf } from "../src/index.ts";
import { parseExpression } from "./parsed.ts";
import { disguised, respelled } from "./spellings.ts";

const verdict = (answer: string, gold: string, form: AnswerForm, question = "") =>
  compareAnswers(answer, gold, { form, question }).verdict;

/** Question, its expression, the gold answer. */
const expressions = [
  ["Simplify \\sqrt{8}.", "\\sqrt{8}", "2\\sqrt{2}"],
  ["Expand (x+1)(x+2).", "(x+1)(x+2)", "x^2+3x+2"],
  ["Simplify: $-10-4(n-5)$", "-10-4(n-5)", "10-4n"],
  ["Simplify $\\frac{x^2 - 4}{x - 2}$, please.", "\\frac{x^2-4}{x-2}", "x+2"],
  ["Rationalise √2/(√3).", "\\frac{\\sqrt2}{\\sqrt3}", "\\frac{\\sqrt{6}}{3}"],
  ["Write \\( \\frac{3}{6} \\) in lowest terms.", "\\frac{3}{6}", "\\frac{1}{2}"],
] as const;

test.each(expressions)(
  "no_spelling_of_the_question_is_paid_and_every_one_is_an_echo: %s",
  (question, expression, gold) => {
    const spellings = disguised(expression, 60);
    const task = { form: "value", question } as const;
    expect(spellings.filter((a) => verdict(a, gold, "value", question) === "correct")).toEqual([]);
    expect(spellings.filter((a) => !isEcho(a, gold, task))).toEqual([]);
    // They are refused for what they are and not for their value.
    const equal = spellings.filter((a) => verdict(a, gold, "any") === "correct");
    expect(equal.length).toBeGreaterThan(50);
  },
);

test.each(expressions.slice(0, 5))("every_spelling_of_a_right_answer_is_paid: %s", (question, _, gold) => {
  const spellings = respelled(gold, 24);
  expect(spellings.filter((a) => verdict(a, gold, "value", question) !== "correct")).toEqual([]);
  expect(spellings.filter((a) => isEcho(a, gold, { form: "value", question }))).toEqual([]);
});

test("an_expression_is_found_in_a_sentence_in_brackets_and_beside_words", () => {
  for (const [question, answer, gold] of [
    ["Simplify √8.", "\\sqrt{8}", "2\\sqrt{2}"],
    ["Simplify $\\sqrt{8}$.", "sqrt(8)", "2\\sqrt{2}"],
    ["Simplify $\\sqrt{8}$.", "8^{1/2}", "2\\sqrt{2}"],
    ["Simplify $\\sqrt{8}$.", "\\{\\sqrt8\\}", "2\\sqrt{2}"],
    ["Simplify $\\sqrt{8}$.", "100\\sqrt{8}\\%", "2\\sqrt{2}"],
    ["a) Simplify the root (that is, \\sqrt{12}).", "x=\\sqrt{12}", "2\\sqrt{3}"],
    ["What is $\\sqrt{12} = ?$", "-(-\\sqrt{12})", "2\\sqrt{3}"],
    ["$\\text{Simplify } \\sqrt{12}$", "\\sqrt{12} cm", "2\\sqrt{3}"],
    ["Simplify $\\frac{3}{6}$", "3:6", "1/2"],
    [
      "Simplify $\\frac{a+\\sqrt{\\mathrm{ab}}}{\\sqrt{a}+\\sqrt{b}}$",
      "\\frac{\\sqrt{ba}+a}{\\sqrt{b}+\\sqrt{a}}",
      "\\sqrt{a}",
    ],
    ["Simplify sqrt(8)!", "\\sqrt8", "2\\sqrt{2}"],
    ["Simplify \\begin{align} \\sqrt{8} \\end{align}", "√8", "2\\sqrt{2}"],
    ["Compute\n$$\\sqrt{8}=\\underline{\\qquad}$$", "√8", "2\\sqrt{2}"],
    ["Simplify (A) \\sqrt{8} (B) 3.", "√8", "2\\sqrt{2}"],
    ["化简√8", "\\sqrt{8}", "2\\sqrt{2}"],
    ["Simplify 3x*x and explain.", "x(3x)", "3x^2"],
    ["If y = (x-1)^2, expand y.", "(1-x)^2", "x^2-2x+1"],
    ["Solve 2x+3=7", "7=3+2x", "x=2"],
    ["Solve $2x>6$.", "6 < 2x", "x>3"],
    ["Write the number in standard notation: $8.7 \\times 10^{5}$", "8.7e5", "870000"],
    ["Convert 1.35 km to cm.", "1.35 \\mathrm{~km}", "135000 cm"],
  ] as const) {
    expect(verdict(answer, gold, "any"), `${answer}: ${question}`).toBe("correct");
    expect(verdict(answer, gold, "value", question), `${answer}: ${question}`).toBe("wrong");
    expect(isEcho(answer, gold, { form: "value", question }), `${answer}: ${question}`).toBe(true);
  }
});

test("a_number_asked_as_a_power_is_no_answer_in_any_spelling", () => {
  const question = "What is 10^2?";
  for (const answer of ["10^2", "10^{2}", "x=10^2", "10^2 apples", "10^2 = 10^2", "10**2", "(10)^2", "1e2"]) {
    expect(verdict(answer, "100", "number", question), answer).toBe("wrong");
    expect(isEcho(answer, "100", { form: "number", question }), answer).toBe(true);
  }
  for (const answer of ["100", "100 apples", "10^2 = 100", "x = 100", "one hundred"])
    expect(verdict(answer, "100", "number", question), answer).toBe("correct");
});

test("what_the_gold_answer_is_itself_is_no_echo_and_finer_spellings_decide_between_the_two", () => {
  for (const [question, gold, right, wrong] of [
    ["Write $\\sqrt{x}$ with an exponent.", "x^{1/2}", ["x^{1/2}", "x^{0.5}"], ["\\sqrt{x}", "√x"]],
    ["Write $3+x^2$ in descending order.", "x^2+3", ["x^2 + 3"], ["3+x^2", "3 + x^{2}"]],
    ["Write $x>3$ as an interval.", "(3,\\infty)", ["(3,\\infty)"], ["x>3"]],
    ["Which is larger, x+1 or x?", "x+1", ["x+1", "1+x", "y = 1 + x"], []],
    ["Which of √8 and √7 is 2√2?", "\\sqrt{8}", ["\\sqrt{8}", "√8", "8^{1/2}"], []],
    ["Sort $\\sqrt{3}$, $\\sqrt{2}$.", "\\sqrt{2}, \\sqrt{3}", ["√2, √3", "\\sqrt{3}, \\sqrt{2}"], []],
    ["Ana ate 1/2 of it. How much did Ana eat?", "0.5", ["1/2", "\\frac12", "0.5"], []],
    ["How far is 5 km?", "5 km", ["5 km", "5000 m"], []],
  ] as const) {
    for (const a of right) expect(verdict(a, gold, "value", question), `${a}: ${question}`).toBe("correct");
    for (const a of wrong) expect(verdict(a, gold, "value", question), `${a}: ${question}`).toBe("wrong");
  }
});

test("symbols_that_cancel_leave_a_number_undone_and_units_do_not", () => {
  for (const form of ["number", "value"] as const) {
    for (const a of [
      "92x/x",
      "\\frac{92x}{x}",
      "92m/m",
      "\\frac{92x+92}{x+1}",
      "92\\sin(x)/\\sin(x)",
      "92e^x/e^x",
    ])
      expect(verdict(a, "92", form), a).toBe("wrong");
    for (const a of ["92 m", "92m", "92 N", "92 apples"]) expect(verdict(a, "92", form), a).toBe("correct");
    expect(verdict("34+58 m", "92", form)).not.toBe("correct");
  }
  expect(verdict("(3, 2x/x)", "(3, 2)", "value")).toBe("wrong");
});

test("a_function_of_known_value_is_undone_and_one_coefficient_is_a_fraction_in_lowest_terms", () => {
  for (const [gold, right, wrong] of [
    ["\\frac{\\sqrt3}{2}", ["\\sqrt{3}/2", "\\sqrt{\\frac34}"], ["\\sin(\\pi/3)", "\\cos(\\pi/6)"]],
    [
      "\\frac{\\pi}{3}",
      ["\\pi/3", "\\frac13\\pi"],
      ["\\arccos(1/2)", "\\frac{2\\pi}{6}", "2\\cdot\\frac{\\pi}{6}"],
    ],
    ["\\frac{\\sqrt5-1}{4}", ["-\\frac{1-\\sqrt5}{4}"], ["\\sin(\\pi/10)"]],
    ["2-\\sqrt3", ["-\\sqrt3+2"], ["\\tan(\\pi/12)"]],
    ["2\\sqrt2", ["\\sqrt8", "\\frac{4}{\\sqrt2}"], ["e^{\\ln\\sqrt8}", "\\frac{4\\sqrt2}{2}", "|2\\sqrt2|"]],
    ["\\frac{\\pi}{2}", ["0.5\\pi"], ["2\\arctan 1", "\\frac{\\pi}{4}+\\arctan 1"]],
    ["\\frac{\\sqrt3}{4}", ["\\frac14\\sqrt3"], ["\\frac12\\cdot\\frac{\\sqrt3}{2}"]],
    ["\\frac{2x}{y}", ["2x/y"], ["\\frac{4x}{2y}"]],
    ["\\ln 2", ["\\frac{\\ln 4}{2}"], ["\\ln(1+1)"]],
    ["\\sin 1", ["\\sin(1)"], []],
  ] as const) {
    for (const a of right) expect(verdict(a, gold, "value"), `${a} for ${gold}`).toBe("correct");
    for (const a of wrong) {
      expect(verdict(a, gold, "value"), `${a} for ${gold}`).toBe("wrong");
      expect(verdict(a, gold, "any"), `${a} for ${gold}`).toBe("correct");
    }
  }
});

test("counting_words_multiply_unless_the_question_asks_in_them", () => {
  for (const [answer, value] of [
    ["3 dozen", "36"],
    ["1 dozen eggs", "12"],
    ["a dozen", "12"],
    ["two dozen", "24"],
    ["1/2 dozen", "6"],
    ["1 1/2 dozen", "18"],
    ["3 pairs", "6"],
    ["3 hundred", "300"],
    ["3 thousand", "3000"],
    ["1.5 million dollars", "1500000"],
    ["one million", "1000000"],
    ["half a million", "500000"],
    ["3 hundred thousand", "300000"],
    ["-2 dozen", "-24"],
    ["5 \\text{ million}", "5000000"],
    ["3 tenths", "0.3"],
    ["3 fifths of a cup", "3/5"],
    ["3打", "36"],
  ] as const) {
    expect(verdict(answer, value, "number"), answer).toBe("correct");
    expect(verdict(answer, /^-?[\d.]+/.exec(answer)?.[0] ?? "1", "number"), answer).toBe("wrong");
  }
  for (const a of ["3 apples", "3 quarters", "3 fifth graders", "3 scores"])
    expect(verdict(a, "3", "number"), a).toBe("correct");
  expect(verdict("3 dozen", "3", "number", "How many dozen eggs are there?")).toBe("correct");
  expect(verdict("3 million", "3", "number", "What is the profit in millions of dollars?")).toBe("correct");
  expect(verdict("36", "36", "number", "How many dozen eggs are there?")).toBe("correct");
});

test("one_judgement_serves_the_verdict_and_the_echo_figure", () => {
  const question = "Expand $(x+1)^2$ at 34+58.";
  const problem = { answer: "x^2+2x+1", question, answerForm: "value" as const };
  const gold = parseExpression(problem.answer);
  const table = [
    ["(1+x)^2", "repeats_question"],
    ["x^2+x+x+1", "undone"],
    ["1+2x+x^2", undefined],
    ["x^2+2x+1", undefined],
  ] as const;
  for (const [answer, reason] of table) {
    const judged = judgeForm(parseExpression(answer), gold, { form: "value", question });
    expect(judged, answer).toEqual(reason ? { ok: false, reason } : { ok: true });
    expect(gradeProblem(`<answer>${answer}</answer>`, problem).verdict === "correct", answer).toBe(judged.ok);
    expect(isEchoOf(answer, problem), answer).toBe(reason !== undefined);
  }
  // Where every form counts, a copy is counted and paid.
  const free = judgeForm(parseExpression("(1+x)^2"), gold, { form: "any", question });
  expect(free).toEqual({ ok: true, reason: "repeats_question" });
});
