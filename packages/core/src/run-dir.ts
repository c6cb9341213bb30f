// Run folders: runs/<stage>-<name>-<yyyymmdd-hhmmss>/ with config.yaml, env.json and what the stage writes.
import {
  accessSync,
  constants,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { hostname } from "node:os";
import { join, resolve } from "node:path";
import { explainWriteError, fsyncPath, fsyncTree, restoreReplaced } from "./atomic.ts";
import { describeEnvironment } from "./environment.ts";
import { ExitCode, NsaError } from "./errors.ts";
import { stageFolders, stageInPipeline } from "./pipeline-folder.ts";

export interface RunInfo {
  /** Folder name. */
  id: string;
  /** Absolute path. */
  path: string;
  stage: string;
  name: string;
  /** `yyyymmdd-hhmmss`, local time. */
  started: string;
}

const pattern = /^([a-z0-9_]+)-(.+)-(\d{8}-\d{6})(?:-\d+)?$/;

function stamp(date: Date): string {
  const two = (n: number) => String(n).padStart(2, "0");
  const day = `${date.getFullYear()}${two(date.getMonth() + 1)}${two(date.getDate())}`;
  return `${day}-${two(date.getHours())}${two(date.getMinutes())}${two(date.getSeconds())}`;
}

function explainAccess(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException;
  if (code === "EEXIST" || code === "ENOTDIR") return "there is a file in the way";
  return code === "EACCES" || code === "EROFS" ? "it may not be written to" : message;
}

const IN_THE_MAKING = /^\.run-(\d+)-(.+)$/;
const ABANDONED_MS = 24 * 3600 * 1000;

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

/** Removes folders that a process which is gone was making; of other machines' processes those of a day ago. */
function sweepUnfinished(root: string): void {
  for (const name of readdirSync(root)) {
    const match = IN_THE_MAKING.exec(name);
    const path = join(root, name);
    if (!match) continue;
    try {
      const own = match[2] === hostname() && Number(match[1]) !== process.pid;
      const abandoned = Date.now() - statSync(path).mtimeMs > ABANDONED_MS;
      if (abandoned || (own && !isAlive(Number(match[1])))) rmSync(path, { recursive: true, force: true });
    } catch {
      // Another process has swept it, or it is not ours to remove.
    }
  }
}

/** Renames to the first name that is free; a run folder is never empty, so that no other can be renamed onto it. */
function nameFinished(temporary: string, root: string, base: string): string {
  for (let n = 1; ; n++) {
    const path = resolve(root, n === 1 ? base : `${base}-${n}`);
    try {
      renameSync(temporary, path);
      fsyncPath(root);
      return path;
    } catch (error) {
      if (!["EEXIST", "ENOTEMPTY", "ENOTDIR"].includes((error as NodeJS.ErrnoException).code ?? ""))
        throw error;
    }
  }
}

/**
 * Makes a new run folder with the resolved config, env.json and `files` (by name); two runs of one second get different
 * names. It appears whole or not at all. Throws NsaError `runs_unwritable` (exit 2), `disk_full` (exit 3).
 */
export function createRunDir(options: {
  root: string;
  stage: string;
  name: string;
  configYaml: string;
  files?: Readonly<Record<string, string>>;
  now?: Date;
}): string {
  const base = `${options.stage}-${options.name.replace(/[^\w.-]+/g, "-")}-${stamp(options.now ?? new Date())}`;
  try {
    mkdirSync(options.root, { recursive: true });
    accessSync(options.root, constants.W_OK);
    sweepUnfinished(options.root);
  } catch (error) {
    throw new NsaError({
      code: "runs_unwritable",
      what: `no run can be written to ${options.root}`,
      why: explainAccess(error),
      fix: "name a folder that you may write to with --runs",
      exitCode: ExitCode.usage,
      cause: error,
    });
  }
  const temporary = resolve(options.root, `.run-${process.pid}-${hostname()}`);
  try {
    rmSync(temporary, { recursive: true, force: true });
    mkdirSync(join(temporary, "checkpoints"), { recursive: true });
    const environment = `${JSON.stringify(describeEnvironment(process.cwd()), null, 2)}\n`;
    const files = { "config.yaml": options.configYaml, "env.json": environment, ...options.files };
    for (const [name, text] of Object.entries(files)) writeFileSync(join(temporary, name), text);
    fsyncTree(temporary);
    return nameFinished(temporary, options.root, base);
  } catch (error) {
    rmSync(temporary, { recursive: true, force: true });
    throw explainWriteError(options.root, error);
  }
}

function isFolder(path: string): boolean {
  try {
    return statSync(path).isDirectory();
  } catch {
    return false;
  }
}

/** All runs under `root`, oldest first. */
export function listRuns(root: string): RunInfo[] {
  if (!existsSync(root)) return [];
  const runs: RunInfo[] = [];
  for (const id of readdirSync(root)) {
    const match = pattern.exec(id);
    const path = resolve(root, id);
    // Links that lead nowhere, or round in a circle, are no runs; nor is a folder that never got its recipe.
    if (!match || !isFolder(path) || !existsSync(join(path, "config.yaml"))) continue;
    runs.push({ id, path, stage: match[1]!, name: match[2]!, started: match[3]! });
  }
  return runs.sort((a, b) => a.started.localeCompare(b.started) || a.id.localeCompare(b.id));
}

/** Something came of it: a start that failed at once leaves neither rows nor stages. */
const hasBegun = ({ path }: RunInfo) =>
  ["metrics.jsonl", "stages"].some((name) => existsSync(join(path, name)));

/** Runs of a stage, oldest first, and behind them those inside pipelines, oldest first; all runs where no stage is wanted. */
function runsOf(root: string, stage: string | undefined): RunInfo[] {
  const all = listRuns(root);
  if (stage === undefined) return all;
  const inside = all.flatMap((run) =>
    stageFolders(run.path)
      .filter((folder) => folder.stage === stage)
      .map(({ name, path }): RunInfo => ({ ...run, id: `${run.id}/stages/${name}`, path, stage, name })),
  );
  return [...all.filter((run) => run.stage === stage), ...inside];
}

const isInside = ({ id }: RunInfo) => id.includes("/stages/");

/** The newest run that did something: one of its own before any that is a stage of a pipeline. */
function latestOf(runs: readonly RunInfo[]): RunInfo | undefined {
  const own = runs.filter((run) => !isInside(run));
  const inside = runs.filter(isInside);
  return own.findLast(hasBegun) ?? inside.findLast(hasBegun) ?? own.at(-1) ?? inside.at(-1);
}

/** The run that a path leads to, wherever it lies. */
function runAt(which: string): RunInfo | undefined {
  if (!existsSync(join(which, "config.yaml"))) return undefined;
  const path = resolve(which);
  const id = path.slice(path.lastIndexOf("/") + 1);
  const match = pattern.exec(id);
  const stage = match?.[1] ?? stageInPipeline(path) ?? "";
  return { id, path, stage, name: match?.[2] ?? id, started: match?.[3] ?? "" };
}

function otherStage({ id, stage: of }: RunInfo, wanted: string): NsaError {
  return new NsaError({
    code: "run_of_other_stage",
    what: `${id} is a run of \`nsa ${of}\``,
    why: `a run of \`nsa ${wanted}\` is wanted here`,
    fix: `name one of those (\`nsa runs ls\`), or \`latest\` for the newest of them`,
    exitCode: ExitCode.usage,
  });
}

/**
 * Finds a run by `latest` (the newest that did something), folder name, unique beginning of it, or path.
 * @param stage only runs of this stage; those inside pipelines are found by name or, as `latest`, where there is no other
 * @throws NsaError `run_not_found` (exit 3), `run_of_other_stage` (exit 2)
 */
export function findRun(root: string, which: string, stage?: string): RunInfo {
  const runs = runsOf(root, stage);
  const exact =
    which === "latest" ? latestOf(runs) : runs.find((run) => run.id === which || run.path === resolve(which));
  if (exact) return exact;
  const named = which === "" ? [] : runs.filter((run) => run.id.startsWith(which));
  const starting = named.length > 1 && named.some(hasBegun) ? named.filter(hasBegun) : named;
  if (which !== "latest" && starting.length === 1) return starting[0]!;
  const there = runAt(which);
  if (there && (stage === undefined || there.stage === stage || there.stage === "")) return there;
  const others = there ? [there] : which === "latest" || which === "" ? [] : beginningWith(root, which);
  if (stage !== undefined && starting.length === 0 && others.length === 1)
    throw otherStage(others[0]!, stage);
  const several = starting.length > 1;
  const kind = stage === undefined ? "" : ` of \`nsa ${stage}\``;
  throw new NsaError({
    code: "run_not_found",
    what: several
      ? `"${which}" names ${starting.length} runs in ${root}`
      : which === "latest"
        ? `there is no run${kind} in ${root}`
        : `no run${kind} "${which}" in ${root}`,
    why: several ? starting.map(({ id }) => id).join(", ") : "no folder there has this name",
    fix: several ? "write more of the name" : nearNames(runs, which),
    exitCode: ExitCode.data,
  });
}

const NEAR_NAMES = 3;

/** Runs that a part of whose name was given, newest first, as what to write instead. */
function nearNames(runs: readonly RunInfo[], which: string): string {
  const near = which === "" || which === "latest" ? [] : runs.filter(({ id }) => id.includes(which));
  const names = near.map(({ id }) => id).reverse();
  if (names.length === 0) return "see `nsa runs ls` for the names";
  const shown = names.slice(0, NEAR_NAMES).join(", ");
  const more = names.length > NEAR_NAMES ? `, and ${names.length - NEAR_NAMES} more` : "";
  return `names begin with the stage: did you mean ${shown}${more}?`;
}

const beginningWith = (root: string, which: string) =>
  listRuns(root).filter((run) => run.id.startsWith(which));

/** Puts the checkpoints of a run in order after a kill inside a save; for the process that holds the run. */
export function restoreCheckpoints(runDir: string): void {
  const dir = join(runDir, "checkpoints");
  if (existsSync(dir)) restoreReplaced(dir, (name) => /^step-\d+$/.test(name));
}

/** The newest complete checkpoint of a run (`checkpoints/step-000400` with a state.json), or null. */
export function latestCheckpoint(runDir: string): string | null {
  const dir = join(runDir, "checkpoints");
  if (!existsSync(dir)) return null;
  const steps = readdirSync(dir).filter(
    (name) => /^step-\d+$/.test(name) && existsSync(join(dir, name, "state.json")),
  );
  steps.sort((a, b) => Number(a.slice(5)) - Number(b.slice(5)));
  const last = steps.at(-1);
  return last === undefined ? null : join(dir, last);
}

/**
 * The newest checkpoint with a model of a run or, of a pipeline, of its last stage that has one; else null. Evaluations keep their
 * progress only.
 */
function newestModel(runDir: string): string | null {
  return [runDir, ...stageFolders(runDir).map(({ path }) => path)]
    .map(latestCheckpoint)
    .reduce<string | null>((last, path) => (path !== null && holdsWeights(path) ? path : last), null);
}

const MODEL_FILES = ["state.json", "model.safetensors", "config.json"];

/** Whether a checkpoint folder has whole weights, or adapters on those of another; evaluations have neither. */
export const holdsWeights = (dir: string): boolean =>
  ["model.safetensors", "adapter.safetensors"].some((name) => existsSync(join(dir, name)));

/**
 * A folder with a model, or the newest checkpoint of the run that is named: `latest` (of those that have one), a run's folder or
 * the beginning of its name.
 * @throws NsaError `run_not_found`, `checkpoint_missing` (exit 3)
 */
export function findCheckpoint(root: string, which: string): string {
  if (MODEL_FILES.some((name) => existsSync(join(which, name)))) return which;
  // A file, or a path without a run, is told by whoever opens it.
  if (existsSync(which) && !isFolder(which)) return which;
  if (which.includes("/") && !existsSync(join(which, "config.yaml"))) return which;
  if (which === "latest") {
    const found = listRuns(root)
      .map(({ path }) => newestModel(path))
      .findLast((path) => path !== null);
    if (found) return found;
  }
  const run = findRun(root, which);
  const found = newestModel(run.path);
  if (found) return found;
  throw new NsaError({
    code: "checkpoint_missing",
    what: `no checkpoint in ${run.path}`,
    why: "the run has not saved a model",
    fix: "let it run to its next checkpoint (Ctrl-C saves one), or name a run that trains",
    exitCode: ExitCode.data,
  });
}

/** What a run folder has before its stage does anything. */
const FROM_THE_START =
  /^(config\.yaml|env\.json|overrides\.json|recipe\.json|log\.txt|checkpoints|metrics\.jsonl|samples\.jsonl|quarantine\.jsonl|disagreements\.jsonl|pool\.jsonl|\.lock.*|trainer\.pid)$/;

const isEmpty = (path: string) =>
  isFolder(path) ? readdirSync(path).length === 0 : statSync(path).size === 0;

/** Whether a folder has only what is there before a stage does anything, and so have those of its ranks. */
function isUnused(runDir: string): boolean {
  const names = readdirSync(runDir).filter((name) => name !== "ranks");
  const made = names.filter((name) => !FROM_THE_START.test(name));
  const filled = names.filter((name) => /^checkpoints$|\.jsonl$/.test(name) && !isEmpty(join(runDir, name)));
  const ranks = join(runDir, "ranks");
  const others = existsSync(ranks) ? readdirSync(ranks) : [];
  return made.length === 0 && filled.length === 0 && others.every((rank) => isUnused(join(ranks, rank)));
}

/** Removes the folder of a start that failed before anything came of it; true where it did. */
export function removeFailedStart(runDir: string): boolean {
  if (!isUnused(runDir)) return false;
  rmSync(runDir, { recursive: true, force: true });
  return true;
}

/** Reads a JSON file of a run; null where it is absent. */
export function readRunJson(runDir: string, file: string): unknown {
  const path = join(runDir, file);
  return existsSync(path) ? JSON.parse(readFileSync(path, "utf8")) : null;
}
