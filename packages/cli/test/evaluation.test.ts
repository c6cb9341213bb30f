// What `nsa eval` shows: the table, curves and heat maps from a summary, and the paired comparison of two runs.

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { heatMap } from "@nsa/report";
import { afterAll, expect, test } from "vitest";
import { pairedEvaluations, pairedTable } from "../src/commands/compare-evaluations.ts";
import { evaluationSections, summaryTable } from "../src/report/evaluation.ts";
import { tokenFrontier } from "../src/report/pipeline-evaluations.ts";

const dir = mkdtempSync(join(tmpdir(), "nsa-cli-eval-"));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

const problems = {
  kind: "problems" as const,
  task: "<t>",
  problems: 4,
  samples: 4,
  accuracy: { mean: 0.25, low: 0.1, high: 0.4 },
  passAtK: { "1": 0.25, "2": 0.4, "4": 0.6 },
  majAtK: { "1": 0.25, "2": 0.25, "4": 0.3 },
  likeliestAtK: { "1": 0.25, "2": 0.3, "4": 0.35 },
  formatRate: 0.5,
  unparsed: 0.125,
  truncated: 0,
  length: 12,
  languageShare: 0.75,
  calibration: { bins: [], error: 0.125 },
  programs: { run: 9, ok: 0.5 },
};
const needle = {
  kind: "needle" as const,
  task: "needle",
  lengths: [1024, 8192],
  depths: [0, 1],
  found: [
    [1, 0],
    [0.5, 0],
  ],
  gain: [
    [2, 1],
    [0.5, -0.25],
  ],
  accuracy: 0.375,
};

const sample = (id: string, verdict: string) =>
  JSON.stringify({
    kind: "sample",
    step: 1,
    task: "t",
    id,
    sample: 0,
    prompt: "1<2",
    completion: "c",
    answer: "a",
    gold: "g",
    verdict,
    why: "w",
  });

function makeRun(name: string, verdicts: string[]) {
  const path = join(dir, name);
  mkdirSync(path);
  writeFileSync(join(path, "summary.json"), JSON.stringify([problems, needle]));
  writeFileSync(join(path, "samples.jsonl"), verdicts.map((v, i) => `${sample(`p${i}`, v)}\n`).join(""));
  return { id: name, path, stage: "eval", name, started: "" };
}

test("the_report_has_a_table_a_curve_heat_maps_and_escaped_answers", () => {
  const run = makeRun("a", ["correct", "wrong"]);
  const html = evaluationSections(run.path);
  expect(html).toContain("&lt;t&gt;: accuracy by K");
  expect(html).toContain("needle: share found");
  expect(html).toContain("1&lt;2");
  expect(html).not.toContain("<t>");
  for (const row of [
    "Maj@2</td><td>25.0 %",
    "RM@4 by log-probability</td><td>35.0 %",
    "language</td><td>75.0 %",
    "majority</td><td>0.125",
    "9, 50.0 %",
  ])
    expect(html).toContain(row);
  expect(html.match(/<rect /g)).toHaveLength(8);
  expect(summaryTable([problems, needle])[1]).toEqual([
    "<t>",
    "4",
    "25.0 %",
    "10.0 % – 40.0 %",
    "50.0 %",
    "12.5 %",
    "12",
  ]);
});

test("heat_maps_shade_by_value_and_print_it", () => {
  const axes = { columns: ["1", "2"], rows: ["r"], columnTitle: "c", rowTitle: "r" };
  const svg = heatMap({ title: "t", values: [[0], [1]], ...axes });
  expect(svg).toContain('fill="rgb(247,243,232)"');
  expect(svg).toContain('fill="rgb(36,88,184)"');
  expect(heatMap({ title: "t", values: [], ...axes })).toBe("");
});

test("two_evaluations_are_compared_problem_by_problem", async () => {
  const first = makeRun("b", ["wrong", "wrong", "correct", "wrong", "wrong", "wrong"]);
  const second = makeRun("c", ["correct", "correct", "correct", "correct", "correct", "correct"]);
  const [pair] = await pairedEvaluations([first, second]);
  expect(pair!.tasks[0]).toMatchObject({ problems: 6, onlyFirst: 0, onlySecond: 5, mcnemar: 0.0625 });
  const { rows } = pairedTable(pair!);
  expect(rows[0]!.slice(0, 4)).toEqual(["t", "6", "16.7 %", "100.0 %"]);
  const other = { ...first, path: join(dir, "nowhere") };
  expect(await pairedEvaluations([first, other])).toEqual([]);
});

test("the_frontier_of_a_pipeline_has_a_point_a_checkpoint_by_tokens", () => {
  const asked = (of: string, task: string, length: number, mean: number) => ({
    of,
    summaries: [{ ...problems, task, length, accuracy: { ...problems.accuracy, mean } }, needle],
  });
  const all = [asked("free", "t", 31, 0.9), asked("other", "u", 1, 1), asked("short", "t", 12, 0.75)];
  expect(tokenFrontier(all, "t")).toEqual([
    { of: "short", tokens: 12, accuracy: 0.75 },
    { of: "free", tokens: 31, accuracy: 0.9 },
  ]);
});

test("a_reward_model_s_choice_stands_beside_that_by_log_probability_in_the_terminal_s_table", () => {
  expect(summaryTable([problems])[0]).not.toContain("best of K by the reward model");
  const scored = { ...problems, rewardAtK: { "1": 0.25, "4": 0.55, "16": 0.625 } };
  const [head, row, other] = summaryTable([scored, needle]);
  expect(head!.slice(-2)).toEqual(["best of K by log-probability", "best of K by the reward model"]);
  expect(row!.slice(-2)).toEqual(["rm_at_4 35.0 %", "reward_at_16 62.5 %"]);
  expect(other!.slice(-2)).toEqual(["", ""]);
});
