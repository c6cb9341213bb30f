// Families in words: columns in two languages, and greetings and lists that a judge decides; documents of several problems by one hand.
import { expect, test } from "vitest";
import {
  families,
  familyDocuments,
  gradeProblem,
  judgeCompletion,
  makeFamily,
  unreadableGold,
} from "../src/index.ts";

/** The numbers given, in turn, then 1 for ever. */
const drawn = (...numbers: number[]) => {
  let next = 0;
  return (n: number) => (numbers[next++] ?? 1) % n;
};
const worked = (name: string, question: string, slip: boolean, long: boolean, language: "en" | "zh") =>
  families.get(name).working({ question, answer: "" }, drawn(), slip, { language, long });

test("columns_are_worked_from_the_right_in_the_words_of_one_language", () => {
  expect(worked("column_sums", "34+58", false, false, "en")).toEqual({
    text: "ones 4+8=12 tens 3+5+1=9",
    answer: "92",
  });
  expect(worked("column_sums", "7+95", false, true, "zh")).toEqual({
    text: "个位 7+5=12 十位 0+9+1=10 验算 102-95=7 对",
    answer: "102",
  });
  expect(worked("column_differences", "405-38", false, true, "en")).toEqual({
    text: "ones 15-8=7 tens 10-3-1=6 hundreds 4-0-1=3 check 367+38=405 good",
    answer: "367",
  });
});

test("a_slip_forgets_what_is_carried_or_borrowed_and_its_check_says_so", () => {
  expect(worked("column_sums", "34+58", true, true, "en")).toEqual({
    text: "ones 4+8=12 tens 3+5=8 check 82-58=24 bad",
    answer: "82",
  });
  expect(worked("column_differences", "42-17", true, true, "zh")).toEqual({
    text: "个位 12-7=5 十位 4-1=3 验算 35+17=52 错",
    answer: "35",
  });
});

test("without_a_manner_the_language_changes_inside_a_work", () => {
  const { text } = families
    .get("column_sums")
    .working({ question: "34+58", answer: "92" }, drawn(0, 0, 1, 1), false);
  // First language: en; it changes behind the first part; no check.
  expect(text).toBe("ones 4+8=12 十位 3+5+1=9");
});

test("columns_of_1000_problems_come_to_their_answers", () => {
  for (const name of ["column_sums", "column_differences"]) {
    const family = makeFamily(name, { difficulty: 3, seed: 3, split: "train" });
    for (let i = 0; i < 1000; i++) {
      const problem = family.problem(i);
      const [a, b] = problem.question.split(/[-+]/).map(Number) as [number, number];
      expect(problem.answer).toBe(String(name === "column_sums" ? a + b : a - b));
      expect(family.working(problem, drawn(i, i >> 1), false).answer).toBe(problem.answer);
    }
  }
});

const judged = (judge: string, question: string, answer: string) =>
  judgeCompletion({ judge, question }, ` <think> x </think> <answer> ${answer} </answer>`);

test("the_judge_of_greetings_counts_people_time_opening_and_mark", () => {
  const of = (answer: string) => judged("greetings", "greet Mia and Tom, evening", answer);
  expect(of("Good evening, Mia and Tom!")).toBeCloseTo(1, 12);
  expect(of("Good evening, Tom and Mia")).toBeCloseTo(0.9, 12);
  expect(of("Good night, Mia and Tom!")).toBeCloseTo(0.75, 12);
  // One of two named, right time, polite, marked.
  expect(of("Good evening, Mia!")).toBeCloseTo(0.75, 12);
  // Somebody else is greeted: nothing for people.
  expect(of("Good evening, Mia and Leo!")).toBeCloseTo(0.5, 12);
  expect(of("Hey Mia and Tom")).toBeCloseTo(0.5, 12);
  // Named twice is not named once; two times of day are not the right one.
  expect(of("Good evening, good night, Mia and Tom Tom!!")).toBeCloseTo(0.25 + 0.15, 12);
});

test("the_judge_of_lists_counts_items_order_and_numbers", () => {
  const of = (answer: string) => judged("lists", "list fig nut tea", answer);
  expect(of("1) fig 2) nut 3) tea")).toBeCloseTo(1, 12);
  expect(of("fig, nut, tea")).toBeCloseTo(0.75, 12);
  expect(of("1) nut 2) fig 3) tea")).toBeCloseTo(0.75, 12);
  expect(of("fig, tea")).toBeCloseTo(1 / 3, 12);
  expect(of("1) fig 2) nut 3) milk")).toBeCloseTo(0.25, 12);
});

test("a_completion_without_one_answer_is_worth_nothing_and_no_rule_decides_it", () => {
  const problem = makeFamily("greetings", { difficulty: 2, seed: 1, split: "train" }).problem(0);
  expect(problem.judge).toBe("greetings");
  expect(judgeCompletion(problem, problem.answer)).toBe(0);
  expect(judgeCompletion(problem, `<answer>${problem.answer}</answer><answer>x</answer>`)).toBe(0);
  expect(judgeCompletion(problem, `<answer>${problem.answer}</answer>`)).toBeCloseTo(1, 12);
  expect(gradeProblem(`<answer>${problem.answer}</answer>`, problem).verdict).toBe("unknown");
  expect(unreadableGold(problem)).toBeUndefined();
  expect(judgeCompletion({ question: "1+1" }, "<answer>2</answer>")).toBeUndefined();
});

for (const name of ["greetings", "lists"])
  test(`splits_of_${name}_are_disjoint_and_slips_are_worse`, () => {
    const make = (split: "train" | "heldout") => makeFamily(name, { difficulty: 3, seed: 1, split });
    const [train, held] = [make("train"), make("heldout")];
    let worse = 0;
    for (let i = 0; i < 300; i++) {
      const problem = train.problem(i);
      expect(train.isHeldOut(problem.question)).toBe(false);
      expect(train.isHeldOut(held.problem(i).question)).toBe(true);
      let seed = i + 1;
      const int = (n: number) => {
        seed = (seed * 48271) % 2147483647;
        return seed % n;
      };
      const worth = (slip: boolean) =>
        judged(name, problem.question, train.working(problem, int, slip).answer)!;
      expect(worth(false)).toBeCloseTo(1, 12);
      if (worth(true) < 0.99) worse++;
    }
    expect(worse).toBeGreaterThan(150);
  });

test("a_document_of_several_problems_is_by_one_hand", () => {
  const documents = [
    ...familyDocuments({
      ...{ family: "column_sums", difficulty: 2, documents: 60, template: "{question}:" },
      ...{ rightShare: 1, shots: 2, seed: 4 },
    }),
  ];
  const seen = new Set<string>();
  for (const document of documents) {
    const problems = document.split("\n\n");
    expect(problems).toHaveLength(3);
    expect(new Set(problems.map((p) => p.split(":")[0])).size).toBeGreaterThan(1);
    const hands = new Set(
      problems.map((p) => `${/[个十百]/.test(p)} ${/ones/.test(p)} ${/check|验算/.test(p)}`),
    );
    expect(hands.size, document).toBe(1);
    seen.add([...hands][0]!);
  }
  // Two languages, checked and not.
  expect([...seen].sort()).toEqual([
    "false true false",
    "false true true",
    "true false false",
    "true false true",
  ]);
});
