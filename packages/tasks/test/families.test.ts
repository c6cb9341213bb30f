// Problem families: disjoint splits, right answers, difficulty that means what it says, workings, countdown's judge.
import { expect, test } from "vitest";
import {
  checkCountdown,
  environmentSchema,
  families,
  familyDocuments,
  familyShots,
  gradeProblem,
  makeFamily,
  openEnvironment,
} from "../src/index.ts";

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

test("calls_of_word_problems_compute_the_answer_in_one_expression", async () => {
  const calculator = await openEnvironment(environmentSchema.parse({ kind: "calculator" }));
  const family = make("word_problems", 3);
  let wrong = 0;
  for (let i = 0; i < 200; i++) {
    const problem = family.problem(i);
    const [call] = family.calls!(problem, () => 0, false);
    const { output } = await calculator.step(null, {
      name: "calculator",
      arguments: { expression: call!.text },
    });
    expect([output, call!.output], `${problem.question} ${call!.text}`).toEqual([
      problem.answer,
      problem.answer,
    ]);
    if (family.calls!(problem, () => 0, true)[0]!.output !== problem.answer) wrong++;
  }
  expect(wrong).toBeGreaterThan(150);
  const { text } = family.calls!(
    {
      question:
        "Ana has 8 pens. Ana gives 5 pens to Kim. Kim brings Ana 2 bags with 3 pens each. Ana doubles the number of pens. How many pens does Ana have now?",
      answer: "18",
    },
    () => 0,
    false,
  )[0]!;
  expect(text).toBe("(8-5+2*3)*2");
});

test("a_call_of_products_reads_the_first_number_twice_where_it_slips", () => {
  const { calls } = make("products", 4);
  const call = (slip: boolean) => calls!({ question: "1234*5678", answer: "" }, () => 0, slip);
  expect(call(false)).toEqual([{ tool: "python", text: "print(1234*5678)", output: "7006652" }]);
  expect(call(true)).toEqual([{ tool: "python", text: "print(1234*1234)", output: "1522756" }]);
});

test("documents_of_several_problems_answer_them_in_one_way_and_show_no_problem_twice", () => {
  const options = { family: "word_problems", difficulty: 2, template: "Q: {question} A:", seed: 4 };
  const shares = { rightShare: 0.3, slipShare: 0, toolShare: 0.4 };
  const documents = [...familyDocuments({ ...options, ...shares, documents: 60, shots: 2, oneFate: true })];
  const ways = new Set<string>();
  const questions = new Set<string>();
  for (const document of documents) {
    const problems = document.split("\n\nQ: ");
    expect(problems).toHaveLength(3);
    const of = (text: string) => {
      const tags = ["```calculator", "<think>", "</answer>"].map((tag) => (text.includes(tag) ? "1" : "0"));
      return tags.join("");
    };
    expect(new Set(problems.map(of)).size).toBe(1);
    ways.add(of(problems[0]!));
    for (const problem of problems) questions.add(problem.replace("Q: ", "").split(" A:")[0]!);
  }
  expect(ways.size).toBeGreaterThan(2);
  expect(questions.size).toBe(180);
  // Without it each has a fate of its own.
  const mixed = [...familyDocuments({ ...options, ...shares, documents: 60, shots: 2 })];
  expect(mixed.some((text) => text.includes("```calculator") && text.includes("<think>"))).toBe(true);
});

test("shots_are_solved_problems_of_the_training_split", () => {
  const family = make("products", 2);
  const [first, second] = [family.problem(0), family.problem(1)];
  expect(familyShots(family, "{question}:", 2, false)).toBe(
    [first, second]
      .map(
        ({ question, answer }) =>
          `${question}: <think> ${question}=${answer} </think> <answer> ${answer} </answer>\n\n`,
      )
      .join(""),
  );
  expect(familyShots(family, "{question}:", 1, true)).toBe(
    `${first!.question}:\n\`\`\`python\nprint(${first!.question})\n\`\`\`\n\`\`\`output\n${first!.answer}\n\`\`\`\n<answer> ${first!.answer} </answer>\n\n`,
  );
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
