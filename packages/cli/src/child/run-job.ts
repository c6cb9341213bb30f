// Runs one stage in this process: recording files, resume, events.
import { mkdirSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import {
  changedPlugins,
  changeRecipe,
  ExitCode,
  type LoggingConfig,
  latestCheckpoint,
  loadConfig,
  NsaError,
  openSinks,
  openStageContext,
  pluginsOfCheckpoint,
  restoreCheckpoints,
  type StageDefinition,
  type StageEvent,
  type StageResult,
} from "@nsa/core";
import { loadStage } from "../commands/stages.ts";
import { loadPluginFiles } from "../plugins/load.ts";
import { holdRun } from "./hold-run.ts";
import type { Job } from "./messages.ts";

/** Throws NsaError `plugin_changed` (exit 4): the run would be another from here on. */
function refuseChanges(checkpoint: string): void {
  const [changed] = changedPlugins(pluginsOfCheckpoint(checkpoint));
  if (changed === undefined) return;
  throw new NsaError({
    code: "plugin_changed",
    what: `plugin ${changed.path}`,
    why: `it is not what ${checkpoint} was saved with`,
    fix: `restore the file, or go on with it as it is now: --set plugins=[${changed.path}]`,
    exitCode: ExitCode.unavailable,
  });
}

/** The checkpoint to go on from, after what a save that was cut short has left was put back; ranks agree on it. */
async function startOf(job: Job): Promise<{ job: Job; resumeFrom: string | undefined }> {
  const find = () => {
    restoreCheckpoints(job.runDir);
    const newest = job.resume === true ? latestCheckpoint(job.runDir) : null;
    return typeof job.resume === "string" ? job.resume : (newest ?? undefined);
  };
  const { ranks } = job;
  if (!ranks) return { job, resumeFrom: find() };
  // Loaded where there are ranks alone: it takes time that every start would pay.
  const { checkpointOfRanks, identityOf } = await import("./rank-start.ts");
  const placed = { ...job, ranks: { ...ranks, identity: identityOf(job) } };
  return { job: placed, resumeFrom: await checkpointOfRanks(ranks, find) };
}

/** A recipe of a run with the defaults of today's schema, or as it is where the schema no longer takes it. */
function completeRecipe({ schema }: StageDefinition, path: string): string {
  try {
    return loadConfig(schema, path).yaml;
  } catch {
    return readFileSync(path, "utf8");
  }
}

/** Puts the recipe of a resume in force; what it changes, as a line. Rank 0 alone has the run's folder. */
function takeRecipe(
  { recipe, resume, runDir }: Job,
  stage: StageDefinition,
  resumeFrom = "",
): string | undefined {
  if (!resume || recipe === undefined) return undefined;
  const from = Number(/step-(\d+)$/.exec(resumeFrom)?.[1] ?? 0);
  return changeRecipe(runDir, { from, yaml: recipe, complete: (path) => completeRecipe(stage, path) });
}

/** Runs the stage to its end, or to the checkpoint after `signal` aborts. */
export async function runJob(
  job: Job,
  signal: AbortSignal,
  onEvent: (event: StageEvent) => void,
): Promise<StageResult> {
  await loadPluginFiles(job.plugins);
  const stage = await loadStage(job.stage);
  const now = () => Date.now() / 1000;
  // A server that cannot be reached is a remark of the run, not an error.
  const onError = (reason: string) => context.log(reason, "warn");
  const { logging } = job.config as { logging?: LoggingConfig };
  // Ranks above 0 keep their records apart: the run's own are those of rank 0.
  const rank = job.ranks?.rank ?? 0;
  if (job.ranks) (await import("@nsa/kernels")).startPulse(job.ranks);
  const runDir = rank === 0 ? job.runDir : join(job.runDir, "ranks", String(rank));
  mkdirSync(runDir, { recursive: true });
  const onWait = (text: string) => onEvent({ type: "log", level: "warn", text });
  using held = await holdRun(runDir, { signal, onWait });
  // Stopped before it had the folder, which another process may have brought to the end of the run: nothing there is touched.
  if (!held) return { status: "interrupted", step: 0, metrics: {}, outputs: {} };
  const place = { runDir, runName: basename(job.runDir), time: now(), onError };
  const { job: placed, resumeFrom } = await startOf(job);
  let changes = rank === 0 ? takeRecipe(job, stage, resumeFrom) : undefined;
  const context = openStageContext({
    runDir,
    ranks: placed.ranks,
    profile: job.profile,
    plans: job.plans,
    resumeFrom,
    device: job.device,
    signal,
    sinks: logging && rank === 0 ? openSinks(logging, place) : [],
    now,
    onEvent: (event) => {
      onEvent(event);
      // A run that had ended already does no step with them.
      if (event.type !== "start" || event.step >= event.totalSteps || changes === undefined) return;
      const line = changes;
      changes = undefined;
      context.log(line);
    },
  });
  try {
    // Killed before its first checkpoint: it starts anew, the rows of step 0 included.
    if (job.resume && !context.resumeFrom) context.rewind(-1);
    if (context.resumeFrom && !job.acceptChanges) refuseChanges(context.resumeFrom);
    return await stage.run(job.config, context);
  } finally {
    await context.close();
  }
}
