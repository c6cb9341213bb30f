// From a config to the context of its jobs: folder, executor, progress.
import { accessSync, constants, mkdirSync } from "node:fs";
import { resolve } from "node:path";
import { localExecutor } from "../jobs/local.ts";
import { slurmExecutor } from "../jobs/slurm.ts";
import { type Executor, inlineExecutor, type JobContext, type StageProgress } from "../jobs/stage.ts";
import { TASKS } from "../steps/table.ts";
import type { BuildConfig } from "./config.ts";

export interface BuildContext {
  /** Instead of the config's. */
  executor?: Executor;
  onProgress?: (p: StageProgress) => void;
  signal?: AbortSignal;
  /** Instead of a clock's, between attempts to fetch an input. */
  sleep?: (ms: number) => Promise<void>;
}

type ExecutorConfig = Pick<BuildConfig, "executor" | "workers" | "slurm">;

function executorOf(config: ExecutorConfig, signal?: AbortSignal): Executor {
  switch (config.executor) {
    case "inline":
      return inlineExecutor(TASKS);
    case "local":
      return localExecutor({ workers: config.workers, signal });
    case "slurm":
      return slurmExecutor(config.slurm);
  }
}

/** Context for calling single steps: `jobContext(config)`, then `readShards(job, config, …)` and so on. */
export function jobContext(config: ExecutorConfig & { outDir: string }, ctx: BuildContext = {}): JobContext {
  const outDir = resolve(config.outDir);
  mkdirSync(outDir, { recursive: true });
  accessSync(outDir, constants.W_OK);
  return {
    outDir,
    executor: ctx.executor ?? executorOf(config, ctx.signal),
    hashes: new Map(),
    onProgress: ctx.onProgress,
    signal: ctx.signal,
    sleep: ctx.sleep,
  };
}
