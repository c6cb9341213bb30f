// Tables, curves and heat maps of `nsa eval`, from the run's summary.json.
import { join } from "node:path";
import { readJsonl, readRunJson } from "@nsa/core";
import type {
  EvalRow,
  NeedleSummary,
  PositionsSummary,
  ProblemsSummary,
  SampleRow,
  TaskSummary,
} from "@nsa/eval";
import { curve, escapeHtml, heatMap, percent, powersOfTwo, type Series, table } from "@nsa/report";

/** Header and cells of the summary table; also what the terminal prints. */
export function summaryTable(summaries: readonly TaskSummary[]): string[][] {
  const scored = summaries.some((s) => s.kind === "problems" && s.rewardAtK);
  const base = baseTable(summaries);
  if (!scored) return base;
  const best = summaries.map((s) => (s.kind === "problems" ? bestOfK(s) : ["", ""]));
  const heads = ["best of K by log-probability", "best of K by the reward model"];
  return base.map((row, i) => [...row, ...(i === 0 ? heads : best[i - 1]!)]);
}

/** How often the best of the most answers is right, by log-probability and by the reward model's score. */
function bestOfK({ likeliestAtK, rewardAtK }: ProblemsSummary): string[] {
  return [
    ["rm_at", likeliestAtK],
    ["reward_at", rewardAtK ?? {}],
  ].map(([name, values]) => {
    const last = Object.entries(values!)
      .sort((a, b) => Number(a[0]) - Number(b[0]))
      .at(-1);
    return last ? `${name}_${last[0]} ${percent(last[1])}` : "";
  });
}

function baseTable(summaries: readonly TaskSummary[]): string[][] {
  const header = ["task", "n", "accuracy", "95 % interval", "format", "unparsed", "tokens"];
  const rows = summaries.map((s): string[] => {
    if (s.kind === "positions")
      return [s.task, String(s.sequences), `perplexity ${s.total.toFixed(2)}`, "", "", "", ""];
    if (s.kind === "needle") {
      return [
        s.task,
        String(s.lengths.length * s.depths.length),
        `found ${percent(s.accuracy)}`,
        "",
        "",
        "",
        "",
      ];
    }
    const { mean, low, high } = s.accuracy;
    const head = [s.task, String(s.problems), percent(mean), `${percent(low)} – ${percent(high)}`];
    if (s.kind === "choice") return [...head, `per byte ${percent(s.accuracyPerByte.mean)}`, "", ""];
    return [...head, percent(s.formatRate), percent(s.unparsed), s.length.toFixed(0)];
  });
  return [header, ...rows];
}

function atK(s: ProblemsSummary): string {
  const series = (
    [
      ["Pass@K", s.passAtK],
      ["Maj@K", s.majAtK],
      ["likeliest of K", s.likeliestAtK],
      ...(s.rewardAtK ? [["best of K by the reward model", s.rewardAtK] as const] : []),
    ] as const
  ).map(([name, values]): Series => {
    const points = Object.entries(values).map(([k, y]) => ({ x: Math.log2(Number(k)), y }));
    return { name, points: points.sort((a, b) => a.x - b.x) };
  });
  const options = { marks: powersOfTwo(series), range: [0, 1] } as const;
  return curve(`${escapeHtml(s.task)}: accuracy by K`, series, options);
}

function calibration(s: ProblemsSummary): string {
  if (!s.calibration) return "";
  const { bins, error } = s.calibration;
  const points = bins.map((b) => ({ x: b.share, y: b.accuracy }));
  const ideal = bins.map((b) => ({ x: b.share, y: b.share }));
  const title = `${escapeHtml(s.task)}: accuracy by majority share, error ${error.toFixed(3)}`;
  return curve(title, [
    { name: "majority", points },
    { name: "ideal", points: ideal },
  ]);
}

function details(s: ProblemsSummary): string {
  const rows = detailTable(s).map(([name, value]) => `<tr><td>${name}</td><td>${value}</td></tr>`);
  return `<table><caption>${escapeHtml(s.task)}</caption>${rows.join("")}</table>`;
}

