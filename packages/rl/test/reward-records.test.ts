// What records of labelled outputs come to: places, labels, pairs and splits by hand; what is left out, and what is refused where.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseConfig, Rng } from "@nsa/core";
import { Tokenizer, trainBpe } from "@nsa/data";
import { afterAll, expect, test } from "vitest";
import { rewardModelSchema } from "../src/index.ts";
import { stepEndsBy } from "../src/rewards/step-rules.ts";
import { packTexts, pairsOf, readRewardData } from "../src/stages/reward/examples.ts";
import { type LabelledText, RecordReader } from "../src/stages/reward/records.ts";

const root = mkdtempSync(join(tmpdir(), "nsa-reward-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));

/** One id a byte, id 256 ends a text. */
const tokenizer = new Tokenizer(
  trainBpe(["ab"], { vocabSize: 257, preTokenizer: "digits", specialTokens: ["<|endoftext|>"] }),
);
const end = tokenizer.eosId;
const bytes = (text: string) => [...tokenizer.encode(text)];

type Read = Pick<ReturnType<typeof configOf>, "kind" | "labels">;
const read = (config: Read, record: object, seqLen = 99) =>
  new RecordReader(config, tokenizer, seqLen).read(record, "f.jsonl:7") as LabelledText;

function configOf(set: object = {}, rows: object[] = []) {
  const file = join(root, `rows-${Math.abs(JSON.stringify([set, rows]).length)}-${rows.length}.jsonl`);
  writeFileSync(file, rows.map((row) => JSON.stringify(row)).join("\n"));
  return parseConfig(
    rewardModelSchema,
    { init: { checkpoint: "none" }, data: { files: [file] }, ...set } as never,
    "test",
  );
}
const logged: string[] = [];
const dataOf = (set: object, rows: object[]) => {
  logged.length = 0;
  return readRewardData(configOf(set, rows), tokenizer, (text) => logged.push(text));
};

test("an_output_has_its_number_at_its_last_token_and_its_verdict_as_label", () => {
  const outcome = { kind: "outcome", labels: "rule" } as const;
  const right = read(outcome, {
    id: "q1",
    prompt_ids: [5, 6, 7],
    ids: [8, 9],
    verdict: "right",
    finish: "length",
  });
  expect(right).toMatchObject({ promptLength: 3, ends: [{ at: 4, label: 1 }], question: "q1", ended: false });
  expect([...right.ids]).toEqual([5, 6, 7, 8, 9]);
  const wrong = read(outcome, {
    prompt: "a=",
    completion: "bc",
    verdict: "unread",
    policy_step: 12,
    question: "a",
  });
  expect([...wrong.ids]).toEqual([...bytes("a=bc"), end]);
  expect(wrong).toMatchObject({ ends: [{ at: 4, label: 0 }], question: "a", policyStep: 12, ended: true });
  expect(read(outcome, { prompt: "a", completion: "b", parts: { accuracy: 1 } }).ends[0]!.label).toBe(1);
});

test("faults_of_labels_and_texts_are_named_as_what_they_are", () => {
  const outcome = { kind: "outcome", labels: "rule" } as const;
  const refused = (record: object, code: string, why: string) =>
    expect(() => read(outcome, record)).toThrow(
      expect.objectContaining({ code, exitCode: 3, what: "f.jsonl:7", why }),
    );
  refused(
    { prompt: "a", completion: "b", parts: { accuracy: 0.5 } },
    "reward_record_invalid",
    "`parts.accuracy` is 0.5, and without a `verdict` it must be 1 (right) or 0 (wrong)",
  );
  refused(
    { prompt: "a", completion: "b", parts: { accuracy: null } },
    "reward_record_invalid",
    "parts.accuracy: it must be a number, and is null (NaN and Infinity are read as null, too)",
  );
  const other = { prompt_ids: [5], ids: bytes("xy"), completion: "xz", verdict: "right" };
  refused(other, "tokenizer_mismatch", 'the ids decode to "xy", and `completion` is "xz"');
  expect(() =>
    read({ kind: "process", labels: "rule" }, { ...other, steps: [{ text: "xy", label: 1, token: 1 }] }),
  ).toThrow(expect.objectContaining({ code: "tokenizer_mismatch" }));
  // The end token is no part of the text.
  expect(read(outcome, { ...other, ids: [...bytes("xy"), end], completion: "xy" }).ends).toEqual([
    { at: 3, label: 1 },
  ]);
});

test("steps_have_their_numbers_at_the_tokens_that_end_them", () => {
  const record = {
    prompt: "ab",
    steps: [
      { text: "cde\n", label: 1, hard: 1, soft: 0.75 },
      { text: "f\n", label: 0.5, hard: 0, soft: 0.125 },
      { text: "gh", label: 0, hard: 0, soft: 0 },
    ],
  };
  const ends = (labels: Read["labels"]) => read({ kind: "process", labels }, record).ends;
  // Prompt 2, then c d e \n f \n g h and the end: a step ends with its line break, the last with the output.
  expect(ends("rule")).toEqual([
    { at: 5, label: 1 },
    { at: 7, label: 0.5 },
    { at: 10, label: 0 },
  ]);
  expect(ends("shepherd_hard").map(({ label }) => label)).toEqual([1, 0, 0]);
  expect(ends("shepherd_soft").map(({ label }) => label)).toEqual([0.75, 0.125, 0]);
});

test("rows_of_roll_outs_bring_their_ids_and_the_tokens_that_end_steps", () => {
  const steps = [
    { text: "x", token: 1, soft: 0.5 },
    { text: "y", token: 4, soft: 0 },
  ];
  const text = read(
    { kind: "process", labels: "shepherd_soft" },
    { prompt_ids: [9, 9, 9], ids: [1, 2, 3, 4, 5], steps },
  );
  expect(text.ends).toEqual([
    { at: 4, label: 0.5 },
    { at: 7, label: 0 },
  ]);
  const twice = { prompt_ids: [9], ids: [1, 2], steps: [steps[0], { ...steps[0] }] };
  expect(() => read({ kind: "process", labels: "shepherd_soft" }, twice)).toThrowError(/token 1 of 2/);
});

test("the_steps_of_an_output_are_its_lines_or_its_equations", () => {
  expect(stepEndsBy("lines", "  one \n\n two\n")).toEqual([8, 13]);
  const text = "<think> 3*8=24 24+1=26 </think> <answer> 26 </answer>";
  expect(stepEndsBy("equations", text)).toEqual([14, 22, text.length]);
  expect(stepEndsBy("lines", "")).toEqual([]);
});

test.each([
  [
    { kind: "outcome", labels: "rule" },
    { prompt: "a", completion: "b" },
    /neither `verdict` nor `parts.accuracy`/,
  ],
  [{ kind: "outcome", labels: "rule" }, { prompt: "a", verdict: "right" }, /neither `ids` nor `completion`/],
  [
    { kind: "outcome", labels: "rule" },
    { completion: "a", verdict: "right" },
    /neither `prompt_ids` nor `prompt`/,
  ],
  [
    { kind: "outcome", labels: "rule" },
    { prompt_ids: [1], ids: [999], verdict: "wrong" },
    /id 999 is not one of the tokenizer's 257/,
  ],
  [
    { kind: "outcome", labels: "rule" },
    { prompt_ids: [1], ids: [2 ** 32 + 5], verdict: "wrong" },
    /id 4294967301 is not one of/,
  ],
  [{ kind: "outcome", labels: "rule" }, { prompt_ids: [1], ids: [2], verdict: "maybe" }, /verdict/],
  [{ kind: "outcome", labels: "preference" }, { prompt: "a", chosen: "b" }, /rejected/],
  [
    { kind: "process", labels: "rule" },
    { prompt: "a", steps: [{ text: " ", label: 1 }] },
    /steps.0.text is empty/,
  ],
  [
    { kind: "process", labels: "shepherd_soft" },
    { prompt: "a", steps: [{ text: "b", hard: 1 }] },
    /steps.0 has no `soft`/,
  ],
  [{ kind: "process", labels: "rule" }, { prompt: "a", steps: [{ text: "b", label: 1.5 }] }, /steps.0.label/],
] as [Read, object, RegExp][])("a_record_of_%j_that_lacks_something_is_named: %j", (config, record, why) => {
  expect(() => read(config, record)).toThrowError(
    expect.objectContaining({
      code: "reward_record_invalid",
      exitCode: 3,
      what: "f.jsonl:7",
      why: expect.stringMatching(why),
    }),
  );
});

const row = (id: string, verdict: string, completion: string, prompt = id) => ({
  ...{ id, prompt, completion, verdict },
});

test("ties_empty_outputs_long_ones_and_records_without_steps_are_left_out_and_counted", () => {
  const { learned } = dataOf(
    { labels: "preference", held_out: 0, loss: "bradley_terry", train: { seq_len: 8 } },
    [
      { prompt: "p", chosen: "yes", rejected: "yes" },
      { prompt: "p", chosen: "yes", rejected: "" },
      { prompt: "q", chosen: "yes", rejected: "no" },
      { prompt: "q", chosen: "yes", rejected: "nononono" },
    ],
  );
  expect(learned.map((texts) => texts.map(({ ids }) => tokenizer.decode([...ids])))).toEqual([
    ["qyes<|endoftext|>", "qno<|endoftext|>"].map((t) => expect.stringContaining(t.slice(0, 3))),
  ]);
  expect(logged.join("\n")).toMatch(
    /1 of 4 records have equal sides.*:1\n.*1 of 4 records have an empty output.*:2\n.*1 of 4 records are longer than train.seq_len.*:4/s,
  );
  const steps = dataOf({ kind: "process", held_out: 0 }, [
    { prompt: "p", steps: [] },
    { prompt: "q", steps: [{ text: "a", label: 1 }] },
    { prompt: "r", steps: [{ text: "a", label: 0 }] },
  ]);
  expect(steps.learned).toHaveLength(2);
  expect(logged[0]).toMatch(/1 of 3 records have no step/);
});

test("equal_labels_questions_without_a_pair_and_combinations_without_a_meaning_are_refused", () => {
  const useless = (set: object, rows: object[], why: RegExp) =>
    expect(() => dataOf({ held_out: 0, ...set }, rows)).toThrowError(
      expect.objectContaining({ code: "reward_data_useless", exitCode: 3, what: expect.stringMatching(why) }),
    );
  useless({}, [row("a", "right", "x"), row("b", "right", "y")], /all labels \(rule\) are 1/);
  useless(
    { loss: "bradley_terry" },
    [row("a", "right", "x"), row("b", "wrong", "y")],
    /2 records give no pair/,
  );
  for (const set of [
    { kind: "outcome", labels: "shepherd_hard" },
    { kind: "process", labels: "preference" },
    { kind: "process", loss: "bradley_terry" },
  ])
    expect(() => dataOf(set, [])).toThrowError(
      expect.objectContaining({ code: "reward_recipe_invalid", exitCode: 2 }),
    );
});

test("outputs_of_a_question_are_held_out_together", () => {
  const rows = Array.from({ length: 40 }, (_, i) => row(`q${i % 10}`, i % 3 ? "right" : "wrong", `${i}`));
  const { learned, heldOut } = dataOf({ held_out: 0.2, seed: 4 }, rows);
  const questions = (examples: typeof learned) => new Set(examples.flat().map(({ question }) => question));
  const count = questions(heldOut).size;
  expect([count > 0, count < 10]).toEqual([true, true]);
  expect([learned.length, heldOut.length]).toEqual([4 * (10 - count), 4 * count]);
  for (const question of questions(heldOut)) expect(questions(learned).has(question)).toBe(false);
});

test("held_out_labels_of_one_side_and_held_out_questions_without_a_pair_are_warned_of", () => {
  // Of ten questions each of the last five has outputs of one verdict; the first five have the other one, too.
  const rows = (verdict: "right" | "wrong", set: number) =>
    Array.from({ length: 20 }, (_, i) => {
      const other = verdict === "right" ? "wrong" : "right";
      const question = `${set}${i % 10}`;
      return row(question, i % 10 < 5 && i < 10 ? other : verdict, `${i}`, `${question}+1=`);
    });
  const warned = (set: object, of: object[]) => {
    dataOf(set, of);
    return logged.filter((text) => /held-out (labels|question)/.test(text));
  };
  // Which are held out depends on the questions alone.
  const sets = Array.from({ length: 30 }, (_, i) => 10 + i);
  const last = (verdict: "right" | "wrong", set: object) =>
    sets.map((of) => warned({ held_out: 0.1, ...set }, rows(verdict, of)));
  const wrong = last("wrong", {});
  expect(new Set(wrong.flat())).toEqual(
    new Set([expect.stringMatching(/all held-out labels are wrong: accuracy/)]),
  );
  expect(wrong.some((texts) => texts.length === 0)).toBe(true);
  expect(last("right", {}).flat()).toContainEqual(expect.stringMatching(/all held-out labels are right/));
  expect(last("wrong", { loss: "bradley_terry" }).flat()).toContainEqual(
    expect.stringMatching(/no held-out question has both/),
  );
  expect(warned({ held_out: 0 }, rows("wrong", 10))).toEqual([]);
});

test("a_question_is_what_its_prompt_says_whatever_records_call_it", () => {
  // The parts of a mixed task both count from 0: a right and a wrong output of two questions are no pair.
  const parts = [
    row("addition-train-0", "right", "7", "3+4="),
    row("addition-train-0", "wrong", "9", "30+40="),
  ];
  expect(() => dataOf({ loss: "bradley_terry", held_out: 0 }, parts)).toThrowError(/give no pair/);
  // Forty outputs of ten questions, each under a name of its own: none is trained on and held out.
  const rows = Array.from({ length: 40 }, (_, i) =>
    row(`addition-train-${i}`, i % 3 ? "right" : "wrong", `${i}`, `${i % 10}+1=`),
  );
  const { learned, heldOut } = dataOf({ held_out: 0.2, seed: 4 }, rows);
  const prompts = (examples: typeof learned) =>
    new Set(
      examples.flat().map(({ ids, promptLength }) => tokenizer.decode([...ids.slice(0, promptLength)])),
    );
  const count = prompts(heldOut).size;
  expect([count > 0, count < 10]).toEqual([true, true]);
  expect([learned.length, heldOut.length]).toEqual([4 * (10 - count), 4 * count]);
  for (const prompt of prompts(heldOut)) expect(prompts(learned).has(prompt)).toBe(false);
});

test("pairs_of_a_question_are_each_right_output_with_each_wrong_one_up_to_the_limit", () => {
  const text = (name: string, label: number) =>
    ({
      ids: Int32Array.of(1, name.charCodeAt(0)),
      promptLength: 0,
      ends: [{ at: 0, label }],
      question: name,
      ended: true,
    }) as LabelledText;
  const texts = [text("a", 1), text("b", 0), text("c", 1), text("d", 0), text("e", 0)];
  const names = (most: number, key: number) =>
    pairsOf(texts, most, new Rng(1, 2), key).map((pair) => pair.map(({ question }) => question).join(""));
  expect(names(9, 0).sort()).toEqual(["ab", "ad", "ae", "cb", "cd", "ce"]);
  // What was sampled again gives no pair again.
  const again = pairsOf([...texts, text("a", 1), text("d", 0), text("a", 1)], 99, new Rng(1, 2), 0);
  expect(again).toHaveLength(6);
  expect(names(2, 0)).toHaveLength(2);
  expect(names(2, 0)).toEqual(names(2, 0));
});

test("a_micro_batch_wants_numbers_where_the_labels_are", () => {
  const text = (ids: number[], ends: [number, number][]): LabelledText => ({
    ids: Int32Array.from(ids),
    promptLength: 1,
    ends: ends.map(([at, label]) => ({ at, label })),
    question: "q",
    ended: true,
  });
  const [a, b] = [
    text(
      [5, 6, 7],
      [
        [1, 0.25],
        [2, 1],
      ],
    ),
    text([8, 9], [[1, 0]]),
  ];
  const single = packTexts([[a], [b]], "pointwise");
  expect([...single.tokens]).toEqual([5, 6, 7, 8, 9]);
  expect([...single.targets].map((t) => t >= 0)).toEqual([false, true, true, false, true]);
  expect([...single.columns!.label!]).toEqual([0, 0.25, 1, 0, 0]);
  const pair = packTexts([[text([5, 6, 7], [[2, 1]]), b]], "bradley_terry");
  expect([...pair.columns!.label!]).toEqual([0, 0, 1, 0, -1]);
  expect([...pair.cuSeqlens]).toEqual([0, 3, 5]);
});

test("records_of_another_kind_name_the_command_that_makes_the_right_ones", () => {
  const failure = (config: Read, record: object) => {
    try {
      read(config, record);
    } catch (error) {
      return error as { code: string; why: string; fix: string };
    }
    throw new Error("nothing was refused");
  };
  const process = { kind: "process", labels: "shepherd_soft" } as const;
  // What `nsa sample` writes has steps only where they were labelled; a rollout's `steps` are rewards.
  for (const more of [{}, { steps: [] }, { steps: [0.5, 1] }, { steps: [{ reward: 1 }] }])
    expect(failure(process, { prompt_ids: [5], ids: [6], completion: "a", ...more }).fix).toContain(
      "configs/sample/step-labels.yaml",
    );
  expect(failure(process, { prompt: "a", steps: [{ text: "b" }] }).why).toContain("steps.0 has no `soft`");
  const row = { step: 1, id: "q", question: "q", prompt: "a", group: 0 };
  const verdict = { ...row, kind: "verdict", completion: "b", verdict: "right", output: 0 };
  const preference = { ...row, kind: "preference", chosen: "b", rejected: "c" };
  const [byRule, byPreference] = [
    { kind: "outcome", labels: "rule" },
    { kind: "outcome", labels: "preference" },
  ] as const;
  expect(failure(byRule, preference).fix).toContain("nsa rollouts RUN --labels verdict");
  expect(failure(byPreference, verdict).fix).toContain("nsa rollouts RUN --labels preference");
  expect(read(byRule, verdict).ends[0]!.label).toBe(1);
  expect(read(byPreference, preference)).toHaveProperty("better");
});

test("counts_of_one_are_singular", () => {
  const output = (question: string, verdict: string, completion: string) => ({
    ...{ prompt: question, question, completion, verdict, finish: "stop" },
  });
  dataOf({ held_out: 0 }, [output("a", "right", "b"), output("a", "wrong", "c")]);
  expect(logged).toContain("2 examples of 1 question; held out: 0 examples of 0 questions");
  dataOf({ held_out: 0, loss: "bradley_terry" }, [output("a", "right", "b"), output("a", "wrong", "c")]);
  expect(logged).toContain("1 pair of 1 question; held out: 0 pairs of 0 questions");
});

test("an_empty_file_of_a_run_whose_keep_nothing_passed_is_named_as_that", () => {
  const dir = mkdtempSync(join(root, "kept-"));
  const file = join(dir, "samples.jsonl");
  writeFileSync(file, "");
  const failure = () => {
    try {
      readRewardData(
        parseConfig(
          rewardModelSchema,
          { init: { checkpoint: "none" }, data: { files: [file] } } as never,
          "test",
        ),
        tokenizer,
        () => undefined,
      );
    } catch (error) {
      return error as Error & { why: string; fix: string };
    }
    throw new Error("nothing was refused");
  };
  expect(failure().why).not.toContain("keep");
  writeFileSync(join(dir, "config.yaml"), "keep: all\n");
  expect(failure().why).not.toContain("keep");
  writeFileSync(join(dir, "config.yaml"), "keep: correct\n");
  expect(failure().why).toBe(
    `${file} is empty: no output of that run of \`nsa sample\` passed its keep ("correct")`,
  );
  expect(failure().fix).toContain("keep: all");
});
