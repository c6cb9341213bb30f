// `nsa runs`: what ran, and how it ended.

import { join } from "node:path";
import { findRun, listRuns, readJsonl } from "@nsa/core";

export function listAll(root: string): void {
  for (const run of listRuns(root)) console.log(`${run.id}\t${run.path}`);
}

export function showRun(root: string, which: string): void {
  const run = findRun(root, which);
  const last: Record<string, unknown> = {};
  for (const row of readJsonl(join(run.path, "metrics.jsonl"))) Object.assign(last, row);
  console.log(run.path);
  for (const [key, value] of Object.entries(last)) if (key !== "time") console.log(`${key}\t${value}`);
}
