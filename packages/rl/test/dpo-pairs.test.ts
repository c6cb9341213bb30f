// Preference files: every shape of a record as ids, pairs of sampled outputs, and what becomes of records that are wrong.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { NsaError, Rng } from "@nsa/core";
import { Tokenizer, trainBpe } from "@nsa/data";
import { findTemplate, jinjaTemplate } from "@nsa/tasks";
import { afterAll, expect, test } from "vitest";
import { dpoSchema } from "../src/stages/dpo/config.ts";
import type { Pair } from "../src/stages/dpo/pair.ts";
import { choosePairs, readPairs, splitHeldOut } from "../src/stages/dpo/read-pairs.ts";
import type { SampledOutput } from "../src/stages/dpo/records.ts";

const dir = mkdtempSync(join(tmpdir(), "nsa-dpo-pairs-"));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

const make = (text: string) =>
  new Tokenizer(
    trainBpe([text], { vocabSize: 270, preTokenizer: "digits", specialTokens: ["<|endoftext|>"] }),
  );
const tokenizer = make("user assistant plus plus minus minus equals");
const foreign = make("quux quux frob frob wibble");
const { eosId } = tokenizer;

let files = 0;
function read(
  rows: readonly (object | string)[],
  data: object = {},
  maxSeqLen = 64,
  chat = () => findTemplate("plain"),
) {
  const path = join(dir, `f${files++}.jsonl`);
  writeFileSync(path, rows.map((row) => (typeof row === "string" ? row : JSON.stringify(row))).join("\n"));
  const config = dpoSchema.parse({
    init: { checkpoint: "none" },
    seed: 5,
    data: { files: [path], ...data },
  });
  const warnings: string[] = [];
  const warn = (text: string) => void warnings.push(text);
  try {
    return { ...readPairs(config, { tokenizer, chat, maxSeqLen, warn }), warnings, path, config };
  } catch (error) {
    const { code, what, why, exitCode } = error as NsaError;
    expect(error).toBeInstanceOf(NsaError);
    return {
      pairs: [],
      sampledQuestions: 0,
      withoutPair: 0,
      warnings,
      path,
      config,
      failed: { code, what, why, exitCode },
    };
  }
}

const text = (ids: ArrayLike<number>) => tokenizer.decode(Array.from(ids), { special: true });
const texts = ({ prompt, chosen, rejected }: Pair) => [text(prompt), text(chosen.ids), text(rejected.ids)];
const ids = (words: string) => tokenizer.encode(words);

test("texts_get_an_end_ids_are_taken_as_they_are_and_messages_end_with_their_turn", () => {
  const user = [{ role: "user", content: "1+1?" }];
  const { pairs, path } = read([
    { prompt: "2+2=", chosen: "4", rejected: "five" },
    { prompt_ids: ids("3+3="), chosen_ids: [...ids("6"), eosId], rejected_ids: ids("7") },
    { prompt: user, chosen: [{ role: "assistant", content: "2" }], rejected: "3" },
    {
      prompt: [...user, { role: "assistant", content: "2" }, { role: "user", content: "Sure?" }],
      chosen: "yes",
      rejected: "no",
    },
  ]);
  expect(pairs.map(texts)).toEqual([
    ["2+2=", "4<|endoftext|>", "five<|endoftext|>"],
    ["3+3=", "6<|endoftext|>", "7"],
    ["Question: 1+1?\nAnswer:", " 2\n\n<|endoftext|>", " 3\n\n<|endoftext|>"],
    [
      "Question: 1+1?\nAnswer: 2\n\nQuestion: Sure?\nAnswer:",
      " yes\n\n<|endoftext|>",
      " no\n\n<|endoftext|>",
    ],
  ]);
  expect(pairs.map(({ place }) => place)).toEqual([1, 2, 3, 4].map((line) => `${path}:${line}`));
});

test("what_a_tool_wrote_into_an_answer_is_not_learned", () => {
  const chosen = "```output\n42\n```\nso 42";
  const [pair] = read([{ prompt: "6*7=", chosen, rejected: "41" }]).pairs;
  const learned = Array.from(pair!.chosen.ids).filter((_, i) => pair!.chosen.learned![i] === 1);
  expect(text(learned)).toBe("```outputso 42<|endoftext|>");
});

