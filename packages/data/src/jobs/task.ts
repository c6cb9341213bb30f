// One unit of work: a named, JSON-described task over one shard (or over all, for the global steps).
import { closeSync, fsyncSync, mkdirSync, openSync, renameSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { hashFile, type Manifest, manifestPath, writeAtomic } from "./manifest.ts";

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
  const stats = await run({
    spec: task.spec,
    inputs: task.inputs.map((path) => resolveInput(outDir, path)),
    outputs: temporaries,
  });
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
  writeAtomic(manifestPath(outDir, task.kind, task.name), `${JSON.stringify(manifest, null, 1)}\n`);
  return manifest;
}
