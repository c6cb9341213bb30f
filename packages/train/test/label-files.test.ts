// Label files as examples: verdicts in force, corrections behind them, preferences beside them.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Tokenizer, trainBpe } from "@nsa/data";
import { afterAll, expect, test } from "vitest";
import { readExamples } from "../src/stages/sft/examples.ts";
import { OnDemandExamples } from "../src/stages/sft/on-demand.ts";

const root = mkdtempSync(join(tmpdir(), "nsa-label-files-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));
const tokenizer = new Tokenizer(
  trainBpe(["Q: one two three four five six seven"], {
    vocabSize: 280,
    preTokenizer: "digits",
    specialTokens: ["<|endoftext|>"],
  }),
);

const verdict = (step: number, output: number, completion: string, right = true) => ({
  ...{ kind: "verdict", step, group: step - 1, output, id: `q${step}`, question: "", gold: "" },
  ...{ prompt: "Q:", completion, verdict: right ? "right" : "wrong" },
});

function source(rows: readonly object[], labels = true) {
  const file = join(root, `labels-${Math.random()}.jsonl`);
  writeFileSync(file, rows.map((row) => `${JSON.stringify(row)}\n`).join(""));
  return { files: [file], prompt: "{prompt}", completion: " {completion}", format: "cot", labels };
}
const learned = (rows: readonly object[], labels = true) =>
  readExamples({ sources: [source(rows, labels)], seqLen: 64 }, tokenizer, () => {}).map(({ ids }) =>
    tokenizer.decode(Array.from(ids)),
  );

test("only_outputs_whose_last_verdict_is_right_are_learned", () => {
  const rows = [
    verdict(1, 0, "one"),
    verdict(1, 1, "two"),
    verdict(2, 0, "three", false),
    { ...verdict(2, 1, "x"), kind: "preference", chosen_output: 0, rejected_output: 1 },
    verdict(3, 0, "four"),
    // A person's corrections stand behind: one is wrong after all, one right, one has another text.
    verdict(1, 1, "two", false),
    verdict(2, 0, "three"),
    verdict(3, 0, "five"),
  ];
  expect(learned(rows)).toEqual(["Q: one", "Q: three", "Q: five"]);
  expect(learned(rows.slice(0, 3), false)).toEqual(["Q: one", "Q: two", "Q: three"]);
});

test("a_row_that_is_no_label_is_named_by_its_line", () => {
  const bad = { ...verdict(2, 0, "two"), verdict: "maybe" };
  expect(() => learned([verdict(1, 0, "one"), bad])).toThrow(/labels-.*:2/);
  expect(() => learned([{ question: "1", answer: "2" }])).toThrow(/labels-.*:1/);
});

test("rows_of_the_other_kind_need_not_be_whole_and_those_of_no_kind_are_refused", () => {
  const preference = { kind: "preference", step: 1, chosen: "by hand" };
  const rows = [verdict(1, 0, "one"), preference, verdict(2, 0, "two"), { kind: "preference" }];
  expect(learned(rows)).toEqual(["Q: one", "Q: two"]);
  for (const kind of ["preferences", null, undefined])
    expect(() => learned([...rows, { ...preference, kind }])).toThrow(/labels-.*:5/);
});

test("label_files_are_not_read_on_demand", async () => {
  const options = {
    ...{ sources: [source([verdict(1, 0, "one"), verdict(2, 0, "two")])], seqLen: 64, tokenizer },
    ...{ chat: undefined, runDir: root, warn: () => {}, log: () => {} },
  };
  await expect(OnDemandExamples.open(options as never)).rejects.toThrow(/labels/);
});
