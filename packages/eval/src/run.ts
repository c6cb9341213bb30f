// `nsa eval`: a checkpoint answers the tasks of a recipe; rows go to samples.jsonl, figures to summary.json.
import { join } from "node:path";
import {
  atomicWriteFile,
  markProgress,
  progressFields,
  type Resize,
  readJsonl,
  readProgress,
  refuseOtherCount,
  type StageContext,
  type StageRunner,
  turn,
} from "@nsa/core";
import { findTask, readProblems, requireSandbox, STANDARD_LIBRARY_ONLY } from "@nsa/tasks";
import { anyRank, collectivesOf } from "@nsa/train";
import { z } from "zod";
import type { EvalConfig, EvalTask } from "./config.ts";
import { needleSteps, positionSteps } from "./long-context.ts";
import { evalMemory } from "./memory.ts";
import { refuseTooManyOutputs } from "./most-outputs.ts";
import { namesOf } from "./names.ts";
import { pairedEntries } from "./paired.ts";
import { choiceSteps, type EvalStep, familySteps, problemSteps } from "./problems.ts";
import type { EvalRow } from "./rows.ts";
import { openSession } from "./session.ts";
import { summarise, summaryMetrics, type TaskSummary } from "./summary.ts";

function stepsOf(given: EvalTask, index: number, config: EvalConfig, name: string): EvalStep[] {
  const spec = { ...given, name };
  const { dataDir, seed, sandbox } = config;
  const options = { dataDir, problems: config.engine.problems, seed, sandbox };
  switch (spec.kind) {
    case "problems":
      return problemSteps(spec, index, options);
    case "choice":
      return choiceSteps(spec, options);
    case "family":
      return familySteps(spec, index, options);
    case "needle":
      return needleSteps(spec);
    case "positions":
      return positionSteps(spec);
  }
}

/** Throws NsaError `eval_recipe_invalid` (exit 2) where more answers are asked together than can be held. */
function checkAnswers({ tasks, engine }: EvalConfig): void {
  for (const [i, t] of tasks.entries()) {
    if (t.kind !== "problems" && t.kind !== "family") continue;
    const products: [string, number][] = [
      [`engine.problems × tasks.${i}.samples`, engine.problems * t.samples],
    ];
    if (t.kind === "family")
      products.push([`tasks.${i}.questions × tasks.${i}.samples`, t.questions * t.samples]);
    refuseTooManyOutputs("eval_recipe_invalid", products);
  }
}

/** What a run will do, from the recipe and the tasks' records. */
export function estimateEval(config: EvalConfig, device?: string, resize?: Resize): Record<string, number> {
  checkAnswers(config);
  const names = namesOf(config.tasks);
  const steps = config.tasks.map((spec, index) => stepsOf(spec, index, config, names[index]!));
  const answers = config.tasks.map((t) => {
    if (t.kind === "family") return t.questions * t.samples;
    if (t.kind === "needle") return t.lengths.length * t.depths.length * t.trials;
    if (t.kind !== "problems") return 0;
    return readProblems(findTask(t.task), config.dataDir, t.limit).length * t.samples;
  });
  const scored = config.tasks.map((t) => {
    if (t.kind === "positions") return t.length * t.sequences;
    return t.kind === "needle" ? 2 * t.lengths.reduce((a, b) => a + b, 0) * t.depths.length * t.trials : 0;
  });
  const sum = (xs: number[]) => xs.reduce((a, b) => a + b, 0);
  return {
    tasks: config.tasks.length,
    steps: sum(steps.map(({ length }) => length)),
    answers: sum(answers),
    tokens_scored_long_context: sum(scored),
    ...evalMemory(config, steps, device, resize),
  };
}

/** `of`: how many steps there are; absent in files written before this field existed. */
const progressSchema = z.strictObject({ ...progressFields, of: z.number().int().min(0).optional() });

/** Steps that a checkpoint counts. Throws NsaError `checkpoint_corrupt`, `data_changed` (exit 3). */
function stepsDone(checkpoint: string, of: number): number {
  const state = readProgress(checkpoint, progressSchema);
  refuseOtherCount("steps of evaluation", state.of, of);
  return state.step;
}

function accuracySoFar(rows: readonly EvalRow[]): number | undefined {
  const scores = rows.flatMap((r) => {
    if (r.kind === "sample") return [r.verdict === "correct" ? 1 : 0];
    if (r.kind === "choice") return [r.answer === r.gold ? 1 : 0];
    return r.kind === "needle" ? [r.found ? 1 : 0] : [];
  });
  return scores.length > 0 ? scores.reduce((a: number, b) => a + b, 0) / scores.length : undefined;
}

