// Runs one stage: recipe → run folder → events on the terminal → report.
import type { ChildProcess } from "node:child_process";
import { existsSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import {
  configYaml,
  counted,
  createRunDir,
  ExitCode,
  findRun,
  latestCheckpoint,
  loadedPlugins,
  NsaError,
  readRecipes,
  removeFailedStart,
  restoreRecipes,
  type StageDefinition,
  type StageResult,
  watchInterruption,
} from "@nsa/core";
import { sweepLeft } from "../child/hold-run.ts";
import { joinLaunch, type Launched, launchOf, runLaunched, runOfRanks } from "../child/launch.ts";
import type { Job } from "../child/messages.ts";
import { runRanks, worldOf } from "../child/run-ranks.ts";
import { loadPluginsOfRecipe, namesPlugins } from "../plugins/load.ts";
import { writeOutputPage } from "../report/corpus/write.ts";
import { printEvaluation } from "../report/print-evaluation.ts";
import { writeReport } from "../report/report.ts";
import { openView, type ViewOptions } from "../view/view.ts";
import { loadOfStage } from "./other-stage.ts";
import { findCheckpointsIn } from "./recipe-checkpoints.ts";
import { commandOfStage, resumeCommand } from "./resume-command.ts";
import { loadStage } from "./stages.ts";

export interface StageOptions {
  set: string[];
  resume?: string;
  device: string;
  runs: string;
  dryRun?: boolean;
  plain?: boolean;
  json?: boolean;
  ranks?: string;
  profile?: boolean;
  tune?: boolean;
  plans?: string;
}

export interface ExecuteOptions extends ViewOptions {
  device: string;
  /** Time one step op by op. */
  profile?: boolean;
  /** Time several algorithms for each matmul. */
  tune?: boolean;
  /** File of matmul plans of an earlier run. */
  plans?: string;
  /** Processes that share every step; default 1. */
  ranks?: string;
  /** Of a rank that a launcher has started. */
  launched?: Launched | undefined;
  /** Settings of the command line. */
  set?: string[];
  /** Recipe of a resumed run, this command's `--set` included; it replaces the one in the run folder. */
  recipe?: string;
  /** Command that goes on with the run. */
  goOn: string;
  /** Shown instead of the stage's name. */
  title?: string;
}

/** The run to go on with, and the checkpoint when one was named instead of a run. */
function findResumed(runs: string, which: string, stage: string): { path: string; checkpoint?: string } {
  if (!existsSync(join(which, "state.json"))) return findRun(runs, which, stage);
  const checkpoint = resolve(which);
  return { path: findRun(runs, dirname(dirname(checkpoint)), stage).path, checkpoint };
}

/** The recipe of a command. Throws NsaError `recipe_missing` (exit 2) where none was named. */
export function namedRecipe(file: string | undefined, command: string): string {
  if (file !== undefined) return file;
  throw new NsaError({
    code: "recipe_missing",
    what: `\`nsa ${command}\` without a recipe`,
    why: "only a run that is resumed has one already",
    fix: `name one, e.g. of configs/, or a run with --resume`,
    exitCode: ExitCode.usage,
  });
}

interface NamedConfig {
  config: { name: string };
  yaml: string;
}

/** The recipe with its defaults, and its checkpoints found among the runs. */
export async function loadRecipe(
  stage: StageDefinition,
  recipe: string,
  { set, runs }: Pick<StageOptions, "set" | "runs">,
): Promise<NamedConfig> {
  const loaded = await loadOfStage(stage.name, stage.schema, recipe, set);
  const { config, remarks } = loaded as unknown as NamedConfig & { remarks: string[] };
  for (const remark of remarks) console.error(`warning: ${remark}`);
  const found = findCheckpointsIn(config, runs);
  return { config: found, yaml: configYaml(stage.schema, found) };
}

/** Runs a stage to its end or interruption and returns the exit code. */
export async function runStage(
  name: string,
  file: string | undefined,
  options: StageOptions,
): Promise<number> {
  const resumed = options.resume ? findResumed(options.runs, options.resume, name) : undefined;
  const recipe = resumed ? join(resumed.path, "config.yaml") : namedRecipe(file, name);
  const { set, runs } = options;
  await loadPluginsOfRecipe(recipe, { set, runs, resumed: resumed !== undefined });
  const stage = await loadStage(name);
  const { config, yaml } = await loadRecipe(stage, recipe, options);
  // A recipe that cannot work should leave no run behind; the estimate checks the whole architecture.
  const estimate = resumed && !options.dryRun ? {} : stage.estimate(config, options.device);
  if (options.dryRun) {
    const { printEstimate } = await import("./dry-run.ts");
    const { missingFiles, warnOfMissing } = await import("./missing-files.ts");
    warnOfMissing(await missingFiles(stage, config));
    printEstimate({ stage, config, estimate }, options);
    return ExitCode.ok;
  }
  const launch = options.ranks === undefined ? launchOf(process.env) : undefined;
  const launched = launch && (await joinLaunch(launch));
  const open = () =>
    resumed
      ? resumed.path
      : createRunDir({ root: options.runs, stage: name, name: config.name ?? name, configYaml: yaml });
  const runDir = launched ? await runOfRanks(launched, open) : open();
  if (launched && launched.rank > 0) {
    const job = jobOf(name, config, runDir, options, resumed?.checkpoint ?? resumed !== undefined);
    return runLaunchedRank(job, launched);
  }
  const resume = resumed?.checkpoint ?? resumed !== undefined;
  try {
    const goOn = resumeCommand(commandOfStage(name), runDir, options);
    const given = { ...options, launched, recipe: yaml, goOn };
    const { result, done } = await executeKeepingRecipes(name, config, runDir, given, resume);
    if (done && options.set.length > 0)
      console.error(
        `warning: all ${counted(result.step, "step")} of the run were made already, so ${options.set.join(", ")} changed nothing; set more steps to continue it, or start a new run`,
      );
    return result.status === "interrupted" ? ExitCode.interrupted : ExitCode.ok;
  } catch (error) {
    // A start that did nothing leaves nothing.
    if (!resumed && !isTakenOver(error) && error instanceof NsaError) removeFailedStart(runDir);
    throw error;
  }
}

/**
 * Runs a stage as `execute`. Where no step was made with the recipe that it brings, that of the run is put back: settings that the run
 * refused must not stand between it and the next resume, and the record of a run that was `done` already says what it was done with.
 */
export async function executeKeepingRecipes(
  ...[name, config, runDir, options, resume]: Parameters<typeof execute>
): Promise<Awaited<ReturnType<typeof execute>> & { done: boolean }> {
  const [before, reached] = [readRecipes(runDir), latestCheckpoint(runDir)];
  try {
    const ran = await execute(name, config, runDir, options, resume);
    const completed = reached !== null && ran.result.status === "completed";
    const done = completed && latestCheckpoint(runDir) === reached;
    if (done) restoreRecipes(runDir, before);
    return { ...ran, done };
  } catch (error) {
    const inUse = error instanceof NsaError && error.code === "run_in_use";
    if (!isTakenOver(error) && !inUse && latestCheckpoint(runDir) === reached) restoreRecipes(runDir, before);
    throw error;
  }
}

/** The folder is another process's now, and nothing may be written there. */
const isTakenOver = (error: unknown) => error instanceof NsaError && error.code === "run_taken_over";

/** The report of a run that an error ended, where there is something to show. */
async function reportFailure(runDir: string, stage: StageDefinition, error: unknown): Promise<void> {
  if (!existsSync(join(runDir, "metrics.jsonl"))) return;
  if (isTakenOver(error) || (error as NsaError).code === "run_in_use") return;
  try {
    await writeReport(runDir, stage.sections?.(runDir), error);
  } catch {
    // The error that ended the run is the one to show.
  }
}

function jobOf(
  stage: string,
  config: unknown,
  runDir: string,
  { device, profile, tune, plans, set, recipe }: Omit<ExecuteOptions, "goOn">,
  resume: Job["resume"],
): Job {
  const choice = tune || plans ? { tune: tune === true, from: plans && resolve(plans) } : undefined;
  const plugins = loadedPlugins().map(({ path }) => path);
  const acceptChanges = namesPlugins(set);
  return { stage, config, runDir, device, resume, recipe, profile, plans: choice, plugins, acceptChanges };
}

/** A rank above 0 of a launch: rank 0 shows and writes what there is. */
async function runLaunchedRank(job: Job, launched: Launched): Promise<number> {
  const trainers: ChildProcess[] = [];
  using interruption = watchInterruption((code) => {
    for (const trainer of trainers) trainer.kill("SIGKILL");
    process.exit(code);
  });
  const { status } = await runLaunched(job, launched, {
    signal: interruption.signal,
    onEvent: () => undefined,
    onStart: (child) => void trainers.push(child),
  });
  return status === "interrupted" ? ExitCode.interrupted : ExitCode.ok;
}

/**
 * Runs a checked config in a run folder, in a process of its own. `interrupted`: the user asked to stop, also where the stage was done
 * before it could.
 */
async function execute(
  name: string,
  config: unknown,
  runDir: string,
  options: ExecuteOptions,
  resume: Job["resume"],
): Promise<{ result: StageResult; report: string; interrupted: boolean }> {
  const trainers: ChildProcess[] = [];
  using interruption = watchInterruption((code) => {
    for (const trainer of trainers) trainer.kill("SIGKILL");
    process.exit(code);
  });
  const stage = await loadStage(name);
  const view = await openView(options.title ?? name, runDir, options, stage);
  interruption.signal.addEventListener("abort", view.stopping);
  let result: StageResult;
  try {
    const job = jobOf(name, config, runDir, options, resume);
    const child = {
      signal: interruption.signal,
      onEvent: view.onEvent,
      onStart: (child: ChildProcess) => void trainers.push(child),
    };
    const { launched } = options;
    const world = worldOf(options, (text) => console.error(text));
    result = launched ? await runLaunched(job, launched, child) : await runRanks(job, world, child);
  } catch (error) {
    await reportFailure(runDir, stage, error);
    throw error;
  } finally {
    view.close();
  }
  sweepLeft(runDir);
  writeOutputPage(name, result.outputs);
  const report = await writeReport(runDir, stage.sections?.(runDir));
  printEvaluation(runDir, options.json === true);
  console.error(`report: ${report}`);
  if (result.status === "interrupted")
    console.error(`stopped at step ${result.step}; go on with: ${options.goOn}`);
  return { result, report, interrupted: interruption.interrupted() };
}
