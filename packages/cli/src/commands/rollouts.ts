// `nsa rollouts`: recorded outputs of a GRPO run on a page with keys, as text, or as JSON lines; labels of a person.
import { join } from "node:path";
import { ExitCode, findRun, NsaError } from "@nsa/core";
import {
  groupsOf,
  inRange,
  LabelFile,
  labelsInForce,
  type RolloutFilter,
  type RolloutGroup,
  RolloutStore,
  stepsOf,
} from "@nsa/rl";
import { figure } from "../view/format.ts";

export interface RolloutOptions extends RolloutFilter {
  runs: string;
  label?: boolean;
  /** Prints a person's labels of this kind instead of outputs. */
  labels?: "verdict" | "preference";
  json?: boolean;
}

function nothing(what: string, why: string, fix: string, exitCode: ExitCode): NsaError {
  return new NsaError({ code: "rollouts_none", what, why, fix, exitCode });
}

/** The run's recorded steps. Throws NsaError `rollouts_none` (exit 3) where there is none that the filter lets through. */
function openSteps(run: string, store: RolloutStore, filter: RolloutFilter): number[] {
  const steps = stepsOf(store, filter);
  if (steps.length > 0) return steps;
  const all = store.steps();
  throw nothing(
    `no recorded outputs${filter.step === undefined ? "" : ` of step ${filter.step}`} in ${run}`,
    all.length > 0
      ? `steps ${all[0]} to ${all.at(-1)} are there`
      : "only `nsa grpo` records outputs, and not where rollout.keep_rollouts is 0",
    all.length > 0
      ? "name one of these steps"
      : "name a run of `nsa grpo` with rollout.keep_rollouts all or a number",
    ExitCode.data,
  );
}

const oneLine = (text: string) => text.replace(/\s+/g, " ").trim();

function printGroup({ step, id, question, answer, outputs }: RolloutGroup): void {
  console.log(`step ${step}\t${id}\t${oneLine(question)}\tgold ${oneLine(answer)}`);
  for (const o of outputs) {
    const state = o.fault ?? (o.discarded ? "discarded" : o.learned ? "" : "not learned");
    const cells = [
      `  #${o.output}`,
      `reward ${o.reward === null ? "–" : figure(o.reward)}`,
      `advantage ${figure(o.advantage)}`,
      `${o.tokens} tokens`,
      oneLine(o.completion),
    ];
    console.log([...cells, ...(state ? [state] : [])].join("\t"));
  }
}

/** One object an output; of those in the wanted range alone. */
function printRows({ step, outputs }: RolloutGroup, filter: RolloutFilter): void {
  for (const output of outputs) if (inRange(output, filter)) console.log(JSON.stringify({ step, ...output }));
}

/** Throws NsaError `rollouts_none` (exit 3), `not_a_terminal` (exit 2), and as the store. */
export async function showRollouts(which: string, options: RolloutOptions): Promise<void> {
  const run = findRun(options.runs, which);
  if (options.labels) return printLabels(run.path, options.labels);
  const store = new RolloutStore(join(run.path, "rollouts"));
  const steps = openSteps(run.path, store, options);
  const load = (step: number) => groupsOf(store, step, options);
  const isTerminal = process.stdin.isTTY === true && process.stdout.isTTY === true;
  if (options.label && (options.json || !isTerminal))
    throw new NsaError({
      code: "not_a_terminal",
      what: "--label without a terminal",
      why: "labels are given by keys on the page of `nsa rollouts`",
      fix: "run it in a terminal, without --json",
      exitCode: ExitCode.usage,
    });
  if (options.json || !isTerminal) {
    let shown = 0;
    for (const step of steps)
      for (const group of load(step)) {
        shown++;
        if (options.json) printRows(group, options);
        else printGroup(group);
      }
    if (shown === 0) throw noneMatches(run.path);
    return;
  }
  const [{ browse }, { openBrowser }] = await Promise.all([
    import("../view/rollouts/mount.tsx"),
    import("../view/rollouts/state.ts"),
  ]);
  const first = openBrowser(steps, load, options.label === true);
  if (!first) throw noneMatches(run.path);
  await browse({ first, load, labels: new LabelFile(labelsOf(run.path), () => new Date()) });
}

/** Rows in force for `nsa reward` and `nsa dpo`, one JSON object each. Throws NsaError `rollouts_none` (exit 3). */
function printLabels(run: string, kind: "verdict" | "preference"): void {
  const rows = labelsInForce(new LabelFile(labelsOf(run), () => new Date()).read(), kind);
  if (rows.length === 0)
    throw nothing(
      `no ${kind} in ${labelsOf(run)}`,
      "nobody has given one",
      "give labels with `nsa rollouts RUN --label`",
      ExitCode.data,
    );
  for (const row of rows) console.log(JSON.stringify(row));
}

const labelsOf = (run: string) => join(run, "labels.jsonl");

const noneMatches = (run: string) =>
  nothing(
    `no recorded output of ${run} matches`,
    "--question, --min-reward and --max-reward leave none",
    "widen the filter",
    ExitCode.data,
  );
