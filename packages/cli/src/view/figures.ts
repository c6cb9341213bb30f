// Which figures the screen shows of a stage, in which words; absent metrics give no line.
import type { Metrics } from "@nsa/core";
import { count, figure, percent } from "./format.ts";
import type { ScreenState } from "./state.ts";

type Row = [label: string, text: string];

function pick(metrics: Metrics, wanted: [name: string, label: string, as: (v: number) => string][]): Row[] {
  return wanted.flatMap(([name, label, as]): Row[] => {
    const value = metrics[name];
    return value === undefined ? [] : [[label, as(value)]];
  });
}

/** `0.42 ± 0.1` of a mean and its deviation. */
function withDeviation(metrics: Metrics, name: string, label: string): Row[] {
  const [mean, std] = [metrics[name], metrics[`${name}_std`] ?? metrics[name.replace(/mean$/, "std")]];
  if (mean === undefined) return [];
  return [
    [label, std === undefined || name.endsWith("_std") ? figure(mean) : `${figure(mean)} ± ${figure(std)}`],
  ];
}

function training({ metrics, held }: ScreenState): Row[] {
  return [
    ...pick(metrics, [["train/loss", "loss", figure]]),
    ...pick(held, [
      ["val/loss", "val loss", figure],
      ["val/bits_per_byte", "bits/byte", figure],
    ]),
    ...pick(metrics, [
      ["train/grad_norm", "grad norm", figure],
      ["train/lr", "lr", figure],
      ["perf/tokens_per_sec", "tokens/s", count],
      ["perf/mfu", "MFU", percent],
      ["perf/tflops", "TFLOP/s", figure],
    ]),
  ];
}

/** Parts of the reward: `reward/accuracy` and its like, without mean and deviation. */
function rewardParts(metrics: Metrics): Row[] {
  return Object.keys(metrics)
    .filter((name) => /^reward\/(?!mean$|std$|quarantined$|echo_share$)/.test(name) && !name.endsWith("_std"))
    .flatMap((name) => withDeviation(metrics, name, name.slice("reward/".length)));
}

function reinforcement({ metrics, held }: ScreenState): Row[] {
  return [
    ...withDeviation(metrics, "reward/mean", "reward"),
    ...rewardParts(metrics),
    ...pick(metrics, [["rollout/pass_rate", "pass rate", percent]]),
    ...pick(held, [
      ["eval/pass_at_1", "held-out pass@1", percent],
      ["eval/greedy_pass_at_1", "held-out, greedy", percent],
    ]),
    ...pick(metrics, [["reward/echo_share", "echoes", percent]]),
    ...pick(metrics, [
      ["kl/mean", "KL", figure],
      ["policy/entropy", "entropy", figure],
      ["completion/length_mean", "length", figure],
      ["completion/terminated_length_mean", "length, ended", figure],
      ["completion/truncated_length_mean", "length, cut", figure],
      ["completion/truncated_share", "truncated", percent],
      ["policy/clip_fraction_low", "clipped low", percent],
      ["policy/clip_fraction_high", "clipped high", percent],
      ["policy/ratio_mean", "ratio", figure],
      ["policy/ratio_max", "ratio max", figure],
      ["policy/sampler_difference_max", "sampler − trainer", figure],
      ["rollout/zero_variance_share", "no-signal groups", percent],
      ["completion/reflective_words", "reflective words", figure],
      ["train/grad_norm", "grad norm", figure],
      ["train/lr", "lr", figure],
      ["perf/rollout_tokens_per_sec", "rollout tokens/s", count],
      ["perf/update_tokens_per_sec", "update tokens/s", count],
      ["perf/rollout_share", "time in rollout", percent],
      ["perf/scoring_share", "time in scoring", percent],
      ["perf/update_share", "time in update", percent],
    ]),
  ];
}

/** Figures that no stage's list names, as they are: an evaluation's tasks, a new stage. */
const OTHERS = 16;

function measuring({ metrics, held }: ScreenState): Row[] {
  const all = { ...metrics, ...held };
  const speed = pick(metrics, [["perf/tokens_per_sec", "tokens/s", count]]);
  const names = Object.keys(all).filter((name) => !name.startsWith("perf/"));
  return [
    ...speed,
    ...names.slice(-OTHERS).map((name): Row => [name.replace(/^eval\//, ""), figure(all[name]!)]),
  ];
}

export function figures(state: ScreenState): Row[] {
  if ("reward/mean" in state.metrics) return reinforcement(state);
  return "train/loss" in state.metrics || "val/loss" in state.held ? training(state) : measuring(state);
}

/** The curves to draw, best first. */
export function plotted(state: ScreenState): { name: string; title: string }[] {
  const all =
    "reward/mean" in state.metrics
      ? [
          { name: "reward/mean", title: "reward" },
          { name: "eval/pass_at_1", title: "held-out pass@1" },
          { name: "completion/length_mean", title: "length" },
        ]
      : [
          { name: "train/loss", title: "loss" },
          { name: "val/loss", title: "val loss" },
        ];
  return all.filter(({ name }) => (state.curves[name]?.length ?? 0) > 1).slice(0, 2);
}