test("records_that_cannot_be_learned_from_are_left_out_counted_and_the_first_is_named", () => {
  const good = { prompt: "2+2=", chosen: "4", rejected: "5" };
  const { pairs, warnings, path } = read(
    [
      good,
      { ...good, chosen: "5" },
      { ...good, rejected: "" },
      { ...good, rejected: "4" },
      { ...good, prompt: "" },
      { ...good, chosen: "" },
      { ...good, chosen: "9".repeat(30) },
      { ...good, prompt: "1+".repeat(8) },
    ],
    { maxLength: 24, maxPromptLength: 15 },
  );
  expect(pairs.map(texts)).toEqual([["2+2=", "4<|endoftext|>", "5<|endoftext|>"]]);
  expect(warnings).toEqual([
    `2 pairs are left out: chosen equals rejected (first at ${path}:2)`,
    `1 pair is left out: rejected is empty (first at ${path}:3)`,
    `1 pair is left out: the prompt is empty (first at ${path}:5)`,
    `1 pair is left out: chosen is empty (first at ${path}:6)`,
    `1 pair is left out: it is longer than 24 positions (first at ${path}:7)`,
    `1 pair is left out: the prompt is longer than 15 tokens (first at ${path}:8)`,
  ]);
});

test("the_length_limit_counts_the_positions_of_prompt_and_output_and_the_context_bounds_it", () => {
  // 4 + 3 ids with the end, of which the last is only predicted: 6 positions.
  const row = { prompt: "2+2=", chosen: "44", rejected: "5" };
  expect(read([row], { maxLength: 6 }).pairs).toHaveLength(1);
  expect(read([row], { maxLength: 5 }).failed).toMatchObject({ code: "no_pair" });
  expect(read([row], {}, 6).pairs).toHaveLength(1);
  expect(read([row], {}, 5).failed!.why).toContain("longer than 5 positions");
});

const sampled = (id: string, answer: string, verdict: string, prompt = `${id}=`) => ({
  id,
  question: id,
  gold: "x",
  prompt_ids: ids(prompt),
  ids: [...ids(answer), eosId],
  logp: [],
  completion: answer,
  reward: 1,
  verdict,
});

for (const [name, row, code, line, why] of [
  ["no_json", "{oops", "data_not_json", 2, "not a JSON object"],
  ["another_field", { prompt: "a", good: "b" }, "preference_invalid", 2, "`chosen` is missing"],
  [
    "a_null",
    { prompt: "a", chosen: "b", rejected: null },
    "preference_invalid",
    2,
    "`rejected` is null, and must be a text (NaN",
  ],
  [
    "a_NaN",
    '{"prompt": "a", "chosen": NaN, "rejected": "b"}',
    "preference_invalid",
    2,
    "`chosen` is null, and must be a text (NaN and Infinity are read as null, too)",
  ],
  ["a_number", { prompt: "a", chosen: 3, rejected: "b" }, "preference_invalid", 2, "`chosen` is not a text"],
  [
    "mixed_shapes",
    { prompt: "a", chosen: [{ role: "assistant", content: "x" }], rejected: "b" },
    "preference_invalid",
    2,
    "not a text as",
  ],
  [
    "ids_that_are_none",
    { prompt_ids: [1], chosen_ids: ["2"], rejected_ids: [3] },
    "preference_invalid",
    2,
    "`chosen_ids` is not a list",
  ],
  [
    "half_a_pair_of_ids",
    { prompt_ids: [1], chosen_ids: [2] },
    "preference_invalid",
    2,
    "`rejected_ids` is not a list",
  ],
  [
    "an_id_out_of_the_vocabulary",
    { prompt_ids: [1], chosen_ids: [2], rejected_ids: [9999] },
    "tokenizer_mismatch",
    2,
    "9999",
  ],
  ["a_negative_id", { prompt_ids: [-1], chosen_ids: [2], rejected_ids: [3] }, "tokenizer_mismatch", 2, "-1"],
  [
    "outputs_of_another_tokenizer",
    { ...sampled("q", "plus", "right"), ids: foreign.encode("quux plus") },
    "tokenizer_mismatch",
    2,
    "the ids decode to",
  ],
  [
    "pairs_of_another_tokenizer",
    { prompt_ids: [1], chosen_ids: foreign.encode("frob"), rejected_ids: [3], chosen: "frob" },
    "tokenizer_mismatch",
    2,
    "`chosen` is",
  ],
  ["an_unknown_verdict", sampled("q", "1", "correct"), "preference_invalid", 2, '`verdict` is "correct"'],
  [
    "a_turn_without_content",
    { prompt: [{ role: "user" }], chosen: "a", rejected: "b" },
    "preference_invalid",
    2,
    "it must be a text, and is absent",
  ],
  [
    "an_answer_of_the_user",
    { prompt: [{ role: "user", content: "a" }], chosen: [{ role: "user", content: "a" }], rejected: "b" },
    "preference_invalid",
    2,
    "turn of the assistant",
  ],
] as const)
  test(`${name}_is_an_error_with_its_place`, () => {
    const { failed, path } = read([{ prompt: "2+2=", chosen: "4", rejected: "5" }, row]);
    expect(failed).toMatchObject({ code, exitCode: 3 });
    expect(failed!.what).toContain(`${path}:${line}`);
    expect(failed!.why).toContain(why);
  });

