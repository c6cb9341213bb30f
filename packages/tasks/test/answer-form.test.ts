// What counts as having answered: a value and not the task written again, an equation only where it holds.
import { expect, test } from "vitest";
import {
  type AnswerForm,
  compareAnswers,
  findTask,
  gradeProblem,
  isEcho,
  isEchoOf,
  makeFamily,
  taskSchema,
  toProblem,
} from "../src/index.ts";

const verdict = (answer: string, gold: string, form: AnswerForm, question = "") =>
  compareAnswers(answer, gold, { form, question }).verdict;

/** Ways of writing 92 as one number. */
const numerals = [
  "92",
  "+92",
  "0092",
  "92.0",
  "9.2e1",
  "9.2\\times 10^1",
  "92 apples",
  "$92$",
  "\\$92",
  "(92)",
  "{92}",
  "ninety-two",
  "九十二",
  "x = 92",
  "34+58=92",
  "92=92",
  "34 + 58 = 92 apples",
  "92, 92",
];

/** Ways of leaving 34+58, or another computation that comes to 92, to the reader. */
const undone = [
  "34+58",
  "34 + 58 =",
  "=34+58",
  "x = 34+58",
  "92 = 34+58",
  "92+0",
  "92-0",
  "92*1",
  "1 \\times 92",
  "4(23)",
  "(4)(23)",
  "4\\cdot 23",
  "184/2",
  "92/1",
  "184:2",
  "\\frac{184}{2}",
  "\\frac{92}{1}",
  "-(-92)",
  "--92",
  "34−(−58)",
  "34＋58",
  "34 ⁺ 58",
  "34\\,+\\,58",
  "\\text{34+58}",
  "\\boxed{34+58}",
  "(34+58)",
  "|-92|",
  "abs(-92)",
  "sqrt(8464)",
  "\\sqrt{8464}",
  "92^1",
  "4!+68",
  "\\binom{92}{1}",
  "\\max(92, 1)",
  "\\lfloor 92.3 \\rfloor",
  "92x^0",
  "92+x-x",
  "92 + 0i",
  "9200\\% + 0\\%",
  "92, 34+58",
  "34 plus 58",
  "92 plus zero",
  "九十二加零",
];

test("a_number_is_answered_by_a_numeral_and_never_by_a_computation", () => {
  for (const form of ["number", "value"] as const) {
    for (const answer of numerals) expect(verdict(answer, "92", form), `${form}: ${answer}`).toBe("correct");
    for (const answer of undone)
      expect(verdict(answer, "92", form), `${form}: ${answer}`).not.toBe("correct");
  }
  expect(verdict("34+58", "92", "any")).toBe("correct");
  expect(compareAnswers("34+58", "92", { form: "number" }).why).toBe("equal, but not worked out");
});

test("a_fraction_is_a_number_in_lowest_terms_and_a_value_unless_it_is_an_integer", () => {
  expect(["1/2", "0.5", "50%", "\\frac12"].map((a) => verdict(a, "1/2", "number"))).toEqual(
    Array(4).fill("correct"),
  );
  expect(verdict("2/4", "1/2", "number")).toBe("wrong");
  expect(verdict("2/4", "1/2", "value")).toBe("correct");
  expect(verdict("1 1/2", "1.5", "number")).toBe("correct");
  expect(verdict("1+1/2", "1.5", "value")).toBe("wrong");
  expect(verdict("0.1\\overline{6}", "1/6", "number")).toBe("correct");
  expect(verdict("3 hours 20 minutes", "200 minutes", "number")).toBe("correct");
});

