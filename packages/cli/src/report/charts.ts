// The charts of a run: which metrics are drawn together, training first, then what RL has beside it.

import { curve, type Series } from "@nsa/report";
export type Row = Record<string, number | string> & { step: number };

export interface Chart {
  title: string;
  /** Metrics; one that ends in `*` stands for all that begin so, deviations left out. */
  names: string[];
  range?: [number, number];
}

/** What a report draws; a chart without a value is left out. */
export const CHARTS: Chart[] = [
  { title: "Loss, nats per token", names: ["train/loss", "val/loss"] },
  {
    title: "Held-out accuracy",
    names: ["eval/pass_at_1", "eval/greedy_pass_at_1", "eval/maj_at_16", "eval/pass_at_16"],
    range: [0, 1],
  },
  {
    title: "Accuracy in training and on held-out problems",
    names: ["rollout/pass_rate", "eval/pass_at_1"],
    range: [0, 1],
  },
  {
    title: "Share of answers that repeat the question or leave the arithmetic undone",
    names: ["reward/echo_share", "eval/echo_share", "eval/greedy_echo_share"],
    range: [0, 1],
  },
  { title: "Reward", names: ["reward/mean", "reward/std"] },
  { title: "Parts of the reward", names: ["reward/*"] },
  {
    title: "Output length, tokens",
    names: [
      "completion/length_mean",
      "completion/terminated_length_mean",
      "completion/truncated_length_mean",
    ],
  },
  {
    title: "Shares of outputs cut off and of groups without a signal",
    names: ["completion/truncated_share", "rollout/zero_variance_share"],
    range: [0, 1],
  },
  { title: "Entropy, nats", names: ["policy/entropy"] },
  { title: "KL to the reference", names: ["kl/mean"] },
  { title: "Importance ratio", names: ["policy/ratio_mean", "policy/ratio_max"] },
  { title: "Share of tokens clipped", names: ["policy/clip_fraction_low", "policy/clip_fraction_high"] },
  {
    title: "Sampler − trainer, log-probability",
    names: ["policy/sampler_difference_mean", "policy/sampler_difference_max"],
  },
  { title: "Reflective words an output", names: ["completion/reflective_words", "completion/words/*"] },
  { title: "Gradient norm", names: ["train/grad_norm"] },
  {
    title: "Tokens per second",
    names: ["perf/tokens_per_sec", "perf/rollout_tokens_per_sec", "perf/update_tokens_per_sec"],
  },
  {
    title: "Where the time goes",
    names: ["perf/rollout_share", "perf/scoring_share", "perf/update_share"],
    range: [0, 1],
  },
];

const summary = new Set(["reward/mean", "reward/std", "reward/quarantined", "reward/echo_share"]);

/** Metrics of a chart that the rows have, patterns spelled out; words that never occur are no line. */
export function namesOf({ names }: Chart, rows: readonly Row[]): string[] {
  return names.flatMap((name) => {
    if (!name.endsWith("*")) return [name];
    const known = new Set(rows.flatMap((r) => Object.keys(r).filter((k) => k.startsWith(name.slice(0, -1)))));
    return [...known].filter(
      (k) => !k.endsWith("_std") && !summary.has(k) && rows.some((r) => Number(r[k]) !== 0),
    );
  });
}

export function seriesOf(rows: readonly Row[], name: string): Series {
  const points = rows.flatMap((r) =>
    typeof r[name] === "number" ? [{ x: r.step, y: r[name] as number }] : [],
  );
  return { name, points };
}

export function drawChart(chart: Chart, rows: readonly Row[]): string {
  const series = namesOf(chart, rows).map((name) => seriesOf(rows, name));
  return curve(chart.title, series, { range: chart.range });
}
