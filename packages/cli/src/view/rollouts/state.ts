// The state of `nsa rollouts`: which step, question and output are looked at, and what the keys do to it. Files are the caller's.
import type { RolloutGroup, ShownOutput } from "@nsa/rl";

/** A key by its name, as the terminal gives it. */
export type Key = "left" | "right" | "up" | "down" | "[" | "]" | "r" | "w" | "p" | "q" | "escape";

/** A label that a key asks for. */
export type LabelRequest =
  | { kind: "verdict"; group: RolloutGroup; output: ShownOutput; verdict: "right" | "wrong" }
  | { kind: "preference"; group: RolloutGroup; better: ShownOutput; worse: ShownOutput };

export interface BrowserState {
  steps: readonly number[];
  /** Index of the step. */
  at: number;
  /** Groups of the step that the filter lets through. */
  groups: readonly RolloutGroup[];
  group: number;
  output: number;
  /** Output that was marked as the better one. */
  better?: number;
  labeling: boolean;
  message: string;
  done: boolean;
}

export interface Pressed {
  state: BrowserState;
  label?: LabelRequest;
}

/** Groups of a step. */
export type LoadStep = (step: number) => readonly RolloutGroup[];

/** The first step, from `at` on in the direction, that has a group; undefined where none has. */
function stepWithGroups(state: BrowserState, at: number, direction: 1 | -1, load: LoadStep) {
  for (let i = at; i >= 0 && i < state.steps.length; i += direction) {
    const groups = load(state.steps[i]!);
    if (groups.length > 0) return { at: i, groups };
  }
  return undefined;
}

/** Opens at the last recorded step; undefined where no step has a group that the filter lets through. */
export function openBrowser(
  steps: readonly number[],
  load: LoadStep,
  labeling: boolean,
): BrowserState | undefined {
  const empty = { steps, at: 0, groups: [], group: 0, output: 0, labeling, message: "", done: false };
  const found = stepWithGroups(empty, steps.length - 1, -1, load);
  return found && { ...empty, ...found };
}

function moveStep(state: BrowserState, direction: 1 | -1, load: LoadStep, last = false): BrowserState {
  const found = stepWithGroups(state, state.at + direction, direction, load);
  if (!found)
    return { ...state, message: direction > 0 ? "this is the last step" : "this is the first step" };
  return { ...state, ...found, group: last ? found.groups.length - 1 : 0, output: 0, better: undefined };
}

function moveGroup(state: BrowserState, direction: 1 | -1, load: LoadStep): BrowserState {
  const group = state.group + direction;
  if (group >= 0 && group < state.groups.length) return { ...state, group, output: 0, better: undefined };
  return moveStep(state, direction, load, direction < 0);
}

/** A label, or why there is none. */
function label(state: BrowserState, key: "r" | "w" | "p"): Pressed {
  if (!state.labeling) return { state: { ...state, message: "labels are written with --label" } };
  const group = state.groups[state.group]!;
  const output = group.outputs[state.output]!;
  const name = `output #${output.output}`;
  if (key !== "p") {
    const verdict = key === "r" ? "right" : "wrong";
    return {
      state: { ...state, message: `${name} is ${verdict}` },
      label: { kind: "verdict", group, output, verdict },
    };
  }
  if (state.better === undefined)
    return {
      state: { ...state, better: state.output, message: `${name} is better than … (p on the other one)` },
    };
  if (state.better === state.output)
    return { state: { ...state, better: undefined, message: "no preference" } };
  const better = group.outputs[state.better]!;
  return {
    state: { ...state, better: undefined, message: `output #${better.output} is better than ${name}` },
    label: { kind: "preference", group, better, worse: output },
  };
}

/** What a key does. */
export function press(before: BrowserState, key: Key, load: LoadStep): Pressed {
  const state = { ...before, message: "" };
  const { outputs } = state.groups[state.group]!;
  const move = (by: number) => (state.output + by + outputs.length) % outputs.length;
  switch (key) {
    case "q":
    case "escape":
      return { state: { ...state, done: true } };
    case "left":
    case "right":
      return { state: moveGroup(state, key === "left" ? -1 : 1, load) };
    case "[":
    case "]":
      return { state: moveStep(state, key === "[" ? -1 : 1, load) };
    case "up":
    case "down":
      return { state: { ...state, output: move(key === "up" ? -1 : 1) } };
    default:
      return label(state, key);
  }
}
