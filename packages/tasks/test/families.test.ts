// Problem families: disjoint splits, right answers, difficulty that means what it says, workings, countdown's judge.
import { expect, test } from "vitest";
import { checkCountdown, families, familyDocuments, gradeProblem, makeFamily } from "../src/index.ts";

const make = (name: string, difficulty: number, split: "train" | "heldout" = "train") =>
  makeFamily(name, { difficulty, seed: 1, split });

/** Functions and repairs are judged by their tests (programs.test.ts, repositories.test.ts), greetings and lists by a judge (worded-families.test.ts). */
const answered = families.names.filter(
  (name) => name !== "functions" && name !== "repairs" && !families.get(name).judge,
);

test("splits_of_functions_are_disjoint_and_deterministic", () => {
  const [train, held] = [make("functions", 2), make("functions", 2, "heldout")];
  for (let i = 0; i < 300; i++) {
    expect(train.isHeldOut(train.problem(i).question)).toBe(false);
    expect(train.isHeldOut(held.problem(i).question)).toBe(true);
    expect(make("functions", 2).problem(i)).toEqual(train.problem(i));
  }
});

for (const name of answered) {
  test(`splits_of_${name}_are_disjoint_deterministic_and_right`, () => {
    const difficulty = name === "countdown" ? 3 : 2;
    const [train, held] = [make(name, difficulty), make(name, difficulty, "heldout")];
    for (let i = 0; i < 300; i++) {
      const problem = train.problem(i);
      expect(train.isHeldOut(problem.question)).toBe(false);
      expect(train.isHeldOut(held.problem(i).question)).toBe(true);
      expect(make(name, difficulty).problem(i)).toEqual(problem);
      expect(gradeProblem(`<answer>${problem.answer}</answer>`, problem).verdict).toBe("correct");
    }
  });

  test(`workings_of_${name}_end_right_and_slips_are_often_wrong`, () => {
    const family = make(name, 3);
    let wrong = 0;
    for (let i = 0; i < 100; i++) {
      let seed = i;
      const int = (n: number) => {
        seed = (seed * 48271 + 11) % 2147483647;
        return seed % n;
      };
      const problem = family.problem(i);
      const verdict = (slip: boolean) =>
        gradeProblem(`<answer>${family.working(problem, int, slip).answer}</answer>`, problem).verdict;
      expect(verdict(false), problem.question).toBe("correct");
      if (verdict(true) !== "correct") wrong++;
    }
    expect(wrong).toBeGreaterThan(40);
  });
}

test("the_order_of_terms_and_the_names_in_a_story_make_no_other_problem", () => {
  for (const [name, one, other] of [
    ["addition", "12+7", "7+12"],
    ["arithmetic", "12*7", "7*12"],
    ["modular", "(12*7)%5", "(7*12)%5"],
    ["countdown", "Make 19 from 3, 8 and 5.", "Make 19 from 5, 3 and 8."],
    [
      "word_problems",
      "Mia has 3 pens. Mia buys 4 more pens. How many pens does Mia have now?",
      "Tom has 3 books. Tom buys 4 more books. How many books does Tom have now?",
    ],
  ] as const) {
    // Over many problems: a key that differed would part some of them.
    const swaps = Array.from({ length: 60 }, (_, i) => [
      one.replace(/\d+/, (d) => String(Number(d) + i)),
      other.replace(name === "word_problems" ? /\d+/ : /(?:12|19)/, (d) => String(Number(d) + i)),
    ]);
    const family = make(name, 2);
    for (const [a, b] of swaps) expect(family.isHeldOut(a!), `${a} ${b}`).toBe(family.isHeldOut(b!));
  }
});

test("difficulty_counts_digits_numbers_and_steps", () => {
  for (let i = 0; i < 50; i++) {
    expect(make("addition", 4).problem(i).question.length).toBeLessThanOrEqual(9);
    expect(make("countdown", 4).problem(i).countdown!.numbers).toHaveLength(4);
    expect(make("word_problems", 5).problem(i).question.match(/[.?]/g)).toHaveLength(7);
  }
});

test("a_family_without_problems_in_a_split_is_refused", () => {
  // Two numbers of 0 to 9^0: one sum, which is in one of the splits.
  const splits = (["train", "heldout"] as const).map((split) => {
    try {
      make("addition", 0, split).problem(0);
      return "fine";
    } catch (error) {
      return (error as { code: string }).code;
    }
  });
  expect(splits.sort()).toEqual(["family_too_small", "fine"]);
  expect(() => make("additions", 2)).toThrow(
    expect.objectContaining({ code: "family_unknown", exitCode: 2 }),
  );
});

test("countdown_answers_use_each_number_once_and_reach_the_target", () => {
  const goal = { numbers: [3, 8, 5], target: 19 };
  const verdict = (answer: string) => checkCountdown(answer, goal).verdict;
  for (const right of ["3*8-5", "8*3 - 5", "(3*8)-5", "3*8-5=19", "3 \\times 8 - 5"])
    expect(verdict(right)).toBe("correct");
  for (const wrong of ["19", "3*8-5=20", "3*8", "3+8+5", "8+8+3", "38-19", "3*8-5+0"])
    expect(verdict(wrong)).toBe("wrong");
  for (const odd of ["", "3*8-x", "process.exit(1)", "19.0", "8!", "3/0+8+5", "3*8=19=19"])
    expect(verdict(odd), odd).not.toBe("correct");
  expect(checkCountdown("8/(3-8/3)", { numbers: [8, 8, 3, 3], target: 24 }).verdict).toBe("correct");
});

test("base_text_of_countdown_searches_and_holds_no_held_out_problem", () => {
  const held = make("countdown", 3);
  const texts = [
    ...familyDocuments({
      family: "countdown",
      difficulty: 3,
      documents: 200,
      template: "{question}",
      rightShare: 0.5,
      slipShare: 0.5,
      seed: 2,
    }),
  ];
  const trials = texts.map((t) => t.match(/=-?\d+ (?:yes|no)/g)!);
  expect(Math.max(...trials.map((t) => t.length))).toBeGreaterThan(4);
  expect(texts.some((t) => / no <\/think>/.test(t)) && texts.some((t) => / yes <\/think>/.test(t))).toBe(
    true,
  );
  for (const text of texts) expect(held.isHeldOut(text.slice(0, text.indexOf(".") + 1))).toBe(false);
});