test("values_that_have_no_shorter_writing_count_and_their_parts_are_worked_out", () => {
  for (const [gold, right, wrong] of [
    ["\\sqrt{2}", ["√2", "2^{1/2}", "\\frac{2}{\\sqrt2}"], ["\\sqrt{1+1}"]],
    ["2\\sqrt{13}", ["\\sqrt{52}", "2\\cdot\\sqrt{13}"], ["\\sqrt{16+36}", "\\sqrt{4\\cdot 13}"]],
    ["2\\pi", ["\\pi\\cdot 2"], ["2\\cdot 1\\cdot\\pi", "(1+1)\\pi", "\\pi+\\pi"]],
    ["3\\sqrt{2}", ["\\sqrt{18}"], ["\\sqrt2+\\sqrt8"]],
    ["7x", ["7\\cdot x"], ["3x+4x", "4x+3x+0", "(3+4)x", "\\frac{14}{2}x", "2x+2x+3x"]],
    ["x^2+3", ["3+x^2"], ["x^{1+1}+3", "x^2+1+2", "x^2+3+0"]],
    ["32x", ["x\\cdot 32"], ["2^5x", "4\\cdot 8x"]],
    ["x>3", ["3<x", "(3,\\infty)"], ["x>1+2"]],
    ["(x-1)^2+y^2=25", ["(1-x)^2+y^2=5^2"], []],
    ["3+4i", ["4i+3"], ["1+2+4i"]],
    ["\\ln 2", ["\\frac{\\ln 4}{2}"], ["\\ln(1+1)"]],
    ["\\frac{1}{2}", ["0.5"], ["\\sin(\\pi/6)", "2^{-1}", "\\log_4 2"]],
    ["(1,3)", ["(1, 3)"], ["(2-1,3)", "(1, 6/2)"]],
    ["\\{1,2\\}", ["x=1 or x=2"], ["\\{1,1+1\\}"]],
    ["8, 2", ["2 and 8"], ["5\\pm 3"]],
    ["\\begin{pmatrix}1\\\\2\\end{pmatrix}", ["(1,2)"], ["\\begin{pmatrix}1\\\\1+1\\end{pmatrix}"]],
    ["x^2+2x+1", ["1+2x+x^2", "(x+1)^2"], []],
    ["2:3", ["4:6"], []],
    ["-\\infty", ["-\\infty"], []],
  ] as [string, string[], string[]][]) {
    for (const a of right) expect(verdict(a, gold, "value"), `${a} for ${gold}`).toBe("correct");
    for (const a of wrong) {
      expect(verdict(a, gold, "value"), `${a} for ${gold}`).not.toBe("correct");
      expect(verdict(a, gold, "any"), `${a} for ${gold}`).toBe("correct");
    }
  }
});

test("a_gold_answer_that_is_no_value_itself_may_be_met_by_any_form", () => {
  expect(verdict("4^{50}", "2^{100}", "value")).toBe("correct");
  expect(verdict("\\sqrt{2}", "\\sqrt{2}", "number")).toBe("correct");
});

test("the_expression_of_the_question_is_no_answer_unless_the_gold_answer_is_its_text", () => {
  for (const [question, gold, echo] of [
    ["Simplify: $-10-4(n-5)$", "$10-4 n$", "-10-4(n-5)"],
    ["Expand $(x+1)^2$.", "x^2+2x+1", "(x+1)^2"],
    ["Simplify 3x+4x.", "7x", "3x + 4x"],
    ["Simplify $\\sqrt{52}$.", "2\\sqrt{13}", "$\\sqrt{52}$"],
    ["Solve 2x+3=7", "x=2", "2x+3=7"],
    ["Solve $2x>6$.", "x>3", "2x>6"],
    ["Write the number in standard notation: $8.7 \\times 10^{5}$", "870000", "8.7 \\times 10^{5}"],
  ] as const) {
    expect(verdict(echo, gold, "value", question), question).toBe("wrong");
    expect(verdict(echo, gold, "any", question), question).toBe("correct");
    expect(isEcho(echo, gold, { form: "value", question }), question).toBe(true);
    expect(verdict(gold, gold, "value", question), question).toBe("correct");
    expect(isEcho(gold, gold, { form: "value", question }), question).toBe(false);
  }
  expect(verdict("x+1", "x+1", "value", "Which is larger, x+1 or x?")).toBe("correct");
  // A number that stands in the question may be its answer.
  expect(verdict("1/2", "0.5", "number", "Ana ate 1/2 of it. How much did Ana eat?")).toBe("correct");
});

