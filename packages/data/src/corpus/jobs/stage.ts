// A stage: tasks that do not depend on each other. Those with a valid manifest are skipped, the rest run.
import { statSync } from "node:fs";
import { join } from "node:path";
import { fingerprintOf, hashFile, type Manifest, validManifest } from "./manifest.ts";
import { resolveInput, runTask, type Task, type TaskTable } from "./task.ts";

export interface StageProgress {
  stage: string;
  done: number;
  total: number;
  /** Tasks that an earlier run had already finished. */
  skipped: number;
  /** Bytes of the first inputs (the shards) of the tasks done now, and of all that this run has to do. */
  bytes: number;
  totalBytes: number;
}

/** Runs tasks somewhere: in this process, in worker processes, as a Slurm array. Results in task order. */
export interface Executor {
  run(
    outDir: string,
    stage: string,
    work: { task: Task; fingerprint: string }[],
    onDone: (manifest: Manifest) => void,
  ): Promise<Manifest[]>;
  /** Ends what the executor keeps running between stages. */
  close?(): void;
}

export interface JobContext {
  outDir: string;
  executor: Executor;
  /** Content hashes of files already known, by absolute path. */
  hashes: Map<string, string>;
  onProgress?: (p: StageProgress) => void;
  signal?: AbortSignal;
  /** Waits between attempts to fetch an input; replaced in tests. */
  sleep?: (ms: number) => Promise<void>;
}

export function inlineExecutor(table: TaskTable): Executor {
  return {
    async run(outDir, _stage, work, onDone) {
      const out = [];
      for (const { task, fingerprint } of work) {
        const manifest = await runTask(table, outDir, task, fingerprint);
        onDone(manifest);
        out.push(manifest);
      }
      return out;
    },
  };
}

function shardBytes(outDir: string, task: Task): number {
  const input = task.inputs[0];
  return input === undefined ? 0 : statSync(resolveInput(outDir, input)).size;
}

/** Runs what is missing of a stage and returns all manifests in task order. */
export async function runStage(ctx: JobContext, stage: string, tasks: Task[]): Promise<Manifest[]> {
  ctx.signal?.throwIfAborted();
  const done = new Map<Task, Manifest>();
  const work: { task: Task; fingerprint: string }[] = [];
  for (const task of tasks) {
    const inputHashes = [];
    for (const input of task.inputs) {
      const path = resolveInput(ctx.outDir, input);
      const hash = ctx.hashes.get(path) ?? (await hashFile(path));
      ctx.hashes.set(path, hash);
      inputHashes.push(hash);
    }
    const fingerprint = fingerprintOf(task.kind, task.spec, inputHashes);
    const manifest = validManifest(ctx.outDir, task.kind, task.name, fingerprint);
    if (manifest) done.set(task, manifest);
    else work.push({ task, fingerprint });
  }
  const skipped = done.size;
  let finished = skipped;
  const sizes = new Map(work.map(({ task }) => [`${task.kind}/${task.name}`, shardBytes(ctx.outDir, task)]));
  const totalBytes = [...sizes.values()].reduce((sum, n) => sum + n, 0);
  let bytes = 0;
  const report = () =>
    ctx.onProgress?.({ stage, done: finished, total: tasks.length, skipped, bytes, totalBytes });
  report();
  const made = await ctx.executor.run(ctx.outDir, stage, work, ({ kind, name }) => {
    finished++;
    bytes += sizes.get(`${kind}/${name}`) ?? 0;
    report();
    ctx.signal?.throwIfAborted();
  });
  for (let i = 0; i < work.length; i++) done.set(work[i]!.task, made[i]!);
  const manifests = tasks.map((task) => done.get(task)!);
  for (const m of manifests)
    for (const { path, sha256 } of m.outputs) ctx.hashes.set(join(ctx.outDir, path), sha256);
  return manifests;
}