/** Says how programs are run where that is not by bubblewrap. */
function warnOfSandbox(config: EvalConfig, context: StageContext): void {
  if (!config.tasks.some((t) => t.kind === "problems" && t.format !== "cot")) return;
  const way = requireSandbox(config.sandbox);
  if (way === "pyodide") context.log(STANDARD_LIBRARY_ONLY, "warn");
  if (way === "none") context.log("programs run without a sandbox, with your account's rights", "warn");
}

/** Runs the stage; a resumed run goes on behind the last step that was written. */
export const runEval: StageRunner<EvalConfig> = async (config, context) => {
  checkAnswers(config);
  const names = namesOf(config.tasks);
  const steps = config.tasks.flatMap((spec, index) => stepsOf(spec, index, config, names[index]!));
  warnOfSandbox(config, context);
  for (const { warning } of steps) if (warning !== undefined) context.log(warning, "warn");
  const collectives = collectivesOf(context);
  const writes = collectives.rank === 0;
  const session = await openSession(config, context, collectives);
  try {
    let done = context.resumeFrom ? stepsDone(context.resumeFrom, steps.length) : 0;
    if (context.resumeFrom) context.rewind(done);
    context.emit({
      type: "start",
      totalSteps: steps.length,
      step: done,
      info: { tasks: config.tasks.length },
    });
    const { stats } = session.engine;
    for (const [i, step] of steps.entries()) {
      if (i < done) continue;
      const before = stats.prefillTokens + stats.decodeTokens;
      const started = performance.now();
      const rows = await step.run(session, i + 1);
      // Answers that an interruption cut short are not kept.
      if (anyRank(collectives, context.interrupted()))
        return { status: "interrupted", step: done, metrics: {}, outputs: {} };
      if (writes) context.samples.appendAll(rows);
      done = i + 1;
      const seconds = (performance.now() - started) / 1000;
      const metrics: Record<string, number> = {
        "perf/tokens_per_sec": (stats.prefillTokens + stats.decodeTokens - before) / seconds,
      };
      const accuracy = accuracySoFar(rows);
      if (accuracy !== undefined) metrics["eval/step_accuracy"] = accuracy;
      context.emit({ type: "step", step: done, totalSteps: steps.length, metrics });
      // After all of the step's records: a resume forgets those of steps that are not marked.
      if (writes) markProgress(context, { step: done, of: steps.length });
      // Lets the message of the user's interruption in.
      await turn();
    }
  } finally {
    session.close();
  }
  if (!writes) return { status: "completed", step: steps.length, metrics: {}, outputs: {} };
  const summaries = await finish(config, context);
  const metrics = Object.assign({}, ...summaries.map(summaryMetrics)) as Record<string, number>;
  // One past the last step, so that a resume forgets these figures and does not record them twice.
  context.emit({ type: "eval", step: steps.length + 1, metrics });
  context.emit({ type: "done", step: steps.length, metrics });
  const outputs = {
    summary: join(context.runDir, "summary.json"),
    samples: join(context.runDir, "samples.jsonl"),
  };
  return { status: "completed", step: steps.length, metrics, outputs };
};

async function finish(config: EvalConfig, context: StageContext): Promise<TaskSummary[]> {
  const rows = readJsonl<EvalRow>(join(context.runDir, "samples.jsonl"));
  const names = namesOf(config.tasks);
  const languages = Object.fromEntries(
    config.tasks.flatMap((t, index) =>
      t.kind === "problems" ? [[names[index]!, findTask(t.task).language]] : [],
    ),
  );
  const summaries = await summarise(rows, languages);
  atomicWriteFile(join(context.runDir, "summary.json"), `${JSON.stringify(summaries, null, 2)}\n`);
  const pairs = pairedEntries(config.tasks, names, rows);
  if (pairs.length > 0)
    atomicWriteFile(
      join(context.runDir, "pairs.jsonl"),
      pairs.map((pair) => `${JSON.stringify(pair)}\n`).join(""),
    );
  for (const { task, against, difference, low, high } of pairs) {
    const shown = [difference, low, high].map((x) => (100 * x).toFixed(1));
    context.log(
      `${task}: ${shown[0]} points over ${against} on the same problems (${shown[1]} to ${shown[2]})`,
    );
  }
  for (const s of summaries) {
    if (s.kind === "problems" && s.unparsed > 0) {
      context.log(`${s.task}: ${(100 * s.unparsed).toFixed(1)} % of the answers could not be read`, "warn");
    }
  }
  return summaries;
}
