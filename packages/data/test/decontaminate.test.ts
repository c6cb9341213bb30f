// Decontamination: shared 10-grams and whole short texts that prove a copy, of questions alone by default.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { benchmarkLabels } from "../src/corpus/decontaminate/benchmarks.ts";
import { isDistinctive } from "../src/corpus/decontaminate/distinctive.ts";
import {
  BuildConfig,
  comparableText,
  GramIndex,
  readBenchmark,
  runCorpusStep,
  wordsOf,
} from "../src/index.ts";
import { CHANGES, DIGITS, DISGUISES } from "./disguises.ts";

const root = mkdtempSync(join(tmpdir(), "nsa-decontaminate-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));
const text = (item: string, words: string) => ({
  benchmark: "b",
  item,
  words: wordsOf(words),
  question: true,
});
const LONG = "one two three four five six seven eight nine ten eleven twelve";
const index = new GramIndex([text("long", LONG), text("short", "What is 2+2?"), text("tiny", "a b")], {
  ngram: 10,
  minWords: 3,
  distinctive: false,
});

test("ten_words_in_a_row_are_a_hit_and_nine_are_not", () => {
  expect(index.find("x Two three, four five six seven eight nine ten ELEVEN y")?.item).toBe("long");
  expect(index.find("two three four five six seven eight nine ten x eleven twelve")).toBeUndefined();
});

test("short_texts_match_whole_and_tiny_ones_are_not_checked", () => {
  expect(index.find("so what is 2 2 then")).toEqual({ benchmark: "b", item: "short", gram: "what is 2 2" });
  expect(index.find("what is 2 3")).toBeUndefined();
  expect(index.find("a b a b a b")).toBeUndefined();
});

test("a_benchmark_text_may_have_hundreds_of_thousands_of_words", () => {
  const words = Array.from({ length: 200_000 }, (_, i) => `word${i}`).join(" ");
  const book = new GramIndex([{ benchmark: "b", item: "book", words, question: true }], {
    ngram: 10,
    minWords: 3,
    distinctive: true,
  });
  expect(book.find(`x ${words.split(" ").slice(150_000, 150_010).join(" ")} y`)?.item).toBe("book");
});

const jsonl = (path: string, rows: readonly object[]) => {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, rows.map((row) => `${JSON.stringify(row)}\n`).join(""));
  return path;
};

test("benchmark_files_give_their_questions_the_named_fields_or_all_strings", async () => {
  const row = { id: "q1", question: "How many?", answer: 4, choices: ["Two", "Four"], equation: "2+2" };
  const path = jsonl(join(root, "b.jsonl"), [row]);
  const words = async (fields: string[], file = path) =>
    (await readBenchmark(file, fields)).map((t) => t.words);
  expect(await words([])).toEqual(["how many"]);
  expect(await words(["choices"])).toEqual(["two", "four"]);
  expect(await words(["*"])).toEqual(["how many", "two", "four", "2 2"]);
  const others = [
    { problem: "Find x.", solution: "7" },
    { Body: "Ana has 3.", Question: "How many?", Answer: "3" },
  ];
  expect(await words([], jsonl(join(root, "c.jsonl"), others))).toEqual(["find x", "ana has 3", "how many"]);
  await expect(readBenchmark(path, ["prompt"])).rejects.toMatchObject({
    code: "benchmark_empty",
    exitCode: 3,
  });
  const odd = jsonl(join(root, "odd.jsonl"), [{ frage: "Wie viele?" }]);
  await expect(readBenchmark(odd, [])).rejects.toMatchObject({
    why: expect.stringMatching(/they have frage$/),
    fix: expect.stringMatching(/decontaminate\.fields/),
  });
});

test("labels_are_unique_where_files_have_one_name", () => {
  expect(benchmarkLabels(["a/b/math.jsonl", "a/aqua.jsonl.gz"])).toEqual(["math.jsonl", "aqua.jsonl.gz"]);
  expect(benchmarkLabels(["/d/gsm8k/test.jsonl", "/d/svamp/test.jsonl", "/e/svamp/test.jsonl"])).toEqual([
    "gsm8k/test.jsonl",
    "d/svamp/test.jsonl",
    "e/svamp/test.jsonl",
  ]);
  expect(benchmarkLabels(["x.jsonl", "./x.jsonl"])).toEqual(["x.jsonl", "./x.jsonl"]);
});

test("short_texts_count_where_their_words_tell_them_apart", () => {
  const of = (text: string) => isDistinctive(wordsOf(text).split(" "));
  for (const text of [
    "Simplify: $-10-4(n-5)$",
    "Solve the absolute value equation: $|n|=7$",
    "Find the four fourth roots of 16.",
    "Regelation occurs due to water's",
    "Find product: $10*8*4$",
    "妈咪买了3盒茶叶",
  ])
    expect(of(text), text).toBe(true);
  for (const text of [
    "1, 2, 3",
    "\\frac{1}{2}",
    "8 8 2 2 7 7 9 9 1",
    "x^2+y^2+z^2",
    "\\begin{array}{cc} 1 & 0",
    "\\left(\\frac{3}{4}, \\sqrt{2}\\right)",
    "Which of the following is true?",
    "None of the above",
    "does not exist",
    "all real numbers",
    "According to general relativity",
    "Simplify $\\sqrt{12}$",
    "5.0 + 4.0",
  ])
    expect(of(text), text).toBe(false);
});

const proving = (...texts: string[]) =>
  new GramIndex(
    texts.map((t, i) => text(String(i), t)),
    { ngram: 10, minWords: 3, distinctive: true },
  );

test("ten_words_of_a_formula_prove_nothing_and_whole_questions_are_found_however_much_formula_they_are", () => {
  const sphere = "Show that the surface $f(x,y,z)=x^2+y^2+z^2$ is smooth for every positive radius r of it";
  const matrix = "Simplify: $3x^2+4x^3+5x^4+6x^5-7x^6$";
  const index = proving(sphere, matrix);
  expect(index.find("Let $f(x,y,z)=x^2+y^2+z^2$ be a function.")).toBeUndefined();
  expect(index.find("the sum $3x^2+4x^3+5x^4+6x^5-7x^6$ of monomials")).toBeUndefined();
  expect(index.find(`Homework. ${sphere}.`)?.item).toBe("0");
  expect(index.find(`Homework. ${matrix} Well.`)?.item).toBe("1");
  // The paper's rule takes any ten.
  const any = new GramIndex([text("0", sphere)], { ngram: 10, minWords: 3, distinctive: false });
  expect(any.find("Let $f(x,y,z)=x^2+y^2+z^2$ be a function.")?.item).toBe("0");
});

const QUESTION = "Gwen has 5 apples and buys 4 more. How many apples does Gwen have now?";
const TAIL = "Words follow so that this page is longer than a hundred characters of text in all.";
const gwen = {
  id: "b1",
  question: QUESTION,
  equation: "( 5.0 + 4.0 )",
  formula: "5+4=9",
  answer: "9 (apples)",
};
const square = {
  id: "b2",
  question: "Solve for all x where the square of x minus three x plus two equals zero today.",
  answer: "x^2+y^2",
  options: ["\\frac{1}{2}", "does not exist", "all real numbers", "1, 2, 3"],
};
const kept = {
  options:
    "We count 1, 2, 3 and so on; half is \\frac{1}{2}, and the limit does not exist for all real numbers.",
  equation: "The section 5.0 4.0 of the table gives rates of wood for the year, and shares no question.",
  other: "Quiz: Gwen has 7 pears and lost 2. How many pears does Gwen own today? Five.",
};
const copies = {
  plain: `Quiz: ${QUESTION} Nine.`,
  marks:
    "Quiz: Gwen has 5 ap\u200bples and buys 4 mo\u00adre. How many ap\u200bples does Gwen ha\u200bve now?",
  wide: QUESTION.replace("5", "\uff15").replace("4", "\uff14"),
  square: `Today: ${square.question}`,
};

async function decontaminate(name: string, more: object) {
  const dir = join(root, name);
  const rows = Object.entries({ ...kept, ...copies }).map(([id, t]) => ({
    id,
    url: `https://x.example/${id}`,
    text: `${t} ${TAIL.replace("page", `page ${id}`)}`,
  }));
  const config = BuildConfig.parse({
    outDir: join(dir, "out"),
    inputs: [jsonl(join(dir, "pages.jsonl"), rows)],
    positives: ["unused.jsonl"],
    negatives: ["unused.jsonl"],
    executor: "inline",
    minChars: 20,
    budgetTokens: 1000,
    dedup: { near: { enabled: false } },
    decontaminate: {
      benchmarks: [jsonl(join(dir, "one/test.jsonl"), [gwen]), jsonl(join(dir, "two/test.jsonl"), [square])],
      ...more,
    },
  });
  const report = (await runCorpusStep("decontaminate", config)).contamination!;
  return { report, dropped: report.examples.map((e) => e.id).sort() };
}

test("by_default_copies_of_questions_are_dropped_and_pages_that_share_answers_or_options_stay", async () => {
  const { report, dropped } = await decontaminate("default", {});
  expect(dropped).toEqual(Object.keys(copies).sort());
  expect(report.benchmarks).toMatchObject([
    { benchmark: "one/test.jsonl", pages: 3, items: 1 },
    { benchmark: "two/test.jsonl", pages: 1, items: 1 },
  ]);
  expect(report.benchmarks[1]!.dropped).toEqual([
    {
      id: "square",
      url: "https://x.example/square",
      item: "b2",
      gram: "solve for all x where the square of x minus",
    },
  ]);
  expect(report.warning).toMatch(/dropped 4 of 7 pages \(57\.1 %\), most for ".*" \(\d\)/);
});

test("all_fields_and_the_papers_rule_drop_pages_that_copied_nothing", async () => {
  const { dropped } = await decontaminate("all", { fields: ["*"], distinctive: false });
  expect(dropped).toEqual([...Object.keys(copies), "equation", "options"].sort());
});

const QUESTIONS = [
  "Natalia sold clips to 48 of her friends in April, and then she sold half as many clips in May. How many clips did Natalia sell altogether?",
  "Émile a acheté 12 pommes à la façade du marché et en donne 5 à sa sœur; combien de pommes lui reste-t-il après cela?",
];
const questions = new GramIndex(
  QUESTIONS.map((question, i) => ({
    benchmark: "q",
    item: String(i),
    words: wordsOf(comparableText(question)),
    question: true,
  })),
  { ngram: 10, minWords: 3, distinctive: true },
);
const foundIn = (page: string) => questions.find(comparableText(page))?.item;

test.each(Object.entries({ ...DISGUISES, ...DIGITS }))("a_copy_in_%s_is_found", (_, disguise) => {
  for (const [i, question] of QUESTIONS.entries())
    expect(foundIn(`A page begins here. ${disguise(question)} And goes further.`)).toBe(String(i));
});

test.each(Object.entries(CHANGES))("a_text_with_%s_is_another", (_, change) => {
  for (const question of QUESTIONS) expect(foundIn(change(question))).toBeUndefined();
});

test("words_of_other_scripts_stay_what_they_are", () => {
  expect(comparableText("Москва и Κόσμος α β")).toBe("Москва и Κόσμος α β");
  expect(comparableText("a < b & c > d")).toBe("a < b & c > d");
  expect(comparableText("x_1 = 2 ** 3")).toBe("x_1 = 2 ** 3");
});
