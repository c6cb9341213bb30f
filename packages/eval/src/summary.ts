// From rows to figures: one summary per task, plain data for tables, charts and comparisons.
import {
  bootstrapInterval,
  type Calibration,
  groupAnswers,
  languageShare,
  majAtKs,
  majorityCalibration,
  passAtK,
  rmAtK,
} from "@nsa/tasks";
import type { ChoiceRow, EvalRow, GreedyRow, NeedleRow, PositionRow, SampleRow } from "./rows.ts";

interface Interval {
  mean: number;
  low: number;
  high: number;
}

export interface ProblemsSummary {
  kind: "problems";
  task: string;
  problems: number;
  samples: number;
  /** Mean share of right answers with its 95 % bootstrap interval over problems. */
  accuracy: Interval;
  passAtK: Record<string, number>;
  majAtK: Record<string, number>;
  /** Accuracy of the likeliest of K answers, by mean log-probability. */
  likeliestAtK: Record<string, number>;
  /** How often the answer that the reward model scores best among k is right. */
  rewardAtK?: Record<string, number>;
  /** Share of answers that are marked as the task asks (box, tag, ####, final sentence). */
  formatRate: number;
  /** Share of answers that could not be read or decided. */
  unparsed: number;
  /** Share of answers that are the question's own expression, or arithmetic left undone; absent in older summaries. */
  echoes?: number;
  /** Of one greedy answer a problem: share of right ones, and of echoes; absent where the recipe does not ask for it. */
  greedy?: { accuracy: Interval; echoes: number };
  /** Share of answers that met the length limit, and mean tokens. */
  truncated: number;
  length: number;
  /** Share of answers in the task's language; absent where the task names none. */
  languageShare?: number;
  calibration?: Calibration;
  /** Programs run, and the share that ended well; absent where none was asked for. */
  programs?: { run: number; ok: number };
}

export interface ChoiceSummary {
  kind: "choice";
  task: string;
  problems: number;
  accuracy: Interval;
  /** With log-likelihoods divided by the options' bytes. */
  accuracyPerByte: Interval;
}

export interface NeedleSummary {
  kind: "needle";
  task: string;
  lengths: number[];
  depths: number[];
  /** [length][depth]: share found, and mean gain of log p by the fact, nats per token. */
  found: number[][];
  gain: number[][];
  accuracy: number;
}

export interface PositionsSummary {
  kind: "positions";
  task: string;
  sequences: number;
  /** Perplexity of each equal part of the context, and of all. */
  perplexity: number[];
  total: number;
}

export type TaskSummary = ProblemsSummary | ChoiceSummary | NeedleSummary | PositionsSummary;

const mean = (xs: readonly number[]) => xs.reduce((a, b) => a + b, 0) / xs.length;

function byId<T extends { id: string }>(rows: readonly T[]): T[][] {
  const groups = new Map<string, T[]>();
  for (const row of rows) {
    const group = groups.get(row.id);
    if (group) group.push(row);
    else groups.set(row.id, [row]);
  }
  return [...groups.values()];
}

const MIN_VOTES = 4;

const echoShare = (rows: readonly { echo?: true }[]) => mean(rows.map((r) => (r.echo ? 1 : 0)));

const summariseGreedy = (rows: readonly GreedyRow[]) => ({
  accuracy: bootstrapInterval(rows.map((r) => (r.verdict === "correct" ? 1 : 0))),
  echoes: echoShare(rows),
});

async function summariseSamples(
  task: string,
  rows: readonly SampleRow[],
  greedy: readonly GreedyRow[],
  language?: string,
): Promise<ProblemsSummary> {
  const groups = byId(rows);
  const n = Math.min(...groups.map((g) => g.length));
  const ks: number[] = [];
  for (let k = 1; k <= n; k *= 2) ks.push(k);
  const stats = groups.map((group) => {
    const own = group.slice(0, n);
    const answers = own.map((r) => (r.verdict === "unknown" && r.form === "none" ? "" : r.answer));
    const isRight = own.map((r) => r.verdict === "correct");
    const { counts, right } = groupAnswers(answers, isRight);
    const majority = majAtKs(counts, right, ks);
    return {
      majority,
      c: isRight.filter(Boolean).length,
      counts,
      right,
      isRight,
      scores: own.map((r) => r.logp),
      rewards: own.map((r) => r.reward ?? Number.NaN),
    };
  });
  const curve = (f: (s: (typeof stats)[number], k: number) => number) =>
    Object.fromEntries(ks.map((k) => [String(k), mean(stats.map((s) => f(s, k)))]));
  const votes = stats.map((s) => {
    const top = Math.max(...s.counts);
    const tied = s.counts.filter((c) => c === top).length;
    return { share: top / n, right: s.right >= 0 && s.counts[s.right] === top ? 1 / tied : 0 };
  });
  const ran = rows.some((r) => r.programs) ? rows.flatMap((r) => r.programs ?? []) : undefined;
  const marked = (r: SampleRow) => r.form !== "none" && r.form !== "last_value";
  return {
    kind: "problems",
    task,
    problems: groups.length,
    samples: n,
    accuracy: bootstrapInterval(stats.map((s) => s.c / n)),
    passAtK: curve((s, k) => passAtK(n, s.c, k)),
    majAtK: curve((s, k) => s.majority[ks.indexOf(k)]!),
    likeliestAtK: curve((s, k) => rmAtK(s.scores, s.isRight, k)),
    ...(rows.every((r) => r.reward !== undefined)
      ? { rewardAtK: curve((s, k) => rmAtK(s.rewards, s.isRight, k)) }
      : {}),
    formatRate: mean(rows.map((r) => (marked(r) ? 1 : 0))),
    unparsed: mean(rows.map((r) => (r.verdict === "unknown" ? 1 : 0))),
    echoes: echoShare(rows),
    ...(greedy.length > 0 ? { greedy: summariseGreedy(greedy) } : {}),
    truncated: mean(rows.map((r) => (r.finish === "length" ? 1 : 0))),
    length: mean(rows.map((r) => r.tokens)),
    ...(language
      ? {
          languageShare: await languageShare(
            rows.map((r) => r.completion),
            language,
          ),
        }
      : {}),
    ...(ran
      ? { programs: { run: ran.length, ok: mean(ran.map((p) => (p.status === "ok" ? 1 : 0))) || 0 } }
      : {}),
    ...(n >= MIN_VOTES ? { calibration: majorityCalibration(votes) } : {}),
  };
}

