// report.html of a run: self-contained, curves as inline SVG, config, environment, samples.

import { existsSync } from "node:fs";
import { join } from "node:path";
import { atomicWriteFile, eachLine, type ReportSection, readJsonl } from "@nsa/core";
import { curve, escapeHtml, page, powersOfTwo, type Series } from "@nsa/report";
import type { StepProfile } from "@nsa/train";
import { figure } from "../view/format.ts";
import { CHARTS, drawChart, type Row } from "./charts.ts";
import { evaluationSections } from "./evaluation.ts";
import { readIfThere } from "./run-files.ts";
import { drawSections } from "./sections.ts";
import { errorSection, warningsSection } from "./warnings.ts";

/** First and last evaluation on held-out problems. */
function ends(rows: readonly Row[]): [Row | undefined, Row | undefined] {
  const evaluations = rows.filter((r) => "eval/pass_at_1" in r);
  return [evaluations[0], evaluations.at(-1)];
}

/** Pass@K and Maj@K against K, first and last evaluation. */
export function atK(rows: readonly Row[]): string {
  const [first, last] = ends(rows);
  if (!first || !last) return "";
  const series = (["pass", "maj"] as const).flatMap((kind) =>
    [...new Set([first, last])].map((row): Series => {
      const points = Object.entries(row).flatMap(([key, y]) => {
        const m = new RegExp(`^eval/${kind}_at_(\\d+)$`).exec(key);
        return m && typeof y === "number" ? [{ x: Math.log2(Number(m[1])), y }] : [];
      });
      if (kind === "maj") points.push({ x: 0, y: row["eval/pass_at_1"] as number });
      return { name: `${kind}@K, step ${row.step}`, points: points.sort((a, b) => a.x - b.x) };
    }),
  );
  const options = { marks: powersOfTwo(series), range: [0, 1] } as const;
  return curve("Held-out Pass@K and Maj@K by K", series, options);
}

/** What the run gained on held-out problems, in one sentence; its figures where it was evaluated once. */
export function gain(rows: readonly Row[]): string {
  const [first, last] = ends(rows);
  if (!first || !last) return "";
  const most = Object.keys(first)
    .map((key) => Number(/^eval\/maj_at_(\d+)$/.exec(key)?.[1] ?? 0))
    .reduce((a, b) => Math.max(a, b), 0);
  const change = (what: string, key: string) =>
    first === last
      ? `${what} ${Number(last[key]).toFixed(3)}`
      : `${what} ${Number(first[key]).toFixed(3)} → ${Number(last[key]).toFixed(3)}`;
  const parts = [change("pass@1", "eval/pass_at_1")];
  if ("eval/greedy_pass_at_1" in first) parts.push(change("greedy pass@1", "eval/greedy_pass_at_1"));
  if (most > 1) parts.push(change(`maj@${most}`, `eval/maj_at_${most}`));
  // Answers that repeat the question or leave the arithmetic undone: a gain made of them would be none.
  if ("eval/echo_share" in first) parts.push(change("share of echoes", "eval/echo_share"));
  const steps = first === last ? `${last.step}` : `${first.step} to ${last.step}`;
  return `<p>On held-out problems, step ${steps}: ${parts.join(", ")}.</p>`;
}

/** The first 10 and the last 30 rows of samples.jsonl, which may be larger than memory. */
function pickSamples(path: string): Record<string, unknown>[] {
  const [first, last]: [Buffer[], Buffer[]] = [[], []];
  if (existsSync(path))
    for (const line of eachLine(path)) {
      // A row that is being written has no end yet.
      if (line.at(-1) !== 0x7d) continue;
      if (first.length < 10) first.push(Buffer.from(line));
      else last.push(Buffer.from(line));
      if (last.length > 30) last.shift();
    }
  return [...first, ...last].map((line) => JSON.parse(line.toString("utf8")) as Record<string, unknown>);
}

