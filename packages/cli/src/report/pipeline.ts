// report.html of a pipeline: one page from the funnel of documents to held-out accuracy, with links to each stage's own.

import { existsSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { atomicWriteFile, type Environment, readJsonl, readRunJson, type StageDefinition } from "@nsa/core";
import type { FunnelRow } from "@nsa/data";
import { bars, escapeHtml, page, table } from "@nsa/report";
import type { Pipeline } from "../commands/pipeline-recipe.ts";
import { loadStage } from "../commands/stages.ts";
import { count, duration } from "../view/format.ts";
import { CHARTS, drawChart } from "./charts.ts";
import { resultOf } from "./overview.ts";
import { evaluationsOverview, heldOutBars } from "./pipeline-evaluations.ts";
import { heldOutTables } from "./pipeline-held-out.ts";
import { atK } from "./report.ts";
import { drawSections } from "./sections.ts";
import { readFolder, type StageFolder } from "./stage-folder.ts";

const charts = (folder: StageFolder, titles: readonly string[]) =>
  CHARTS.filter(({ title }) => titles.includes(title)).map((chart) => drawChart(chart, folder.rows));

const inGrid = (drawn: readonly string[]) => `<div class="charts">${drawn.join("")}</div>`;

function section(folder: StageFolder, title: string, body: string): string {
  return `<h2>${escapeHtml(title)}</h2><p class="note">stage <a href="${folder.link}">${escapeHtml(folder.stage.name)}</a></p>${body}`;
}

/** Documents and tokens that each step of the corpus loop left. */
function funnel(folder: StageFolder, dir: string): string {
  // A stage with these outputs is a corpus loop, whatever it is called.
  const { ranked, report } = folder.outputs ?? {};
  if (!ranked || !report || !existsSync(report)) return "";
  const read = JSON.parse(readFileSync(report, "utf8")) as { funnel: FunnelRow[] };
  const rows = read.funnel.map(({ step, documents, tokens, detail }) => {
    const removed = Object.entries(detail ?? {})
      .filter(([, n]) => n > 0)
      .map(([reason, n]) => `−${n} ${reason.replace("dropped_", "")}`);
    const size = tokens === undefined ? [] : [`${count(tokens)} tokens`];
    return {
      label: step,
      value: documents,
      text: [`${documents.toLocaleString("en-US")} pages`, ...size, ...removed].join(" · "),
    };
  });
  const own = relative(dir, join(dirname(report), "report.html"));
  const more = `<p class="note">Scores, domains and pages near the cut: <a href="${own}">corpus report</a></p>`;
  return section(folder, "From crawl to corpus", bars(rows) + more);
}

/** What the model wrote last: its texts after training. */
function texts(folder: StageFolder): string {
  const all = readJsonl<{ step: number; prompt?: string; text?: string }>(join(folder.path, "samples.jsonl"));
  const step = all.at(-1)?.step;
  const shown = all.filter((row) => row.step === step && row.text !== undefined).slice(0, 2);
  if (shown.length === 0) return "";
  return `<h3>Written at step ${step}</h3>${shown
    .map((row) => `<pre><b>${escapeHtml(row.prompt ?? "")}</b>${escapeHtml(row.text!)}</pre>`)
    .join("")}`;
}

function stageSection(
  folder: StageFolder,
  { overview = {}, sections }: StageDefinition,
  dir: string,
): string {
  const { title, charts: wanted = [], texts: withTexts } = overview;
  const own = drawSections(sections?.(folder.path) ?? []);
  if (title === undefined) return funnel(folder, dir) + own;
  const drawn = inGrid([atK(folder.rows), ...charts(folder, wanted)]);
  return section(folder, title, drawn + (withTexts ? texts(folder) : "")) + own;
}

type Definitions = ReadonlyMap<string, StageDefinition>;

function stagesTable(config: Pipeline, folders: readonly StageFolder[], definitions: Definitions): string {
  const told = ({ stage, rows }: StageFolder) =>
    resultOf(definitions.get(stage.stage)?.overview?.result ?? "", rows);
  const rows = config.stages.map((stage) => {
    const folder = folders.find((f) => f.stage === stage);
    const linked = folder && existsSync(join(folder.path, "report.html"));
    const name = linked ? `<a href="${folder.link}">${escapeHtml(stage.name)}</a>` : escapeHtml(stage.name);
    const { seconds = 0, starts = 0 } = folder?.timing ?? {};
    const time = folder ? duration(seconds) + (starts > 1 ? ` (${starts} starts)` : "") : "";
    const result = folder?.outputs ? told(folder) : folder ? "not finished" : "not begun";
    return [name, stage.stage, result, time];
  });
  return table(["stage", "kind", "result", "time"], rows, [0]);
}

/** Writes the page into the pipeline's folder from what its stages have left so far. */
export async function writePipelineReport(dir: string, config: Pipeline): Promise<void> {
  const names = [...new Set(config.stages.map(({ stage }) => stage))];
  const definitions: Definitions = new Map(
    await Promise.all(names.map(async (name) => [name, await loadStage(name)] as const)),
  );
  const folders = config.stages.flatMap((stage) => readFolder(dir, stage) ?? []);
  const seconds = folders.reduce((sum, f) => sum + (f.timing?.seconds ?? 0), 0);
  const env = readRunJson(dir, "env.json") as Environment | null;
  const machine = env ? ` · ${env.cpu}, ${env.cores} cores, Node ${env.node}` : "";
  const body = `<p class="note">${config.stages.length} stages · ${duration(seconds)} of running${escapeHtml(machine)}</p>
${heldOutBars(folders)}
${heldOutTables(folders)}
<h2>Stages</h2>${stagesTable(config, folders, definitions)}
${folders.map((folder) => stageSection(folder, definitions.get(folder.stage.stage)!, dir)).join("\n")}
${evaluationsOverview(folders)}`;
  atomicWriteFile(join(dir, "report.html"), page(config.name, body));
}
