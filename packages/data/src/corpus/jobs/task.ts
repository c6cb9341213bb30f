// One unit of work: a named, JSON-described task over one shard (or over all, for the global steps).
import {
  closeSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
} from "node:fs";
import { basename, dirname, join } from "node:path";
import { ExitCode, explainWriteError, NsaError } from "@nsa/core";
import { hashFile, type Manifest, writeManifest } from "./manifest.ts";

export interface Task {
  /** Name in the task table, e.g. `read`. */
  kind: string;
  /** Unique within its kind; names the manifest. */
  name: string;
  /** Everything but the inputs' contents that decides the outputs. Plain JSON. */
  spec: Record<string, unknown>;
  /** Files read, absolute or relative to the run's folder. Hashed into the fingerprint. */
  inputs: string[];
  /** Files made, relative to the run's folder. */
  outputs: string[];
}

/** What a task function sees: its inputs and temporary output paths, which are renamed when it returns. */
export interface TaskIo {
  spec: Record<string, unknown>;
  inputs: string[];
  outputs: string[];
}

export type TaskFunction = (io: TaskIo) => Promise<Record<string, unknown>>;
export type TaskTable = Record<string, TaskFunction>;

export function resolveInput(outDir: string, path: string): string {
  return path.startsWith("/") ? path : join(outDir, path);
}

/** A full disk as NsaError `disk_full` (exit 3); other errors pass through. */
function explainTaskError(task: string, outDir: string, error: unknown): unknown {
  const explained = explainWriteError(outDir, error);
  if (!(explained instanceof NsaError) || explained.code !== "disk_full") return error;
  return new NsaError({
    code: "disk_full",
    what: `task ${task} cannot write its outputs`,
    why: `${explained.why}: ${outDir}`,
    fix: "free some space and run the same command again: finished shards are kept",
    exitCode: ExitCode.data,
    cause: error,
  });
}

/** Runs a task and records it: temporary outputs, fsync, rename, and last the manifest. */
export async function runTask(
  table: TaskTable,
  outDir: string,
  task: Task,
  fingerprint: string,
): Promise<Manifest> {
  const run = table[task.kind];
  if (!run) throw new Error(`no task kind ${task.kind}`);
  const finals = task.outputs.map((path) => join(outDir, path));
  const temporaries = finals.map((path) => `${path}.tmp-${process.pid}`);
  for (const path of finals) mkdirSync(dirname(path), { recursive: true });
  const inputs = task.inputs.map((path) => resolveInput(outDir, path));
  try {
    const stats = await run({ spec: task.spec, inputs, outputs: temporaries });
    return await finishTask(outDir, task, { fingerprint, stats, temporaries });
  } catch (error) {
    // On a full disk the room is needed most; elsewhere they would only wait for the next run to remove them.
    for (const path of temporaries) removeAll(path);
    throw explainTaskError(`${task.kind} ${task.name}`, outDir, error);
  }
}

/** A temporary file and what a step has written beside it under its name. */
function removeAll(path: string): void {
  const name = basename(path);
  for (const entry of readdirSync(dirname(path)))
    if (entry.startsWith(name)) rmSync(join(dirname(path), entry), { force: true });
}

/** Puts the outputs in their places, synced, and writes the manifest. */
async function finishTask(
  outDir: string,
  task: Task,
  {
    fingerprint,
    stats,
    temporaries,
  }: { fingerprint: string; stats: Record<string, unknown>; temporaries: string[] },
): Promise<Manifest> {
  const finals = task.outputs.map((path) => join(outDir, path));
  const outputs = [];
  for (let i = 0; i < finals.length; i++) {
    const fd = openSync(temporaries[i]!, "r+");
    fsyncSync(fd);
    closeSync(fd);
    const sha256 = await hashFile(temporaries[i]!);
    outputs.push({ path: task.outputs[i]!, bytes: statSync(temporaries[i]!).size, sha256 });
    renameSync(temporaries[i]!, finals[i]!);
  }
  const manifest: Manifest = { kind: task.kind, name: task.name, fingerprint, outputs, stats };
  writeManifest(outDir, manifest);
  return manifest;
}
