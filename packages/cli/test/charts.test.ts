// The charts of a GRPO run: every figure that the run tells is drawn, reward parts and reflective words by their names.
import { expect, test } from "vitest";
import { CHARTS, drawChart, namesOf, type Row } from "../src/report/charts.ts";
import { gain } from "../src/report/report.ts";

const told = [
  "reward/mean",
  "reward/std",
  "reward/accuracy",
  "reward/format",
  "rollout/pass_rate",
  "rollout/zero_variance_share",
  "kl/mean",
  "policy/entropy",
  "policy/ratio_mean",
  "policy/ratio_max",
  "policy/clip_fraction_low",
  "policy/clip_fraction_high",
  "policy/sampler_difference_mean",
  "policy/sampler_difference_max",
  "completion/length_mean",
  "completion/terminated_length_mean",
  "completion/truncated_length_mean",
  "completion/truncated_share",
  "completion/reflective_words",
  "completion/words/wait",
  "perf/rollout_tokens_per_sec",
  "perf/update_tokens_per_sec",
  "perf/rollout_share",
  "perf/scoring_share",
  "perf/update_share",
];
const rows: Row[] = [1, 2, 3].map((step) => ({
  step,
  ...Object.fromEntries(told.map((name, i) => [name, i + step])),
  "reward/accuracy_std": 1,
  "completion/words/hmm": 0,
}));

test("every_figure_of_a_reinforcement_run_is_drawn", () => {
  const drawn = CHARTS.flatMap((chart) => namesOf(chart, rows));
  for (const name of told) expect(drawn, name).toContain(name);
  expect(drawn).not.toContain("reward/accuracy_std");
  expect(drawn).not.toContain("completion/words/hmm");
});

test("a_chart_of_many_parts_names_what_tells_them_apart", () => {
  const parts = rows.map((r) => ({ ...r, "reward/language": 1 }));
  const svg = drawChart(CHARTS.find((c) => c.title === "Parts of the reward")!, parts);
  expect(svg.match(/<path/g)).toHaveLength(3);
  for (const name of ["accuracy", "format", "language"]) expect(svg).toContain(`>${name}</text>`);
});

test("a_run_says_what_it_gained_on_held_out_problems", () => {
  const row = (step: number, pass: number, maj: number) =>
    ({ step, "eval/pass_at_1": pass, "eval/maj_at_4": pass, "eval/maj_at_64": maj }) as Row;
  const rows = [row(0, 0.3312, 0.51), { step: 1 } as Row, row(80, 0.8434, 0.9)];
  expect(gain(rows)).toBe(
    "<p>On held-out problems, step 0 to 80: pass@1 0.331 → 0.843, maj@64 0.510 → 0.900.</p>",
  );
  expect(gain(rows.slice(0, 2))).toBe("<p>On held-out problems, step 0: pass@1 0.331, maj@64 0.510.</p>");
  expect(gain(rows.slice(1, 2))).toBe("");
});