test("a_solved_equation_is_not_answered_by_an_unsolved_one", () => {
  expect(verdict("2x=4", "x=2", "value")).toBe("wrong");
  expect(verdict("2x=4", "x=2", "any")).toBe("correct");
  expect(verdict("y-3=2x", "y=2x+3", "value")).toBe("correct");
});

test("an_equation_is_a_claim_whose_last_side_counts_where_it_holds", () => {
  for (const answer of ["3=5", "1=2=3=4=5", "2+2=5", "5=3=5", "4≈5", "3 apples = 5", "3=5=x"])
    for (const form of ["any", "value", "number"] as const)
      expect(verdict(answer, "5", form), answer).not.toBe("correct");
  // After a name, working that slipped: the name's value where values alone are compared, a false chain in a task.
  expect(verdict("x = 3+3 = 5", "5", "any")).toBe("correct");
  expect(verdict("x = 3+3 = 5", "5", "value")).toBe("wrong");
  for (const [answer, gold] of [
    ["2+3=5", "5"],
    ["5=5", "5"],
    ["x = 5", "5"],
    ["a = b = 5", "5"],
    ["\\sqrt{25} = 5", "5"],
    ["2/3 = 0.67", "0.67"],
    ["2/3 ≈ 0.67", "0.67"],
    ["x = \\frac13 \\approx 0.33", "\\frac13"],
    ["1 hour = 60 minutes", "60"],
    ["5 dozen = 60", "60"],
    ["50\\% = 0.5", "0.5"],
    ["f(3) = 5", "5"],
  ] as const)
    expect(verdict(answer, gold, "value"), answer).toBe("correct");
});

test("every_family_pays_its_answer_and_never_its_question", () => {
  for (const name of ["addition", "arithmetic", "modular", "word_problems"]) {
    const family = makeFamily(name, { difficulty: 2, seed: 3, split: "train" });
    for (let i = 0; i < 50; i++) {
      const problem = family.problem(i);
      const graded = (answer: string) => gradeProblem(`<answer> ${answer} </answer>`, problem).verdict;
      expect(graded(problem.answer)).toBe("correct");
      expect(graded(problem.question), problem.question).not.toBe("correct");
      expect(graded(`${problem.answer}+0`), problem.question).toBe("wrong");
      expect(graded(`${problem.question.replaceAll("+", " + ")} = ${Number(problem.answer) + 1}`)).not.toBe(
        "correct",
      );
    }
  }
  const countdown = makeFamily("countdown", { difficulty: 3, seed: 3, split: "train" }).problem(0);
  expect(gradeProblem(`<answer>${countdown.answer}</answer>`, countdown).verdict).toBe("correct");
  expect(isEchoOf(countdown.answer, countdown)).toBe(false);
});

test("tasks_say_how_they_may_be_answered_and_a_file_is_answered_by_values", () => {
  const forms = ["gsm8k", "svamp", "cmath", "mgsm-bn", "mgsm-zh", "math", "college-math", "aqua"].map(
    (name) => findTask(name).answerForm,
  );
  expect(forms).toEqual(["number", "number", "number", "number", "number", "value", "value", "value"]);
  const record = { question: "What is 34+58?", answer: 92 };
  const graded = (more: object) =>
    gradeProblem(
      "<answer>34+58</answer>",
      toProblem(taskSchema.parse({ name: "t", files: ["t.jsonl"], ...more }), record, "t:1", 0),
    ).verdict;
  expect(graded({})).toBe("wrong");
  expect(graded({ answerForm: "any" })).toBe("correct");
});

test("an_echo_is_counted_whatever_its_value", () => {
  const of = (answer: string) => isEcho(answer, "92", { form: "number", question: "34+58" });
  const echoes = ["34+58", "34+57", "34+58=", "2*46", "184/2", "184:2", "2/4"];
  const others = ["92", "91", "34+58=92", "34+58=91", "1/2", "ninety-two", "apples", "", "x", "9 2 1"];
  expect(echoes.filter((a) => !of(a))).toEqual([]);
  expect(others.filter(of)).toEqual([]);
});
