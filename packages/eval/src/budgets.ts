// Token efficiency: how many answers are right within a budget of tokens, entry by entry.
import { join } from "node:path";
import { type ReportSection, readJsonl } from "@nsa/core";
import type { EvalRow, SampleRow } from "./rows.ts";

const samplesOf = (rows: readonly EvalRow[]) => rows.flatMap((row) => (row.kind === "sample" ? [row] : []));

/** Powers of two up to the one that no answer exceeds. */
export function budgetsOf(rows: readonly EvalRow[]): number[] {
  const longest = samplesOf(rows).reduce((n, { tokens }) => Math.max(n, tokens), 1);
  const budgets = [1];
  while (budgets.at(-1)! < longest) budgets.push(2 * budgets.at(-1)!);
  return budgets;
}

/** Share of the answers that are right and have at most so many tokens, by budget: what stopping there would leave right. */
export function rightWithin(rows: readonly SampleRow[], budgets: readonly number[]): number[] {
  return budgets.map((budget) => {
    const right = rows.filter(({ verdict, tokens }) => verdict === "correct" && tokens <= budget);
    return right.length / Math.max(1, rows.length);
  });
}

/** Entries with a budget for their thoughts, those on the same problems together, by what they spent: mean tokens and accuracy. */
export function forcedFrontiers(
  rows: readonly SampleRow[],
): { task: string; tokens: number; accuracy: number }[][] {
  const groups = new Map<string, { task: string; tokens: number; accuracy: number }[]>();
  for (const task of new Set(rows.flatMap((row) => (row.budget ? [row.task] : [])))) {
    const own = rows.filter((row) => row.task === task);
    const problems = [...new Set(own.map(({ id }) => id))].sort().join("\n");
    const share = (xs: readonly number[]) => xs.reduce((a, b) => a + b, 0) / own.length;
    const point = {
      task,
      tokens: share(own.map(({ tokens }) => tokens)),
      accuracy: share(own.map(({ verdict }) => (verdict === "correct" ? 1 : 0))),
    };
    groups.set(problems, [...(groups.get(problems) ?? []), point]);
  }
  return [...groups.values()].map((points) => points.sort((a, b) => a.tokens - b.tokens));
}

function forcedSections(rows: readonly SampleRow[]): ReportSection[] {
  return forcedFrontiers(rows)
    .filter((points) => points.length > 1)
    .map((points) => ({
      title: `Accuracy by the tokens spent, thoughts forced to a budget: ${points.map(({ task }) => task).join(", ")}`,
      kind: "curve",
      columns: ["tokens an answer", "accuracy"],
      rows: points.map(({ tokens, accuracy }) => [tokens, accuracy]),
    }));
}

/** One curve for each entry of a run; nothing where no answers were sampled. */
export function budgetSections(runDir: string): ReportSection[] {
  const rows = samplesOf(readJsonl<EvalRow>(join(runDir, "samples.jsonl")));
  if (rows.length === 0) return [];
  const tasks = [...new Set(rows.map(({ task }) => task))];
  const budgets = budgetsOf(rows);
  const curves = tasks.map((task) =>
    rightWithin(
      rows.filter((row) => row.task === task),
      budgets,
    ),
  );
  return [
    {
      title: "Right answers within a budget of tokens",
      kind: "curve",
      columns: ["tokens", ...tasks],
      rows: budgets.map((budget, i) => [budget, ...curves.map((curve) => curve[i]!)]),
    },
    ...forcedSections(rows),
  ];
}
