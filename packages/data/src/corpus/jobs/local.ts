// The local executor: tasks run in a few child processes, so that a crash or a large heap stays in one of them.
import { type ChildProcess, fork } from "node:child_process";
import { ExitCode, NsaError, type NsaErrorFields } from "@nsa/core";
import type { Manifest } from "./manifest.ts";
import { taskEntry } from "./process.ts";
import type { Executor } from "./stage.ts";
import type { WorkerReply, WorkItem } from "./task-main.ts";

export interface LocalOptions {
  workers: number;
  /** How often a task is tried again when its process dies. */
  retries?: number;
  signal?: AbortSignal;
}

class WorkerDied extends Error {}

/** One child process; runs a task at a time. */
class Worker {
  readonly child: ChildProcess;
  private errors = "";
  private waiting: { resolve: (m: Manifest) => void; reject: (e: unknown) => void } | undefined;
  constructor() {
    const entry = taskEntry();
    this.child = fork(entry.path, [], {
      execArgv: entry.flags,
      stdio: ["ignore", "ignore", "pipe", "ipc"],
    });
    this.child.stderr!.on("data", (chunk: Buffer) => {
      this.errors = (this.errors + chunk.toString()).slice(-500);
    });
    this.child.on("message", (reply: WorkerReply) => {
      const { waiting } = this;
      this.waiting = undefined;
      if ("manifest" in reply) {
        waiting?.resolve(reply.manifest);
        return;
      }
      const { fields, message } = reply.error;
      waiting?.reject(fields ? new NsaError(fields as unknown as NsaErrorFields) : new Error(message));
    });
    const died = (why: string) => {
      this.waiting?.reject(new WorkerDied(`${why} ${this.errors.trim()}`.trim()));
      this.waiting = undefined;
    };
    this.child.on("error", (error) => died(error.message));
    this.child.on("exit", (code, signal) => died(`ended with ${signal ?? `code ${code}`}`));
  }
  run(outDir: string, item: WorkItem): Promise<Manifest> {
    return new Promise((resolve, reject) => {
      this.waiting = { resolve, reject };
      this.child.send({ outDir, item });
    });
  }
}

function gaveUp({ task }: WorkItem, why: string): NsaError {
  return new NsaError({
    code: "worker_died",
    what: `task ${task.kind} ${task.name} did not finish`,
    why: `its process ${why}`,
    fix: "run the same command again: finished shards are kept; use fewer workers if memory ran out",
    exitCode: ExitCode.data,
  });
}

/** Runs tasks in `workers` child processes that live until `close`; results in task order. */
export function localExecutor({ workers, retries = 1, signal }: LocalOptions): Executor {
  const idle: Worker[] = [];
  const all = new Set<Worker>();
  const stop = (worker: Worker) => {
    all.delete(worker);
    worker.child.kill("SIGKILL");
  };
  async function runOne(outDir: string, item: WorkItem): Promise<Manifest> {
    for (let attempt = 0; ; attempt++) {
      const worker = idle.pop() ?? new Worker();
      all.add(worker);
      try {
        const manifest = await worker.run(outDir, item);
        idle.push(worker);
        return manifest;
      } catch (error) {
        stop(worker);
        if (!(error instanceof WorkerDied)) throw error;
        if (attempt >= retries) throw gaveUp(item, error.message);
      }
    }
  }
  return {
    async run(outDir, _stage, work, onDone) {
      const results = new Array<Manifest>(work.length);
      let next = 0;
      const serve = async () => {
        while (next < work.length) {
          signal?.throwIfAborted();
          const index = next++;
          results[index] = await runOne(outDir, work[index]!);
          onDone(results[index]!);
        }
      };
      await Promise.all(Array.from({ length: Math.min(workers, work.length) }, serve));
      return results;
    },
    close() {
      for (const worker of [...all]) stop(worker);
      idle.length = 0;
    },
  };
}
