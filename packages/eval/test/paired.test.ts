// Entries on the same problems against the first: values by hand.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { evalTaskSchema, type SampleRow } from "../src/index.ts";
import { pairedEntries, pairedSections } from "../src/paired.ts";

const root = mkdtempSync(join(tmpdir(), "nsa-paired-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));

const row = (task: string, id: string, right: boolean, tokens: number) =>
  ({ kind: "sample", task, id, verdict: right ? "correct" : "wrong", tokens }) as SampleRow;
const family = (more: object) =>
  evalTaskSchema.parse({ kind: "family", family: "products", difficulty: 2, questions: 4, ...more });
const tasks = [
  family({ template: "plain" }),
  family({ template: "{question} Step by step:" }),
  family({ difficulty: 3 }),
  family({ format: "tool" }),
];
const names = ["plain", "steps", "other", "tool"];
const rows = [
  ...[1, 0, 0, 0].map((right, i) => row("plain", `p${i}`, right === 1, 4)),
  ...[1, 1, 0, 0].map((right, i) => row("steps", `p${i}`, right === 1, [6, 8, 10, 12][i]!)),
  ...[1, 1, 1, 1].map((right, i) => row("other", `p${i}`, right === 1, 1)),
  ...[1, 1, 1, 0].map((right, i) => row("tool", `p${i}`, right === 1, 5)),
];

test("entries_are_paired_with_the_first_of_the_same_problems", () => {
  const pairs = pairedEntries(tasks, names, rows);
  expect(pairs.map(({ task, against }) => [task, against])).toEqual([
    ["steps", "plain"],
    ["tool", "plain"],
  ]);
  const [steps, tool] = pairs;
  expect(steps).toMatchObject({
    problems: 4,
    first: 0.25,
    second: 0.5,
    difference: 0.25,
    onlySecond: 1,
    onlyFirst: 0,
  });
  expect(tool).toMatchObject({ first: 0.25, second: 0.75, difference: 0.5, onlySecond: 2 });
  // Nine tokens an answer, 36 in all for two right ones; 20 for three.
  expect([steps!.tokens, steps!.tokensPerRight, tool!.tokensPerRight]).toEqual([9, 18, 20 / 3]);
  expect(
    pairedEntries(tasks, names, [row("plain", "a", true, 1), row("tool", "a", false, 3)])[0],
  ).toMatchObject({
    difference: -1,
    tokensPerRight: null,
  });
});

test("a_report_shows_them_as_one_table", () => {
  expect(pairedSections(root)).toEqual([]);
  const pairs = pairedEntries(tasks, names, rows);
  writeFileSync(join(root, "pairs.jsonl"), pairs.map((p) => `${JSON.stringify(p)}\n`).join(""));
  const [table] = pairedSections(root);
  expect(table!.rows.map((r) => [r[0], r[3], r[4], r[5], r[9]])).toEqual([
    ["steps", "25.0 %", "50.0 %", "25.0 %", "18.0"],
    ["tool", "25.0 %", "75.0 %", "50.0 %", "6.7"],
  ]);
});