test("records_that_the_template_cannot_render_are_left_out_and_counted", () => {
  const conversation = (role: string) => ({
    prompt: [{ role, content: "1+1?" }],
    chosen: "2",
    rejected: "3",
  });
  const source =
    "{% for m in messages %}{% if m.role not in ['user', 'assistant'] %}{{ raise_exception('no ' + m.role) }}{% endif %}{{ m.role + ': ' + m.content + '\\n' }}{% endfor %}{% if add_generation_prompt %}{{ 'assistant: ' }}{% endif %}";
  const chat = () => jinjaTemplate(source, { place: "test" });
  const refusing = (rows: object[]) => read(rows, {}, 64, chat);
  const some = refusing([
    conversation("user"),
    conversation("tool"),
    conversation("wizard"),
    conversation("user"),
  ]);
  expect(some.pairs).toHaveLength(2);
  expect(some.warnings).toEqual([
    expect.stringMatching(/^1 preference states an earlier one again \(first at .*:4\)/),
    expect.stringMatching(/^2 records that cannot be rendered are left out; the first: .*:2/),
  ]);
  const none = refusing([conversation("tool")]);
  expect(none.failed).toMatchObject({ code: "chat_refused", exitCode: 2 });
  expect(none.failed!.what).toContain(`${none.path}:1`);
});

test("no_pair_left_says_what_became_of_the_records", () => {
  expect(read([]).failed).toMatchObject({ code: "no_pair", exitCode: 3, why: "the files are empty" });
  const equal = read([{ prompt: "a", chosen: "b", rejected: "b" }]);
  expect(equal.failed!.why).toContain(`chosen equals rejected (first at ${equal.path}:1)`);
  const solved = read([sampled("q", "1", "right"), sampled("r", "2", "wrong"), sampled("r", "3", "unread")]);
  expect(solved.failed!.why).toBe("of 2 sampled questions 2 have no right or no wrong output");
});

test("sampled_outputs_of_a_question_are_paired_right_against_wrong", () => {
  const rows = [
    sampled("q", "1", "right"),
    sampled("q", "2", "wrong"),
    sampled("s", "5", "right"),
    sampled("q", "3", "unread"),
    // The same id in another prompt is another question, and the same output again is no second one.
    sampled("q", "4", "wrong", "other="),
    sampled("q", "1", "right"),
    { prompt: "2+2=", chosen: "4", rejected: "5" },
  ];
  const all = read(rows);
  expect(
    all.pairs
      .map(texts)
      .map(([prompt, ...rest]) => [prompt, ...rest.map((t) => t!.slice(0, 1))])
      .sort(),
  ).toEqual([
    ["2+2=", "4", "5"],
    ["q=", "1", "2"],
    ["q=", "1", "3"],
  ]);
  expect([all.sampledQuestions, all.withoutPair]).toEqual([3, 2]);
  expect(read(rows, { pairsPerQuestion: 1 }).pairs).toHaveLength(2);
});

