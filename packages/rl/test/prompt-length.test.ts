// Tokens of a recipe's first prompts, which estimates go by.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Tokenizer } from "@nsa/data";
import { afterAll, beforeAll, expect, test } from "vitest";
import { grpoSchema } from "../src/stages/grpo/config.ts";
import { promptLength } from "../src/task/prompt-length.ts";
import { makeBase } from "./grpo-fixture.ts";

const root = mkdtempSync(join(tmpdir(), "nsa-prompt-length-"));
afterAll(() => rmSync(root, { recursive: true }));
let base = "";
beforeAll(async () => {
  base = await makeBase(root);
}, 120_000);

const recipe = (file: string) =>
  grpoSchema.parse({ init: { checkpoint: base }, task: { file, template: "{question}=" } });

test("the_longest_and_the_mean_are_of_the_questions_as_they_are_asked", () => {
  const file = join(root, "some.jsonl");
  // Sums that are all in training: a tenth of ten records is held out, whichever it is.
  const questions = Array.from({ length: 10 }, (_, i) => (i < 7 ? "1+2" : "1+2+3+4+5"));
  writeFileSync(file, questions.map((question) => `${JSON.stringify({ question, answer: 3 })}\n`).join(""));
  const tokenizer = Tokenizer.load(join(base, "tokenizer.json"));
  const [short, long] = ["1+2=", "1+2+3+4+5="].map((text) => tokenizer.encode(text).length) as [
    number,
    number,
  ];
  const got = promptLength(recipe(file), base);
  expect(got.longest).toBe(long);
  // Nine are asked: six short and three long ones, or seven and two.
  expect([(6 * short + 3 * long) / 9, (7 * short + 2 * long) / 9]).toContain(got.mean);
});

test("without_a_tokenizer_or_the_file_a_prompt_has_64_tokens", () => {
  const unknown = { longest: 64, mean: 64 };
  expect(promptLength(recipe(join(root, "absent.jsonl")), base)).toEqual(unknown);
  const bare = join(root, "bare");
  mkdirSync(bare);
  expect(promptLength(recipe(join(root, "some.jsonl")), bare)).toEqual(unknown);
});

test("a_task_that_no_run_could_ask_is_refused_with_or_without_a_tokenizer", () => {
  const bare = join(root, "bare");
  const asked = (task: object) => grpoSchema.parse({ init: { checkpoint: base }, task });
  for (const folder of [base, bare]) {
    expect(() => promptLength(asked({ family: "aditon" }), folder)).toThrow('no problem family "aditon"');
    const mix = [
      { family: "addition", difficulty: 1, share: 2 },
      { family: "sums", difficulty: 2, share: 1 },
    ];
    expect(() => promptLength(asked({ mix }), folder)).toThrow('no problem family "sums"');
  }
  expect(() => promptLength(asked({ template: "r1zero" }), base)).toThrow('template "r1zero"');
  expect(() => promptLength(asked({ task: "gsm9k" }), base)).toThrow('no task "gsm9k"');
});
