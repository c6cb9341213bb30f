// Entries on the same problems against the first: values by hand.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { budgetSections, forcedFrontiers, rightWithin } from "../src/budgets.ts";
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

test("right_answers_are_counted_within_budgets_of_tokens", () => {
  const own = rows.filter((r) => r.task === "steps");
  // Right ones have 6 and 8 tokens, of four.
  expect(rightWithin(own, [4, 6, 7, 8, 16])).toEqual([0, 0.25, 0.25, 0.5, 0.5]);
  expect(budgetSections(root)).toEqual([]);
  writeFileSync(join(root, "samples.jsonl"), rows.map((r) => `${JSON.stringify(r)}\n`).join(""));
  const [curve] = budgetSections(root);
  expect(curve!.columns).toEqual(["tokens", "plain", "steps", "other", "tool"]);
  expect(curve!.rows).toEqual([
    [1, 0, 0, 1, 0],
    [2, 0, 0, 1, 0],
    [4, 0.25, 0, 1, 0],
    [8, 0.25, 0.5, 1, 0.75],
    [16, 0.25, 0.5, 1, 0.75],
  ]);
});

test("entries_with_budgets_are_points_of_a_frontier_by_hand", () => {
  const forced = (task: string, id: string, right: boolean, tokens: number) => ({
    ...row(task, id, right, tokens),
    budget: { tokens: 9, ended: true, waits: 0 },
  });
  const all = [
    row("plain", "p0", true, 50),
    ...[forced("long", "p0", true, 12), forced("long", "p1", true, 9), forced("long", "p0", false, 15)],
    ...[forced("short", "p0", true, 4), forced("short", "p1", false, 2)],
    forced("other", "q0", true, 1),
  ];
  expect(forcedFrontiers(all)).toEqual([
    [
      { task: "short", tokens: 3, accuracy: 1 / 2 },
      { task: "long", tokens: 12, accuracy: 2 / 3 },
    ],
    [{ task: "other", tokens: 1, accuracy: 1 }],
  ]);
  writeFileSync(join(root, "samples.jsonl"), all.map((r) => `${JSON.stringify(r)}\n`).join(""));
  const [, frontier, ...more] = budgetSections(root);
  expect(more).toEqual([]);
  expect(frontier!.rows).toEqual([
    [3, 1 / 2],
    [12, 2 / 3],
  ]);
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
