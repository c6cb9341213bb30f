// The part of `nsa runs compare` for evaluations: paired differences on the problems that both runs answered.
import { join } from "node:path";
import { type RunInfo, readJsonl } from "@nsa/core";
import type { EvalRow, TaskComparison } from "@nsa/eval";

export type Table = { columns: string[]; rows: string[][] };

export interface PairedRuns {
  first: string;
  second: string;
  tasks: TaskComparison[];
}

/** Comparisons of every later evaluation with the first; nothing when a run is no evaluation. */
export async function pairedEvaluations(runs: readonly RunInfo[]): Promise<PairedRuns[]> {
  if (runs.length < 2) return [];
  const rows = runs.map((run) => readJsonl<EvalRow>(join(run.path, "samples.jsonl")).filter((r) => r.kind));
  if (rows.some((r) => r.length === 0)) return [];
  const { compareSamples } = await import("@nsa/eval");
  return rows.slice(1).map((second, i) => ({
    first: runs[0]!.id,
    second: runs[i + 1]!.id,
    tasks: compareSamples(rows[0]!, second),
  }));
}

const percent = (x: number) => `${(100 * x).toFixed(1)} %`;
const signed = (x: number) => `${x > 0 ? "+" : ""}${(100 * x).toFixed(1)}`;
const probability = (p: number) => (p < 0.001 ? "< 0.001" : p.toFixed(3));

export function pairedTable({ first, second, tasks }: PairedRuns): Table {
  const columns = [
    "task",
    "problems",
    first,
    second,
    "difference, 95 %",
    "p (paired)",
    "p (McNemar)",
    "only first / second",
  ];
  const rows = tasks.map((t) => [
    t.task,
    String(t.problems),
    percent(t.first),
    percent(t.second),
    `${signed(t.difference)} (${signed(t.low)} … ${signed(t.high)})`,
    probability(t.p),
    t.mcnemar === undefined ? "–" : probability(t.mcnemar),
    `${t.onlyFirst} / ${t.onlySecond}`,
  ]);
  return { columns, rows };
}