function samplesTable(picked: readonly Record<string, unknown>[]): string {
  const shown = (value: unknown) => (value === undefined ? "" : escapeHtml(String(value)));
  const parts = (r: Record<string, unknown>) =>
    Object.entries((r.parts ?? {}) as Record<string, number>)
      .map(([label, value]) => `${label} ${figure(value)}`)
      .join(", ");
  const cells = picked.map((r) => {
    const text = escapeHtml(String(r.text ?? r.completion ?? ""));
    const prompt = escapeHtml(String(r.prompt ?? r.question ?? ""));
    return `<tr><td>${r.step}</td><td><pre>${prompt}</pre></td><td><pre>${text}</pre></td><td>${shown(r.answer)}</td><td>${typeof r.reward === "number" ? figure(r.reward) : ""}</td><td>${shown(parts(r))}</td></tr>`;
  });
  if (cells.length === 0) return "";
  return `<h2>Samples</h2><table><tr><th>step</th><th>prompt</th><th>text</th><th>gold</th><th>reward</th><th>its parts</th></tr>${cells.join("")}</table>`;
}

/** Where the time of a profiled step went (`--profile`). */
function profileTable(runDir: string): string {
  const text = readIfThere(join(runDir, "profile.json"));
  if (text === "") return "";
  const p = JSON.parse(text) as StepProfile;
  const percent = (x: number) => `${(100 * x).toFixed(1)} %`;
  const rows = p.ops.map((o) => {
    const rate = o.tflops > 0 ? [o.tflops.toPrecision(3), percent(o.flops_share)] : ["", ""];
    const cells = [
      o.op,
      o.calls,
      o.ms.toFixed(3),
      percent(o.share),
      ...rate,
      o.gb_per_s.toPrecision(3),
      percent(o.bytes_share),
    ];
    return `<tr>${cells.map((c) => `<td>${c}</td>`).join("")}</tr>`;
  });
  const head = ["op", "calls", "ms", "of the step", "TFLOP/s", "of a matmul", "GB/s", "of a copy"];
  return `<h2>Profile of step ${p.step}</h2><p>${escapeHtml(p.device)}: ${p.ms.toFixed(2)} ms in ops, one at a time. Measured there: a matmul
${p.ceiling_tflops.toPrecision(3)} TFLOP/s, a copy ${p.ceiling_gb_per_s.toPrecision(3)} GB/s.</p>
<table><tr>${head.map((h) => `<th>${h}</th>`).join("")}</tr>${rows.join("")}</table>`;
}

/** The body of a run's report; `own`: what its stage adds. */
function runSections(runDir: string, own: readonly ReportSection[], error?: unknown): string {
  const rows = readJsonl<Row>(join(runDir, "metrics.jsonl"));
  const charts = CHARTS.map((chart) => drawChart(chart, rows));
  const samples = samplesTable(
    pickSamples(join(runDir, "samples.jsonl")).filter((r) => r.kind === undefined),
  );
  return `${errorSection(error)}${warningsSection(runDir)}${evaluationSections(runDir)}${gain(rows)}<div class="charts">${atK(rows)}${charts.join("")}</div>${drawSections(own)}${profileTable(runDir)}${samples}
<h2>Recipe</h2><pre>${escapeHtml(readIfThere(join(runDir, "config.yaml")))}</pre>
<h2>Machine</h2><pre>${escapeHtml(readIfThere(join(runDir, "env.json")))}</pre>`;
}

/** Writes report.html into the run folder and returns its path. `error`: what ended the run before its time. */
export async function writeReport(
  runDir: string,
  sections: readonly ReportSection[] = [],
  error?: unknown,
): Promise<string> {
  const path = join(runDir, "report.html");
  atomicWriteFile(
    path,
    page(runDir.slice(runDir.lastIndexOf("/") + 1), runSections(runDir, sections, error)),
  );
  return path;
}
