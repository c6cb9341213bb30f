// `nsa runs compare`: what differs between runs, in settings and in figures.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { atomicWriteFile, findRun, type RunInfo, readJsonl } from "@nsa/core";
import { curve, page } from "@nsa/report";
import { parse } from "yaml";
import { CHARTS, type Row as ChartRow, namesOf, seriesOf } from "../report/charts.ts";
import { figure } from "../view/format.ts";
import { pairedEvaluations, pairedTable, type Table } from "./compare-evaluations.ts";

interface LoadedRun {
  run: RunInfo;
  settings: Map<string, string>;
  rows: ChartRow[];
  last: Map<string, number>;
}

/** Dotted path → value as JSON, for every leaf of a recipe. */
function leaves(value: unknown, path: string, out: Map<string, string>): Map<string, string> {
  if (value !== null && typeof value === "object")
    for (const [key, inner] of Object.entries(value)) leaves(inner, path ? `${path}.${key}` : key, out);
  else out.set(path, JSON.stringify(value));
  return out;
}

function load(root: string, which: string): LoadedRun {
  const run = findRun(root, which);
  const rows = readJsonl<ChartRow>(join(run.path, "metrics.jsonl"));
  const last = new Map<string, number>();
  for (const row of rows)
    for (const [key, value] of Object.entries(row))
      if (key !== "time" && typeof value === "number") last.set(key, value);
  const recipe: unknown = parse(readFileSync(join(run.path, "config.yaml"), "utf8"));
  return { run, rows, last, settings: leaves(recipe, "", new Map()) };
}

const keysOf = (maps: readonly Map<string, unknown>[]) =>
  [...new Set(maps.flatMap((m) => [...m.keys()]))].sort();

/** Settings that are not the same in all runs. */
export function settingsTable(runs: readonly Pick<LoadedRun, "run" | "settings">[]): Table {
  const rows = keysOf(runs.map((r) => r.settings))
    .map((key) => [key, ...runs.map((r) => r.settings.get(key) ?? "–")])
    .filter(([, first, ...others]) => others.some((value) => value !== first));
  return { columns: ["setting", ...runs.map((r) => r.run.id)], rows };
}

/** Last value of each metric, and the difference of each later run to the first. */
export function metricsTable(runs: readonly Pick<LoadedRun, "run" | "last">[]): Table {
  const [first, ...others] = runs;
  const rows = keysOf(runs.map((r) => r.last)).map((key) => {
    const base = first!.last.get(key);
    const differences = others.map((r) => {
      const value = r.last.get(key);
      if (value === undefined || base === undefined) return "–";
      return `${value > base ? "+" : ""}${figure(value - base)}`;
    });
    const values = runs.map((r) => r.last.get(key)).map((v) => (v === undefined ? "–" : figure(v)));
    return [key, ...values, ...differences];
  });
  const columns = ["last value", ...runs.map((r) => r.run.id), ...others.map(() => "difference")];
  return { columns, rows };
}

function print({ columns, rows }: Table): void {
  const all = [columns, ...rows];
  const widths = columns.map((_, i) => Math.max(...all.map((row) => row[i]!.length)));
  for (const row of all)
    console.log(
      row.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!))).join("  "),
    );
}

/** The same charts as in a report, each with a line per run. */
function charts(runs: readonly LoadedRun[]): string {
  const drawn = CHARTS.flatMap((chart) =>
    [...new Set(runs.flatMap((r) => namesOf(chart, r.rows)))].map((name) =>
      curve(
        `${chart.title}: ${name}`,
        runs.map((r) => ({ ...seriesOf(r.rows, name), name: r.run.name })),
      ),
    ),
  );
  return `<div class="charts">${drawn.join("")}</div>`;
}

export async function compareRuns(
  root: string,
  which: readonly string[],
  options: { json?: boolean; out?: string },
): Promise<void> {
  const runs = which.map((name) => load(root, name));
  const [settings, metrics] = [settingsTable(runs), metricsTable(runs)];
  if (options.out) atomicWriteFile(options.out, page(runs.map((r) => r.run.id).join(" · "), charts(runs)));
  const evaluations = await pairedEvaluations(runs.map((r) => r.run));
  if (options.json) {
    console.log(JSON.stringify({ settings, metrics, evaluations }));
    return;
  }
  if (settings.rows.length > 0) {
    print(settings);
    console.log("");
  }
  print(metrics);
  for (const pair of evaluations) {
    console.log("");
    print(pairedTable(pair));
  }
  if (options.out) console.error(`curves: ${options.out}`);
}