/** What the summary table has no room for: estimators by K, length limit, language, calibration, programs. */
export function detailTable(s: ProblemsSummary): string[][] {
  const ks = Object.keys(s.passAtK).sort((a, b) => Number(a) - Number(b));
  const byK = (name: string, values: Record<string, number>) =>
    ks.map((k) => [`${name.replace("K", k)}`, percent(values[k]!)]);
  return [
    ...(s.samples > 1
      ? [
          ...byK("Pass@K", s.passAtK),
          ...byK("Maj@K", s.majAtK),
          ...byK("RM@K by log-probability", s.likeliestAtK),
          ...(s.rewardAtK ? byK("RM@K by the reward model", s.rewardAtK) : []),
        ]
      : []),
    ...(s.greedy
      ? [["greedy answers right", `${percent(s.greedy.accuracy.mean)}, echoes ${percent(s.greedy.echoes)}`]]
      : []),
    ["samples of a problem", String(s.samples)],
    // Rows of earlier versions have no echoes counted.
    ...(s.echoes === undefined
      ? []
      : [["answers that repeat the question or leave arithmetic undone", percent(s.echoes)]]),
    ["met the length limit", percent(s.truncated)],
    ...(s.languageShare === undefined ? [] : [["in the task's language", percent(s.languageShare)]]),
    ...(s.calibration ? [["calibration error of the majority", s.calibration.error.toFixed(3)]] : []),
    ...(s.programs ? [["programs run, ended well", `${s.programs.run}, ${percent(s.programs.ok)}`]] : []),
  ];
}

function needle(s: NeedleSummary): string {
  const axes = {
    columns: s.lengths.map(String),
    rows: s.depths.map((d) => `${Math.round(d * 100)} %`),
    columnTitle: "length, tokens",
    rowTitle: "depth",
  };
  return (
    heatMap({ title: `${escapeHtml(s.task)}: share found`, values: s.found, ...axes }) +
    heatMap({
      title: `${escapeHtml(s.task)}: gain of log p by the fact, nats per token`,
      values: s.gain,
      ...axes,
    })
  );
}

function positions(s: PositionsSummary): string {
  const points = s.perplexity.map((y, i) => ({ x: (i + 0.5) / s.perplexity.length, y }));
  return curve(`${escapeHtml(s.task)}: perplexity by position (share of the context)`, [
    { name: "perplexity", points },
  ]);
}

const SHOWN = 6;

/** A few answers of every verdict and task: what was asked, written, read and expected. */
function answers(rows: readonly EvalRow[]): string {
  const seen = new Map<string, number>();
  const shown = rows.filter((row): row is SampleRow => {
    if (row.kind !== "sample") return false;
    const key = `${row.task} ${row.verdict}`;
    seen.set(key, (seen.get(key) ?? 0) + 1);
    return seen.get(key)! <= SHOWN;
  });
  if (shown.length === 0) return "";
  const cells = shown.map((r) => {
    const text = [r.prompt.slice(-600), r.completion]
      .map((t) => `<td><pre>${escapeHtml(t)}</pre></td>`)
      .join("");
    return `<tr><td>${escapeHtml(r.task)}</td>${text}<td>${escapeHtml(r.answer)}</td><td>${escapeHtml(r.gold)}</td><td>${r.verdict}: ${escapeHtml(r.why)}</td></tr>`;
  });
  const header = ["task", "prompt (its end)", "answer as written", "read as", "gold", "verdict"];
  return `<h2>Answers</h2><table><tr>${header.map((h) => `<th>${h}</th>`).join("")}</tr>${cells.join("")}</table>`;
}

/** The evaluation's part of a report; nothing for runs of other stages. */
export function evaluationSections(runDir: string): string {
  const summaries = readRunJson(runDir, "summary.json") as TaskSummary[] | null;
  if (!Array.isArray(summaries)) return "";
  const [header, ...rows] = summaryTable(summaries);
  const charts = summaries.map((s) => {
    if (s.kind === "problems") return atK(s) + calibration(s) + details(s);
    if (s.kind === "needle") return needle(s);
    return s.kind === "positions" ? positions(s) : "";
  });
  const samples = readJsonl<EvalRow>(join(runDir, "samples.jsonl"));
  return `${table(header!, rows)}<div class="charts">${charts.join("")}</div>${answers(samples)}`;
}
