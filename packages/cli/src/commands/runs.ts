// `nsa runs ls|show|path`: what ran, how far it came, and where it lies.
import { join } from "node:path";
import { findCheckpoint, findRun, listRuns, pipelineProgress, type RunInfo, readJsonl } from "@nsa/core";
import { figure } from "../view/format.ts";

type MetricsRow = Record<string, unknown>;

/** A row of one step has its pace; figures of a whole run, which some stages record one step past the last, have none. */
const isOfStep = (row: MetricsRow) => Object.keys(row).some((key) => key.startsWith("perf/"));

/** Latest value of every metric, and the last step that was made. */
export function lastFigures(rows: readonly MetricsRow[]): Map<string, unknown> {
  const last = new Map<string, unknown>();
  for (const row of rows)
    for (const [key, value] of Object.entries(row)) if (key !== "time") last.set(key, value);
  const step = rows.findLast(isOfStep)?.step;
  if (step !== undefined) last.set("step", step);
  return last;
}

const rowsOf = (runDir: string) => readJsonl<MetricsRow>(join(runDir, "metrics.jsonl"));

/** The figures by which one knows a run, best first. */
const TELLING = ["eval/pass_at_1", "reward/mean", "val/loss", "train/loss"];

function progress({ stage, path }: RunInfo, last: ReadonlyMap<string, unknown>): string {
  if (stage === "pipeline") {
    const { done, total } = pipelineProgress(path);
    return `${done} of ${total} stages done`;
  }
  return last.has("step") ? `step ${last.get("step")}` : "no step";
}

export function listAll(root: string): void {
  for (const run of listRuns(root)) {
    const last = lastFigures(rowsOf(run.path));
    const name = TELLING.find((key) => typeof last.get(key) === "number");
    const told = name ? `${name} ${figure(last.get(name) as number)}` : "";
    console.log([run.id, progress(run, last), told, run.path].join("\t"));
  }
}

export function showRun(root: string, which: string): void {
  const run = findRun(root, which);
  console.log(run.path);
  for (const [key, value] of lastFigures(rowsOf(run.path))) console.log(`${key}\t${value}`);
}

/** Prints one path, for scripts: of the run, or of its newest checkpoint. */
export function printPath(
  root: string,
  which: string,
  options: { stage?: string; checkpoint?: boolean },
): void {
  const run = findRun(root, which, options.stage);
  console.log(options.checkpoint ? findCheckpoint(root, run.path) : run.path);
}
