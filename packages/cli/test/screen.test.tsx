// The screen as text, from events.
import type { StageEvent } from "@nsa/core";
import { grpoStage } from "@nsa/rl";
import { pretrainStage } from "@nsa/train";
import { render } from "ink-testing-library";
import { expect, test } from "vitest";
import { Screen } from "../src/view/screen.tsx";
import { initialState, reduce, type ScreenState, type Shown, secondsLeft } from "../src/view/state.ts";

/** Events one second apart. */
function after(events: StageEvent[], shown: Shown = pretrainStage): ScreenState {
  return events.reduce(
    (state, event, i) => reduce(state, event, i + 1),
    initialState("pretrain", "runs/x", 0, shown),
  );
}

/** What stands on a screen of 100 columns at `time`. */
function text(state: ScreenState, time = state.time, width = 100, height = 40): string {
  const { lastFrame, unmount } = render(<Screen state={state} time={time} width={width} height={height} />);
  const frame = lastFrame()!;
  unmount();
  return frame;
}

const step = (n: number, metrics: Record<string, number>): StageEvent => ({
  type: "step",
  step: n,
  totalSteps: 10,
  metrics,
});
const start: StageEvent = {
  type: "start",
  totalSteps: 10,
  step: 0,
  info: { parameters: 1.5e6, device: "cpu" },
};

test("a_pretraining_screen_shows_progress_eta_figures_curve_sample_and_checkpoint", () => {
  const shown = text(
    after([
      start,
      step(1, {
        "train/loss": 6.5,
        "train/grad_norm": 1.25,
        "train/lr": 3e-4,
        "perf/tokens_per_sec": 12_300,
      }),
      step(2, {
        "train/loss": 5.5,
        "train/grad_norm": 1.5,
        "train/lr": 3e-4,
        "perf/tokens_per_sec": 12_300,
        "perf/mfu": 0.41,
      }),
      { type: "eval", step: 2, metrics: { "val/loss": 5.75 } },
      { type: "sample", step: 2, prompt: "Tom ", text: "has\n\u001b[2J4 apples" },
      { type: "checkpoint", step: 2, path: "c" },
      { type: "log", level: "warn", text: "be careful" },
    ]),
  );
  for (const part of ["2/10", "1.5M parameters", "loss 5.5", "val loss 5.75", "grad norm 1.5", "lr 3.00e-4"])
    expect(shown).toContain(part);
  for (const part of ["tokens/s 12.3k", "MFU 41 %", "Tom has⏎·[2J4 apples", "saved step 2", "! be careful"])
    expect(shown).toContain(part);
  expect(shown).toMatch(/[\u2801-\u28ff]/);
});

test("a_reinforcement_screen_shows_rewards_with_their_parts_and_a_scored_sample", () => {
  const metrics = {
    "reward/mean": 0.75,
    "reward/std": 0.5,
    "reward/accuracy": 0.5,
    "reward/accuracy_std": 0.25,
    "rollout/pass_rate": 0.5,
    "kl/mean": 0.01,
    "policy/entropy": 1.2,
    "policy/clip_fraction_high": 0.02,
    "completion/length_mean": 31,
    "perf/rollout_share": 0.6,
  };
  const shown = text(
    after(
      [
        start,
        step(1, metrics),
        step(2, metrics),
        { type: "sample", step: 2, prompt: "1+1=", text: "2", reward: 2 },
      ],
      grpoStage,
    ),
  );
  for (const part of ["reward 0.75 ± 0.5", "accuracy 0.5 ± 0.25", "pass rate 50 %", "KL 0.01", "entropy 1.2"])
    expect(shown).toContain(part);
  // The spread of the sum is none of its parts.
  expect(shown).not.toMatch(/\bstd\b|_std/);
  for (const part of ["clipped high 2 %", "length 31", "time in rollout 60 %", "reward 2", "1+1=2"])
    expect(shown).toContain(part);
});

test("a_reward_that_no_longer_counts_is_not_shown", () => {
  const counted = { "reward/mean": 0.5, "reward/format": 0.25, "reward/format_std": 0.125 };
  const shown = (...steps: Record<string, number>[]) =>
    text(after([start, ...steps.map((metrics, i) => step(i + 1, metrics))], grpoStage));
  expect(shown(counted)).toMatch(/format +0\.25/);
  expect(shown(counted, { "reward/mean": 0.75 })).not.toMatch(/format/);
});

test("a_stage_without_losses_or_rewards_shows_what_it_measures", () => {
  const shown = text(
    after(
      [
        start,
        step(1, { "eval/step_accuracy": 0.5, "perf/tokens_per_sec": 2000 }),
        { type: "eval", step: 1, metrics: { "eval/gsm8k/accuracy": 0.25 } },
      ],
      {},
    ),
  );
  for (const part of ["tokens/s 2k", "step_accuracy 0.5", "gsm8k/accuracy 0.25"])
    expect(shown).toContain(part);
});

test("the_time_left_comes_from_the_pace_of_this_process_and_runs_down_between_steps", () => {
  const resumed: StageEvent = { type: "start", totalSteps: 10, step: 4 };
  const state = after([resumed, step(5, {}), step(6, {})]);
  expect(secondsLeft(state, 3)).toBe(4);
  expect(secondsLeft(state, 3.5)).toBe(3.5);
  expect(secondsLeft(after([resumed]), 5)).toBeNaN();
});

test("asking_to_stop_is_answered_on_the_screen", () => {
  expect(text({ ...after([start]), phase: "stopping" })).toContain("Ctrl-C again to end at once");
});

test("no_line_is_wider_than_the_terminal", () => {
  const loss = Array.from({ length: 300 }, (_, i) => step(i, { "train/loss": 1 / (i + 1), "val/loss": 1 }));
  for (const width of [40, 80, 140]) {
    const lines = text(after([start, ...loss]), 400, width).split("\n");
    expect(Math.max(...lines.map((l) => l.length))).toBeLessThanOrEqual(width);
  }
});

test("a_low_terminal_gets_a_lower_picture", () => {
  const loss = Array.from({ length: 30 }, (_, i) => step(i, { "train/loss": 1 / (i + 1) }));
  const state = after([start, ...loss, { type: "sample", step: 3, prompt: "Tom ", text: "ran" }]);
  const rows = (height: number) => text(state, state.time, 100, height).split("\n").length;
  expect(rows(18)).toBeLessThan(rows(25));
  expect(rows(25)).toBe(rows(40) - 3);
  expect(rows(18)).toBeLessThanOrEqual(14);
});

test("curves_of_long_runs_stay_short_and_keep_their_ends", () => {
  const state = after([start, ...Array.from({ length: 5000 }, (_, i) => step(i, { "train/loss": i }))]);
  const points = state.curves["train/loss"]!;
  expect(points.length).toBeLessThanOrEqual(1024);
  expect(points[0]!.x).toBe(0);
  expect(points.at(-1)!.x).toBeGreaterThan(4990);
});

test("a_start_without_a_known_number_of_steps_counts_none", () => {
  const shown = text(after([]), 3);
  expect(shown).toContain("starting …");
  expect(shown).not.toMatch(/0\/0|gone|left/);
  expect(text(after([start]))).toContain("0/10");
});