function summariseChoices(task: string, rows: readonly ChoiceRow[]): ChoiceSummary {
  const share = (f: (r: ChoiceRow) => string) =>
    bootstrapInterval(rows.map((r) => (f(r) === r.gold ? 1 : 0)));
  return {
    kind: "choice",
    task,
    problems: rows.length,
    accuracy: share((r) => r.answer),
    accuracyPerByte: share((r) => r.answerPerByte),
  };
}

function summariseNeedles(task: string, rows: readonly NeedleRow[]): NeedleSummary {
  const sorted = (f: (r: NeedleRow) => number) => [...new Set(rows.map(f))].sort((a, b) => a - b);
  const [lengths, depths] = [sorted((r) => r.length), sorted((r) => r.depth)];
  const grid = (f: (r: NeedleRow) => number) =>
    lengths.map((l) => depths.map((d) => mean(rows.filter((r) => r.length === l && r.depth === d).map(f))));
  return {
    kind: "needle",
    task,
    lengths,
    depths,
    found: grid((r) => (r.found ? 1 : 0)),
    gain: grid((r) => r.logp - r.logpWithout),
    accuracy: mean(rows.map((r) => (r.found ? 1 : 0))),
  };
}

function summarisePositions(task: string, rows: readonly PositionRow[]): PositionsSummary {
  const sum = (f: (r: PositionRow) => number[]) =>
    rows[0]!.nll.map((_, b) => rows.reduce((a, r) => a + f(r)[b]!, 0));
  const [nll, tokens] = [sum((r) => r.nll), sum((r) => r.tokens)];
  const all = (xs: number[]) => xs.reduce((a, b) => a + b, 0);
  return {
    kind: "positions",
    task,
    sequences: rows.length,
    perplexity: nll.map((x, b) => Math.exp(x / tokens[b]!)),
    total: Math.exp(all(nll) / all(tokens)),
  };
}

/** Summaries of all tasks that have rows, in order of appearance; `languages` by task name. */
export async function summarise(
  rows: readonly EvalRow[],
  languages: Readonly<Record<string, string | undefined>> = {},
): Promise<TaskSummary[]> {
  const tasks = [...new Set(rows.map((r) => r.task))];
  const out: TaskSummary[] = [];
  for (const task of tasks) {
    const own = rows.filter((r) => r.task === task);
    const of = <K extends EvalRow["kind"]>(kind: K) =>
      own.filter((r): r is Extract<EvalRow, { kind: K }> => r.kind === kind);
    if (of("sample").length > 0)
      out.push(await summariseSamples(task, of("sample"), of("greedy"), languages[task]));
    if (of("choice").length > 0) out.push(summariseChoices(task, of("choice")));
    if (of("needle").length > 0) out.push(summariseNeedles(task, of("needle")));
    if (of("positions").length > 0) out.push(summarisePositions(task, of("positions")));
  }
  return out;
}

/** The figures of a summary as metrics named `eval/<task>/<figure>`. */
export function summaryMetrics(summary: TaskSummary): Record<string, number> {
  const out: Record<string, number> = {};
  const put = (key: string, value: number) => {
    out[`eval/${summary.task}/${key}`] = value;
  };
  if (summary.kind === "positions") {
    put("perplexity", summary.total);
    return out;
  }
  if (summary.kind === "needle") {
    put("found", summary.accuracy);
    return out;
  }
  put("accuracy", summary.accuracy.mean);
  if (summary.kind === "choice") {
    put("accuracy_per_byte", summary.accuracyPerByte.mean);
    return out;
  }
  for (const [k, value] of Object.entries(summary.passAtK)) if (k !== "1") put(`pass_at_${k}`, value);
  for (const [k, value] of Object.entries(summary.majAtK)) if (k !== "1") put(`maj_at_${k}`, value);
  put("format_rate", summary.formatRate);
  put("unparsed", summary.unparsed);
  if (summary.echoes !== undefined) put("echo_share", summary.echoes);
  if (summary.greedy) {
    put("greedy_accuracy", summary.greedy.accuracy.mean);
    put("greedy_echo_share", summary.greedy.echoes);
  }
  put("length", summary.length);
  for (const [k, value] of Object.entries(summary.likeliestAtK)) if (k !== "1") put(`rm_at_${k}`, value);
  for (const [k, value] of Object.entries(summary.rewardAtK ?? {}))
    if (k !== "1") put(`reward_at_${k}`, value);
  if (summary.calibration) put("calibration_error", summary.calibration.error);
  if (summary.programs) {
    put("programs", summary.programs.run);
    put("programs_ok", summary.programs.ok);
  }
  if (summary.languageShare !== undefined) put("language_share", summary.languageShare);
  return out;
}