test("the_choice_of_pairs_is_seeded_uses_every_output_and_repeats_no_pair", () => {
  const outputs: SampledOutput[] = [4, 6].flatMap((n, kind) =>
    Array.from({ length: n }, (_, i) => ({
      place: "f:1",
      question: "q",
      prompt: [1],
      ids: [10 * kind + i],
      right: kind === 0,
    })),
  );
  const names = (most: number, seed = 3, question = 0) =>
    choosePairs(outputs, most, new Rng(seed, 51), question).map(
      ({ chosen, rejected }) => `${chosen.ids[0]} ${rejected.ids[0]}`,
    );
  // 4 · 6 pairs, although 4 and 6 have a common divisor.
  expect(new Set(names(100)).size).toBe(24);
  expect(names(100)).toHaveLength(24);
  const six = names(6).map((name) => name.split(" "));
  expect(new Set(six.map(([, wrong]) => wrong)).size).toBe(6);
  expect(new Set(six.map(([right]) => right)).size).toBe(4);
  expect(names(6)).toEqual(names(100).slice(0, 6));
  expect(names(6)).not.toEqual(names(6, 4));
  expect(names(6)).not.toEqual(names(6, 3, 1));
});

test("pairs_of_one_question_are_held_out_together", () => {
  const rows = Array.from({ length: 40 }, (_, i) => ({
    prompt: `${i % 20}+1=`,
    chosen: "a",
    rejected: `b${i}`,
  }));
  const { pairs, config } = read(rows, { heldOut: 0.25 });
  const { train, heldOut } = splitHeldOut(pairs, config);
  expect([train.length, heldOut.length]).toEqual([30, 10]);
  const asked = new Set(train.map(({ question }) => question));
  expect(heldOut.filter(({ question }) => asked.has(question))).toEqual([]);
  const few = splitHeldOut(pairs, { ...config, data: { ...config.data, heldOutPairs: 3 } });
  expect([few.train.length, few.heldOut.length]).toEqual([30, 3]);
  const other = splitHeldOut(pairs, { ...config, seed: 6 });
  expect(other.heldOut).not.toEqual(heldOut);
  const single = () => splitHeldOut(pairs.slice(0, 1), config);
  expect(single).toThrow(
    expect.objectContaining({
      ...{ code: "no_pair", exitCode: 3 },
      why: "there is one question, and 1 held out: data.held_out 0.25 takes whole questions, and one at least",
      fix: "set data.held_out to 0, or give pairs of further questions",
    }),
  );
  expect(splitHeldOut(pairs, { ...config, data: { ...config.data, heldOut: 0 } }).train).toHaveLength(40);
});

test("a_prompt_that_was_sampled_under_two_names_is_on_one_side", () => {
  // Six sums, each asked twice; a right and a wrong output each time.
  const rows = Array.from({ length: 12 }, (_, i) => {
    const prompt_ids = ids(`plus ${i % 6}`);
    return ["right", "wrong"].map((verdict) => ({
      ...{ id: `addition-train-${i}`, prompt_ids, verdict },
      ids: [...ids(`${verdict} ${i}`), eosId],
    }));
  }).flat();
  const { pairs, config, sampledQuestions } = read(rows, { heldOut: 0.34, pairsPerQuestion: 9 });
  // Two right ones against two wrong ones.
  expect([sampledQuestions, pairs.length]).toEqual([6, 24]);
  const { train, heldOut } = splitHeldOut(pairs, config);
  expect([train.length, heldOut.length]).toEqual([16, 8]);
  const prompts = (some: readonly Pair[]) => new Set(some.map(({ prompt }) => text(prompt)));
  for (const prompt of prompts(heldOut)) expect(prompts(train).has(prompt)).toBe(false);
});
