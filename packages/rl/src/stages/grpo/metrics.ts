// Metrics of a rollout: rewards and their parts, pass rate, lengths, reflective words, groups without a signal.
import { meanStd } from "../../algorithm/advantages/kind.ts";
import { labelsOf } from "../../rewards/score.ts";
import { reflectiveWords } from "../../rewards/text.ts";
import type { Rollout } from "./rollout.ts";

const mean = (xs: readonly number[]) => meanStd(xs).mean;

/** Metrics over all outputs of a step, those of discarded groups included: a selection would flatter the reward. */
export function rolloutMetrics(rollout: Rollout): Record<string, number> {
  const rows = rollout.outputs.map((o) => o.row);
  const valid = rows.filter((row) => Number.isFinite(row.reward.total));
  const total = meanStd(valid.map((row) => row.reward.total));
  const lengths = (of: (row: (typeof rows)[number]) => boolean) => rows.filter(of).map((row) => row.tokens);
  const [all, ended, cut] = [
    lengths(() => true),
    lengths((row) => row.finish === "stop"),
    lengths((row) => row.finish === "length"),
  ];
  const metrics: Record<string, number> = {
    "reward/mean": total.mean,
    "reward/std": total.std,
    "reward/quarantined": rows.length - valid.length,
    "reward/echo_share": mean(rows.map((row) => (row.echo ? 1 : 0))),
    "rollout/zero_variance_share": rollout.flatGroups / rollout.groups,
    "rollout/questions": rollout.groups,
    "completion/length_mean": mean(all),
    "completion/length_max": Math.max(...all),
    "completion/truncated_share": cut.length / all.length,
  };
  const masses = rollout.outputs.flatMap(({ sample }) => sample.keptLogmass);
  // Without truncated sampling all of it is kept.
  if (masses.some((x) => x < -1e-6)) metrics["policy/kept_mass_mean"] = mean(masses.map(Math.exp));
  // A mean over none is no number to draw.
  if (ended.length > 0) metrics["completion/terminated_length_mean"] = mean(ended);
  if (cut.length > 0) metrics["completion/truncated_length_mean"] = mean(cut);
  for (const label of labelsOf(valid.map((row) => row.reward))) {
    // Of the outputs that it scored: a reward may be for some parts of the task alone.
    const part = meanStd(valid.flatMap((row) => row.reward.parts[label] ?? []));
    metrics[`reward/${label}`] = part.mean;
    metrics[`reward/${label}_std`] = part.std;
  }
  if (rows.some((row) => row.calls !== undefined)) {
    const calls = rows.reduce((sum, row) => sum + (row.calls ?? 0), 0);
    const failed = rows.reduce((sum, row) => sum + (row.failedCalls ?? 0), 0);
    metrics["tools/calls_mean"] = calls / rows.length;
    metrics["tools/failed_share"] = failed / Math.max(1, calls);
    metrics["tools/used_share"] = mean(rows.map((row) => (row.calls ? 1 : 0)));
  }
  const passed = metrics["reward/accuracy"] ?? metrics["reward/code"];
  if (passed !== undefined) metrics["rollout/pass_rate"] = passed;
  const counts = rows.map((row) => reflectiveWords(row.completion));
  metrics["completion/reflective_words"] = mean(
    counts.map((c) => Object.values(c).reduce((a, b) => a + b, 0)),
  );
  for (const word of Object.keys(counts[0] ?? {}))
    metrics[`completion/words/${word}`] = mean(counts.map((c) => c[word]!));
  return metrics;
}

/** Tokens per second and shares of a step; times in ms. */
export function timeMetrics(
  { outputs, sampling, scoring }: Rollout,
  updating: number,
  recording: number,
): Record<string, number> {
  const tokens = outputs.reduce((n, o) => n + o.row.tokens, 0);
  const all = sampling + scoring + updating;
  return {
    "perf/rollout_tokens_per_sec": tokens / (sampling / 1000),
    "perf/update_tokens_per_sec": tokens / (updating / 1000),
    "perf/step_seconds": all / 1000,
    "perf/rollout_share": sampling / all,
    "perf/scoring_share": scoring / all,
    "perf/update_share": updating / all,
    "perf/recording_share": recording / (all + recording),
  };
}
