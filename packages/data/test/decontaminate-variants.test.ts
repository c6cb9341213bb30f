// Decontamination of questions that differ in their numbers: copies of each are found, other numbers stay, parts are copies.
import { expect, test } from "vitest";
import { type BenchmarkText, comparableText, GramIndex, wordsOf } from "../src/index.ts";

const NAMES = ["Natalia", "Weng", "Betty", "Julie", "James", "Mark", "Albert", "Ken", "Alexis", "Tina"];
const THINGS = ["clips", "stamps", "marbles", "cards", "shells"];
const ask = (name: string, thing: string, a: number | string, b: number | string) =>
  `${name} sold ${a} ${thing} to her friends in the month of April and then she went on to sell some more of them in May, ` +
  `when ${b} people bought one each. How many ${thing} did ${name} sell altogether?`;
/** 50 questions from a template, with numbers of one to three digits. */
const CASES = NAMES.flatMap((name, i) =>
  THINGS.map((thing, j) => ({ name, thing, a: 3 + 7 * i + 11 * j, b: 5 + 90 * i + j })),
);
const indexOf = (questions: readonly string[], more: Partial<BenchmarkText> = {}, distinctive = true) =>
  new GramIndex(
    questions.map((q, i) => ({
      benchmark: "b",
      item: String(i),
      words: wordsOf(comparableText(q)),
      question: true,
      ...more,
    })),
    { ngram: 10, minWords: 3, distinctive },
  );
const page = (text: string) => comparableText(`A page begins here. ${text} And it goes further.`);

test("fifty_questions_are_found_and_stay_with_either_number_changed_though_twelve_words_stand_between", () => {
  const index = indexOf(CASES.map(({ name, thing, a, b }) => ask(name, thing, a, b)));
  CASES.forEach(({ name, thing, a, b }, i) => {
    expect(index.find(page(ask(name, thing, a, b)))?.item).toBe(String(i));
    for (const variant of [
      ask(name, thing, a + 1, b),
      ask(name, thing, a, b + 1),
      ask(name, thing, "17.5", "1,204"),
    ])
      expect(index.find(page(variant)), variant).toBeUndefined();
  });
});

test("of_variants_within_a_benchmark_each_is_found_under_its_own_name_also_in_part", () => {
  const { name, thing } = CASES[0]!;
  const index = indexOf([48, 61, 705].map((a) => ask(name, thing, a, 24)));
  expect(index.find(page(ask(name, thing, 61, 24)))?.item).toBe("1");
  expect(index.find(page(ask(name, thing, 705, 24).split(" ").slice(0, 20).join(" ")))?.item).toBe("2");
  expect(index.find(page(ask(name, thing, 62, 24)))).toBeUndefined();
});

test("the_papers_rule_drops_variants", () => {
  const { name, thing } = CASES[0]!;
  expect(indexOf([ask(name, thing, 48, 24)], {}, false).find(page(ask(name, thing, 49, 24)))?.item).toBe("0");
});

test("numbers_are_compared_by_what_they_are_and_those_beside_the_question_do_not_count", () => {
  const index = indexOf([ask("Betty", "shells", 48, "1,200")]);
  for (const copy of [
    ask("Betty", "shells", "forty-eight", "1,200"),
    ask("Betty", "shells", 48, "1200"),
    ask("Betty", "shells", "48 [2]", "1 200"),
    `17. ${ask("Betty", "shells", 48, "1,200")} 2. Next`,
    ask("Betty", "shells", 48, "1,200").replace("friends", "friends (Fig. 3)"),
    ask("Bettina", "shells", 48, "1,200"),
    `${ask("Betty", "shells", 48, "1,200").split(" ").slice(0, 18).join(" ")} 7 January`,
  ])
    expect(index.find(page(copy))?.item, copy).toBe("0");
});

test("a_phrase_that_other_questions_share_with_a_variant_is_no_copy_of_these", () => {
  const slope = (line: string) => `Find the slope of a line perpendicular to the given line: ${line}`;
  const index = indexOf([slope("$3 x-y=-3$"), slope("$y=4 x+2$"), slope("$7 y=x$")]);
  expect(index.find(page(slope("$9 x-y=-9$")))).toBeUndefined();
  expect(index.find(page(slope("$y=4 x+2$")))?.item).toBe("1");
});

test("a_character_of_a_script_without_blanks_is_half_a_word", () => {
  const index = indexOf([
    "一个直角三角形的周长是24厘米，三条边长的比是3：4：5，这个三角形的面积是多少平方厘米？",
  ]);
  expect(index.find(page("这个三角形的面积是多少平方厘米"))).toBeUndefined();
  expect(index.find(page("一个直角三角形的周长是24厘米，三条边长的比是3：4：5"))?.item).toBe("0");
  expect(
    index.find(page("一个直角三角形的周长是36厘米，三条边长的比是3：4：5，这个三角形的面积是多少平方厘米？")),
  ).toBeUndefined();
});

test("vowel_signs_do_not_divide_words", () => {
  const index = indexOf(["জেনেটের হাঁসগুলি প্রতিদিন 16টি করে ডিম পাড়ে। তিনি প্রতিদিন প্রাতরাশে তিনটি করে ডিম খান।"]);
  expect(index.find(page("জেনেটের হাঁসগুলি প্রতিদিন ডিম"))).toBeUndefined();
});

test("short_questions_of_common_words_count_where_they_stand_by_themselves_and_options_never", () => {
  const short = [
    "Which of the following is true?",
    "General relativity predicts that",
    "(1+i)^10 =",
    "Simplify $\\sqrt{12}$",
  ];
  const index = indexOf(short);
  short.forEach((question, i) => {
    for (const text of [
      question,
      question.toUpperCase(),
      `\n${question}\n`,
      `“${question}”`,
      `<b>${question}</b>`,
    ])
      expect(index.find(page(text))?.item, text).toBe(String(i));
  });
  for (const text of [
    "Say which of the following is true for rings of integers.",
    "And general relativity predicts that light is bent by the sun.",
    "so that $x = 1, i = 10$ holds",
    "we simplify \\sqrt{12} to a product",
  ])
    expect(index.find(page(text)), text).toBeUndefined();
  expect(indexOf(short, { question: false }).find(page(short[0]!))).toBeUndefined();
});

test("numbers_of_short_questions_are_not_joined_or_cut", () => {
  const index = indexOf(["Evaluate the product 8 1 now", "What is 60 percent of 300 apples"]);
  expect(index.find(page("Evaluate the product 81 now"))).toBeUndefined();
  expect(index.find(page("What is 60 percent of 3000 apples"))).toBeUndefined();
  expect(index.find(page("What is 160 percent of 300 apples"))).toBeUndefined();
  expect(index.find(page("Evaluate the product (8)(1) now"))?.item).toBe("0");
});
