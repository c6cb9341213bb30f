// What the screen knows: a pure function of the events so far, so that a test needs no terminal.
import type { Metrics, StageDefinition, StageEvent } from "@nsa/core";
import type { Point } from "./plot.ts";

/** What a stage's definition has of the screen. */
export type Shown = Pick<StageDefinition, "figures" | "plots">;

export interface ScreenState {
  shown: Shown;
  /** `pretrain`, `grpo` …, with the place in a pipeline where there is one. */
  title: string;
  runDir: string;
  phase: "starting" | "running" | "stopping" | "done";
  info: Record<string, number | string>;
  step: number;
  totalSteps: number;
  /** Step and clock (seconds) when this process began, to know its pace. */
  first?: { step: number; time: number };
  /** Clock of the last event, seconds. */
  time: number;
  /** Of the last step: what it does not have, such as a reward that no longer counts, is not shown as if it did. */
  metrics: Metrics;
  /** Latest value of every held-out metric. */
  held: Metrics;
  /** Curves by metric name. */
  curves: Record<string, Point[]>;
  sample?: { step: number; prompt: string; text: string; reward?: number };
  checkpoint?: { step: number; path: string };
  /** The last remarks, newest last. */
  notes: { level: "info" | "warn"; text: string }[];
}

const LONGEST_CURVE = 1024;
const NOTES = 4;

export function initialState(title: string, runDir: string, time: number, shown: Shown): ScreenState {
  return {
    shown,
    title,
    runDir,
    phase: "starting",
    info: {},
    step: 0,
    totalSteps: 0,
    time,
    metrics: {},
    held: {},
    curves: {},
    notes: [],
  };
}

/** Adds a point; a curve that grows too long keeps every other point. */
function extend({ curves, shown }: ScreenState, step: number, metrics: Metrics): ScreenState["curves"] {
  const out = { ...curves };
  for (const { metric: name } of shown.plots ?? []) {
    const y = metrics[name];
    if (y === undefined) continue;
    const points = [...(out[name] ?? []), { x: step, y }];
    out[name] = points.length > LONGEST_CURVE ? points.filter((_, i) => i % 2 === 0) : points;
  }
  return out;
}

/** The state after an event that came at `time` (seconds). */
export function reduce(state: ScreenState, event: StageEvent, time: number): ScreenState {
  const now = { ...state, time };
  switch (event.type) {
    case "start":
      return {
        ...now,
        phase: state.phase === "stopping" ? "stopping" : "running",
        info: event.info ?? {},
        step: event.step,
        totalSteps: event.totalSteps,
        first: { step: event.step, time },
      };
    case "step":
      return {
        ...now,
        phase: state.phase === "starting" ? "running" : state.phase,
        step: event.step,
        totalSteps: event.totalSteps,
        metrics: event.metrics,
        curves: extend(state, event.step, event.metrics),
      };
    case "eval":
      return {
        ...now,
        held: { ...state.held, ...event.metrics },
        curves: extend(state, event.step, event.metrics),
      };
    case "sample":
      return { ...now, sample: event };
    case "checkpoint":
      return { ...now, checkpoint: { step: event.step, path: event.path } };
    case "log":
      return { ...now, notes: [...state.notes, { level: event.level, text: event.text }].slice(-NOTES) };
    case "done":
      return { ...now, phase: "done", step: event.step, held: { ...state.held, ...event.metrics } };
  }
}

/** Seconds to the end at the pace so far; NaN before the first step. */
export function secondsLeft(state: ScreenState, time: number): number {
  if (!state.first || state.step <= state.first.step) return Number.NaN;
  // The pace ends at the last event: while a step runs, its share of the wait is not pace yet.
  const pace = (state.time - state.first.time) / (state.step - state.first.step);
  return Math.max(0, pace * (state.totalSteps - state.step) - (time - state.time));
}
