// Sums over what was sampled. They are saved with each checkpoint, and every figure of the run is made of them.
import type { Metrics } from "@nsa/core";
import { type SampleRow, tokensOf } from "./rows.ts";

/** Sums by name. */
export type Tally = Record<string, number>;

export function addTally(to: Tally, more: Tally): void {
  for (const [name, value] of Object.entries(more)) to[name] = (to[name] ?? 0) + value;
}

/** Counts of one question's outputs; `kept` of them were written. `labels`: of the recipe's rewards, some of which may be for other parts. */
export function tallyQuestion(
  rows: readonly SampleRow[],
  kept: number,
  labels: readonly string[] = [],
): Tally {
  const of = (test: (row: SampleRow) => boolean) => rows.filter(test).length;
  const right = of(({ verdict }) => verdict === "right");
  // No rule decides such a question, so it is neither right nor wrong, and no share of right ones has it.
  const judged = rows.some((row) => row.judge !== undefined);
  const tally: Tally = {
    ...(judged ? { judged_questions: 1, judged_outputs: rows.length } : {}),
    questions: 1,
    outputs: rows.length,
    kept,
    right,
    unread: of(({ verdict }) => verdict === "unread"),
    faults: of(({ fault }) => fault !== undefined),
    truncated: of(({ finish }) => finish === "length"),
    tokens: rows.reduce((sum, row) => sum + tokensOf(row), 0),
    never: right === 0 && !judged ? 1 : 0,
    always: right === rows.length ? 1 : 0,
    reward: rows.reduce((sum, { reward }) => sum + (reward ?? 0), 0),
  };
  if (rows.some(({ calls }) => calls))
    Object.assign(tally, {
      calls: rows.reduce((sum, { calls = [] }) => sum + calls.length, 0),
      failed_calls: rows.reduce((sum, { calls = [] }) => sum + calls.filter((c) => c.failed).length, 0),
    });
  for (const { reward, parts } of rows) {
    if (reward === null) continue;
    for (const [label, value] of Object.entries(parts)) addTally(tally, { [`part/${label}`]: value });
    for (const label of labels) if (!(label in parts)) addTally(tally, { [`unscored/${label}`]: 1 });
  }
  return tally;
}

/** Figures of outputs for questions: shares of the outputs, and of the questions. */
export function outputMetrics(t: Tally): Metrics {
  const { questions = 0, outputs = 0, kept = 0, faults = 0, never = 0, always = 0 } = t;
  const ruled = {
    questions: questions - (t.judged_questions ?? 0),
    outputs: outputs - (t.judged_outputs ?? 0),
  };
  const share = (name: string) => t[name]! / outputs;
  const scored = outputs - faults;
  const metrics: Metrics = {
    "sample/questions": questions,
    "sample/outputs": outputs,
    "sample/kept": kept,
    ...(ruled.outputs > 0 ? { "sample/pass_rate": t.right! / ruled.outputs } : {}),
    "sample/unread_share": (t.unread! - (t.judged_outputs ?? 0)) / Math.max(1, ruled.outputs),
    "sample/faults": faults,
    ...(ruled.questions > 0
      ? {
          "sample/solved_once_share": (ruled.questions - never) / ruled.questions,
          "sample/never_solved_share": never / ruled.questions,
          "sample/always_solved_share": always / ruled.questions,
        }
      : {}),
    "completion/length_mean": share("tokens"),
    "completion/truncated_share": share("truncated"),
  };
  if (t.calls !== undefined) {
    metrics["tools/calls_mean"] = t.calls / outputs;
    metrics["tools/failed_share"] = t.failed_calls! / Math.max(1, t.calls);
  }
  for (const [name, count] of Object.entries(t))
    if (name.startsWith("left/")) metrics[`sample/left_out_${name.slice(5)}`] = count;
  if (scored > 0) {
    metrics["reward/mean"] = t.reward! / scored;
    for (const [name, sum] of Object.entries(t))
      if (name.startsWith("part/"))
        metrics[`reward/${name.slice(5)}`] = sum / (scored - (t[`unscored/${name.slice(5)}`] ?? 0));
  }
  return metrics;
}

/** Figures of roll-outs from steps. */
export function stepMetrics(t: Tally): Metrics {
  const { outputs = 0, steps = 0, rollouts = 0 } = t;
  return {
    "steps/outputs": outputs,
    "steps/count": steps,
    "steps/per_output": steps / outputs,
    "steps/rollouts": rollouts,
    "steps/hard_share": t.hard! / steps,
    "steps/soft_mean": t.soft! / steps,
    // Continuations alone: the last step of an output is judged by the output itself.
    ...(rollouts > 0
      ? { "sample/pass_rate": t.right! / rollouts, "completion/length_mean": t.tokens! / rollouts }
      : {}),
  };
}
