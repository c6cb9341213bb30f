// The summary table of an evaluation on the terminal.
import { readRunJson } from "@nsa/core";
import type { TaskSummary } from "@nsa/eval";
import { summaryTable } from "./evaluation.ts";

/** Prints the table of a finished evaluation; does nothing for runs of other stages, and for --json. */
export function printEvaluation(runDir: string, json: boolean): void {
  const summaries = readRunJson(runDir, "summary.json") as TaskSummary[] | null;
  if (!Array.isArray(summaries) || json) return;
  const table = summaryTable(summaries);
  const widths = table[0]!.map((_, i) => Math.max(...table.map((row) => row[i]!.length)));
  for (const row of table)
    console.log(
      row
        .map((cell, i) => cell.padEnd(widths[i]!))
        .join("  ")
        .trimEnd(),
    );
}
