// Evaluations of a pipeline side by side: the same held-out problems for each checkpoint on the way.

import { join } from "node:path";
import { readJsonl, readRunJson } from "@nsa/core";
import type { EvalRow, ProblemsSummary, SampleRow, TaskSummary } from "@nsa/eval";
import {
  type Bar,
  bars,
  COLOURS,
  curve,
  escapeHtml,
  percent,
  powersOfTwo,
  type Series,
  table,
} from "@nsa/report";
import type { Row } from "./charts.ts";
import { summaryTable } from "./evaluation.ts";
import type { StageFolder } from "./stage-folder.ts";

interface Evaluation {
  /** The stage whose checkpoint was measured. */
  of: string;
  folder: StageFolder;
  summaries: TaskSummary[];
}

function evaluations(folders: readonly StageFolder[]): Evaluation[] {
  return folders.flatMap((folder): Evaluation[] => {
    const { stage, path } = folder;
    const summaries = readRunJson(path, "summary.json") as TaskSummary[] | null;
    if (stage.stage !== "eval" || !Array.isArray(summaries)) return [];
    const of = /^checkpoint=\{([\w-]+)\./.exec(stage.set.find((s) => s.startsWith("checkpoint=")) ?? "")?.[1];
    return [{ of: of ?? stage.name, folder, summaries }];
  });
}

const problemsOf = ({ summaries }: Evaluation, task: string) =>
  summaries.find((s): s is ProblemsSummary => s.kind === "problems" && s.task === task);

/** Tasks with generated answers that more than one checkpoint was asked. */
function sharedTasks(all: readonly Evaluation[]): string[] {
  const tasks = all.flatMap((e) => e.summaries.flatMap((s) => (s.kind === "problems" ? [s.task] : [])));
  return [...new Set(tasks)].filter((task) => tasks.filter((t) => t === task).length > 1);
}

/** Before and after of a GRPO stage, where no evaluation stage tells more. */
function grpoBars(folder: StageFolder): Bar[] {
  const looks = folder.rows.filter((row) => "eval/pass_at_1" in row);
  const bar = (row: Row, label: string, colour: string): Bar => {
    const of = (name: string) => row[name] as number;
    const value = of("eval/pass_at_1");
    const also = (name: string, metric: string) => (metric in row ? ` · ${name} ${percent(of(metric))}` : "");
    return {
      label,
      value,
      text: `${percent(value)} of the answers right${also("greedy", "eval/greedy_pass_at_1")}${also("echoes", "eval/echo_share")}`,
      low: of("eval/pass_at_1_low"),
      high: of("eval/pass_at_1_high"),
      colour,
    };
  };
  if (looks.length < 2) return [];
  return [
    bar(looks[0]!, `before ${folder.stage.name}`, COLOURS[1]!),
    bar(looks.at(-1)!, `after ${folder.stage.name}`, COLOURS[2]!),
  ];
}

/** The rise on held-out problems, on top of the page. */
export function heldOutBars(folders: readonly StageFolder[]): string {
  const all = evaluations(folders);
  const tasks = sharedTasks(all);
  if (tasks.length === 0) {
    const drawn = folders.filter((f) => f.stage.stage === "grpo").map((f) => bars(grpoBars(f), 1));
    const shown = drawn.filter((svg) => svg !== "");
    return shown.length > 0 ? `<h2>Held-out problems</h2>${shown.join("")}` : "";
  }
  const groups = tasks.map((task) => {
    const rows = all.flatMap((e, i): Bar[] => {
      const s = problemsOf(e, task);
      if (!s) return [];
      const { mean: value, low, high } = s.accuracy;
      const most = Math.max(...Object.keys(s.majAtK).map(Number));
      const echoes = s.echoes === undefined ? "" : ` · echoes ${percent(s.echoes)}`;
      const greedy = s.greedy ? ` · greedy ${percent(s.greedy.accuracy.mean)}` : "";
      const vote =
        most > 1
          ? ` · Maj@${most} ${percent(s.majAtK[most]!)} · Pass@${most} ${percent(s.passAtK[most]!)}`
          : "";
      return [
        {
          label: e.of,
          value,
          low,
          high,
          text: `${percent(value)}${greedy}${vote}${echoes}`,
          colour: COLOURS[i % COLOURS.length],
        },
      ];
    });
    const { problems, samples } = all.map((e) => problemsOf(e, task)).find((s) => s !== undefined)!;
    return `<h3>${escapeHtml(task)}: ${problems} problems, ${samples} answers each</h3>${bars(rows, 1)}`;
  });
  return `<h2>Held-out problems</h2>${groups.join("")}
<p class="note">Share of right answers with its 95 % interval. An answer without the form that the task asks for counts as wrong. Greedy: one answer each, the likeliest token at every step. Echoes: answers that repeat the question's expression or leave the arithmetic undone; they count as wrong.</p>`;
}

function curves(all: readonly Evaluation[], task: string): string {
  const drawn = (
    [
      ["Pass@K", (s: ProblemsSummary) => s.passAtK],
      ["Maj@K", (s: ProblemsSummary) => s.majAtK],
    ] as const
  ).map(([name, valuesOf]) => {
    const series = all.flatMap((e): Series[] => {
      const s = problemsOf(e, task);
      const points = Object.entries(s ? valuesOf(s) : {}).map(([k, y]) => ({ x: Math.log2(Number(k)), y }));
      return [{ name: e.of, points: points.sort((a, b) => a.x - b.x) }];
    });
    const options = { marks: powersOfTwo(series), range: [0, 1] } as const;
    return curve(`${escapeHtml(task)}: ${name} by K`, series, options);
  });
  return drawn.join("");
}

/** Accuracy of a task by the mean tokens of an answer, one point a checkpoint, fewest tokens first. */
export function tokenFrontier(
  all: readonly { of: string; summaries: readonly TaskSummary[] }[],
  task: string,
): { of: string; tokens: number; accuracy: number }[] {
  const points = all.flatMap(({ of, summaries }) =>
    summaries.flatMap((s) =>
      s.kind === "problems" && s.task === task ? [{ of, tokens: s.length, accuracy: s.accuracy.mean }] : [],
    ),
  );
  return points.sort((a, b) => a.tokens - b.tokens);
}

/** The frontier as a chart and its points as a note; nothing for fewer than three checkpoints. */
function frontier(all: readonly Evaluation[], task: string): string {
  const points = tokenFrontier(all, task);
  if (points.length < 3) return "";
  const series = [{ name: "checkpoints", points: points.map(({ tokens: x, accuracy: y }) => ({ x, y })) }];
  const named = points.map(({ of, tokens, accuracy }) => `${of} ${tokens.toFixed(1)}: ${percent(accuracy)}`);
  return `<div class="charts">${curve(`${escapeHtml(task)}: accuracy by tokens an answer`, series)}</div>
<p class="note">Tokens an answer and accuracy: ${escapeHtml(named.join(" · "))}</p>`;
}

/** A few problems with the first answer of each checkpoint: those that the last one gets right first. */
function answers(all: readonly Evaluation[], task: string): string {
  const firsts = all.map((e) => {
    const rows = readJsonl<EvalRow>(join(e.folder.path, "samples.jsonl"));
    const own = rows.filter((r): r is SampleRow => r.kind === "sample" && r.task === task && r.sample === 0);
    return new Map(own.map((row) => [row.id, row]));
  });
  const right = (row?: SampleRow) => (row?.verdict === "correct" ? 1 : 0);
  const gain = (id: string) => right(firsts.at(-1)!.get(id)) - right(firsts[0]!.get(id));
  const ids = [...firsts[0]!.keys()].sort((a, b) => gain(b) - gain(a)).slice(0, 3);
  const rows = ids.map((id) => [
    `<pre>${escapeHtml(firsts[0]!.get(id)!.prompt.slice(-200))}</pre>`,
    ...firsts.map((first) => {
      const row = first.get(id);
      if (!row) return "";
      // What a base model goes on to write after its answer is another matter.
      const written = row.completion.trim().split("\n\n")[0]!.slice(0, 300);
      return `<pre>${escapeHtml(written)}</pre>${row.verdict === "correct" ? "✓ right" : `✗ ${escapeHtml(row.verdict)}`}`;
    }),
  ]);
  const raw = [...rows[0]!.keys()];
  return table(["problem", ...all.map((e) => e.of)], rows, raw);
}

/** Tables and curves of all evaluations; nothing for pipelines without one. */
export function evaluationsOverview(folders: readonly StageFolder[]): string {
  const all = evaluations(folders);
  if (all.length === 0) return "";
  const [header] = summaryTable([]);
  const rows = all.flatMap(({ of, folder, summaries }) =>
    summaryTable(summaries)
      .slice(1)
      .map((row) => [`<a href="${folder.link}">${escapeHtml(of)}</a>`, ...row]),
  );
  const shared = sharedTasks(all).map(
    (task) =>
      `<div class="charts">${curves(all, task)}</div>${frontier(all, task)}<h3>First answers</h3>${answers(all, task)}`,
  );
  return `<h2>Evaluation</h2>${table(["checkpoint", ...header!], rows, [0])}${shared.join("")}`;
}
