// Two evaluation runs side by side, on the problems that both answered.
import { mcnemar, pairedDifference } from "@nsa/tasks";
import type { EvalRow } from "./rows.ts";

export interface TaskComparison {
  task: string;
  /** Problems that both runs answered. */
  problems: number;
  first: number;
  second: number;
  /** Mean of second − first with its 95 % interval. */
  difference: number;
  low: number;
  high: number;
  /** Two-sided p by paired sign flips; McNemar's exact p where every problem has one answer. */
  p: number;
  mcnemar?: number;
  /** Problems that only one of the two solved (more than half of the answers right). */
  onlyFirst: number;
  onlySecond: number;
}

/** Share of right answers per task and problem. */
function scores(rows: readonly EvalRow[]): Map<string, Map<string, number[]>> {
  const out = new Map<string, Map<string, number[]>>();
  for (const row of rows) {
    const value =
      row.kind === "sample"
        ? ([row.id, row.verdict === "correct"] as const)
        : row.kind === "choice"
          ? ([row.id, row.answer === row.gold] as const)
          : row.kind === "needle"
            ? ([`${row.length}/${row.depth}/${row.trial}`, row.found] as const)
            : undefined;
    if (!value) continue;
    const task = out.get(row.task) ?? new Map<string, number[]>();
    out.set(row.task, task);
    task.set(value[0], [...(task.get(value[0]) ?? []), value[1] ? 1 : 0]);
  }
  return out;
}

const mean = (xs: readonly number[]) => xs.reduce((a, b) => a + b, 0) / xs.length;

/** Paired comparison of the rows of two runs' samples.jsonl; one entry per task that both have. */
export function compareSamples(first: readonly EvalRow[], second: readonly EvalRow[]): TaskComparison[] {
  const [a, b] = [scores(first), scores(second)];
  return [...a.keys()].flatMap((task): TaskComparison[] => {
    const [x, y] = [a.get(task)!, b.get(task)];
    if (!y) return [];
    const ids = [...x.keys()].filter((id) => y.has(id));
    if (ids.length === 0) return [];
    const [left, right] = [ids.map((id) => mean(x.get(id)!)), ids.map((id) => mean(y.get(id)!))];
    const onlyFirst = ids.filter((_, i) => left[i]! > 0.5 && right[i]! <= 0.5).length;
    const onlySecond = ids.filter((_, i) => right[i]! > 0.5 && left[i]! <= 0.5).length;
    const single = ids.every((id) => x.get(id)!.length === 1 && y.get(id)!.length === 1);
    return [
      {
        task,
        problems: ids.length,
        first: mean(left),
        second: mean(right),
        ...pairedDifference(left, right),
        ...(single ? { mcnemar: mcnemar(onlyFirst, onlySecond) } : {}),
        onlyFirst,
        onlySecond,
      },
    ];
  });
}
