// `nsa pipeline run`: stages in order, each a normal run; outputs of one feed the next; finished stages are kept.
import { existsSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import {
  atomicWriteFile,
  createRunDir,
  describeEnvironment,
  didYouMean,
  ExitCode,
  findRun,
  latestCheckpoint,
  NsaError,
  readRunJson,
  type StageResult,
} from "@nsa/core";
import { writePipelineReport } from "../report/pipeline.ts";
import type { Timing } from "../report/stage-folder.ts";
import { readFinished, writeFinished } from "./finished-stage.ts";
import { warnOfMissing } from "./missing-files.ts";
import {
  type CheckedStage,
  checkStages,
  fillIn,
  loadPipeline,
  loadStageConfig,
  type Outputs,
  type Pipeline,
  type PipelineStage,
} from "./pipeline-recipe.ts";
import { resumeCommand } from "./resume-command.ts";
import { executeKeepingRecipes, namedRecipe, type StageOptions } from "./stage.ts";

const folderOf = (dir: string, { name }: PipelineStage) => join(dir, "stages", name);

function finishedStages(dir: string | undefined, { stages }: Pipeline): Outputs {
  const done: Outputs = {};
  if (!dir) return done;
  for (const stage of stages) {
    const result = readFinished(folderOf(dir, stage));
    if (result) done[stage.name] = result.outputs;
  }
  return done;
}

async function checked(config: Pipeline, file: string, done: Outputs, runs: string): Promise<CheckedStage[]> {
  const folder = mkdtempSync(join(tmpdir(), "nsa-pipeline-"));
  try {
    return await checkStages(config, file, done, { folder, runs });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Names the recipe that a pipeline was started with: those of its stages lie beside it. */
const SOURCE = "recipe.json";

/** What was set when the run began holds when it goes on. */
function keptOverrides(dir: string | undefined): string[] {
  return ((dir && readRunJson(dir, "overrides.json")) || []) as string[];
}

interface PipelineOptions extends StageOptions {
  /** The last stage to be run. */
  until?: string;
}

/** Throws NsaError `pipeline_until_unknown` (exit 2). */
function checkUntil(until: string | undefined, { stages }: Pipeline): void {
  if (until === undefined || stages.some(({ name }) => name === until)) return;
  const names = stages.map(({ name }) => name);
  const near = didYouMean(until, names);
  throw new NsaError({
    code: "pipeline_until_unknown",
    what: `--until ${until}`,
    why: `no stage has this name; there are ${names.join(", ")}`,
    fix: near ? `did you mean ${near}?` : "name one of them",
    exitCode: ExitCode.usage,
  });
}

export async function runPipeline(recipe: string | undefined, options: PipelineOptions): Promise<number> {
  const resumed = options.resume ? findRun(options.runs, options.resume, "pipeline").path : undefined;
  const kept = resumed && (readRunJson(resumed, SOURCE) as { recipe: string } | null);
  const file = recipe ?? (kept ? kept.recipe : namedRecipe(undefined, "pipeline run"));
  const overrides = [...keptOverrides(resumed), ...options.set];
  const { config, yaml } = await loadPipeline(file, overrides);
  checkUntil(options.until, config);
  const done = finishedStages(resumed, config);
  const plan = await checked(config, file, done, options.runs);
  if (options.dryRun) {
    for (const { stage, missing } of plan) warnOfMissing(missing, `stage ${stage.name}: `);
    const { printPipelineEstimate } = await import("./dry-run.ts");
    printPipelineEstimate(plan, options);
    return ExitCode.ok;
  }
  for (const { missing } of plan) for (const error of missing) throw error;
  const files: Record<string, string> = {
    ...(overrides.length > 0 ? { "overrides.json": JSON.stringify(overrides) } : {}),
    [SOURCE]: JSON.stringify({ recipe: resolve(file) }),
  };
  const dir =
    resumed ??
    createRunDir({ root: options.runs, stage: "pipeline", name: config.name, configYaml: yaml, files });
  if (resumed) for (const [name, text] of Object.entries(files)) atomicWriteFile(join(dir, name), text);
  const last = config.stages.findIndex(({ name }) => name === options.until);
  for (const [i, stage] of config.stages.entries()) {
    if (last >= 0 && i > last) {
      console.error(
        `stopped after ${options.until}; go on with: ${resumeCommand("pipeline run", dir, options)}`,
      );
      break;
    }
    if (done[stage.name]) {
      if (options.set.some((text) => text.startsWith(`${stage.name}.`)))
        console.error(`warning: stage ${stage.name} is finished; what is set for it changes nothing`);
      continue;
    }
    const title = `${stage.stage} (stage ${i + 1}/${config.stages.length}, ${stage.name})`;
    const { result, interrupted } = await runOne(stage, { dir, file, done, options, title });
    await writePipelineReport(dir, config);
    // Stages without steps of their own finish before they stop; the next one must not begin.
    if (interrupted) return ExitCode.interrupted;
    done[stage.name] = result.outputs;
  }
  await writePipelineReport(dir, config);
  console.error(`pipeline report: ${join(dir, "report.html")}`);
  return ExitCode.ok;
}

interface Running {
  dir: string;
  file: string;
  done: Outputs;
  options: StageOptions;
  title: string;
}

async function runOne(
  stage: PipelineStage,
  running: Running,
): Promise<{ result: StageResult; interrupted: boolean }> {
  const { dir, done, options, title } = running;
  const runDir = folderOf(dir, stage);
  // Until its first checkpoint a stage starts anew, with the recipe as it is now; then only with what is set now.
  const started = latestCheckpoint(runDir) !== null;
  const recipe = started ? join(runDir, "config.yaml") : resolve(dirname(running.file), stage.config);
  const own = options.set.filter((text) => text.startsWith(`${stage.name}.`));
  const set = started ? own.map((text) => text.slice(stage.name.length + 1)) : stage.set;
  const filled = set.map((text) => fillIn(text, done, runDir));
  const { config, yaml } = await loadStageConfig(stage, recipe, filled, options.runs);
  mkdirSync(join(runDir, "checkpoints"), { recursive: true });
  // The trainer of a resumed stage writes its recipe into the run folder, and logs what it changes.
  if (!started) atomicWriteFile(join(runDir, "config.yaml"), yaml);
  if (!existsSync(join(runDir, "env.json"))) {
    const environment = readRunJson(dir, "env.json") ?? describeEnvironment(process.cwd());
    atomicWriteFile(join(runDir, "env.json"), `${JSON.stringify(environment, null, 2)}\n`);
  }
  const before = (readRunJson(runDir, "timing.json") ?? { seconds: 0, starts: 0 }) as Timing;
  const timing = (seconds: number) => {
    const all: Timing = { seconds: before.seconds + seconds, starts: before.starts + 1 };
    atomicWriteFile(join(runDir, "timing.json"), JSON.stringify(all));
  };
  timing(0);
  const from = performance.now();
  // Also without a checkpoint: rows that a killed attempt left must not stay beside the new ones.
  const given = { ...options, title, recipe: yaml, goOn: resumeCommand("pipeline run", dir, options) };
  const { result, interrupted } = await executeKeepingRecipes(stage.stage, config, runDir, given, true);
  timing((performance.now() - from) / 1000);
  if (result.status === "completed") writeFinished(runDir, result);
  return { result, interrupted: interrupted || result.status === "interrupted" };
}
