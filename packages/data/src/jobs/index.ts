// Resumable jobs: tasks, manifests, stages and the executors that run them.
export { type LocalOptions, localExecutor } from "./local.ts";
export { hashFile, type Manifest, writeAtomic } from "./manifest.ts";
export { arrayRanges, type SlurmOptions, slurmExecutor } from "./slurm.ts";
export {
  type Executor,
  inlineExecutor,
  type JobContext,
  runStage,
  type StageProgress,
} from "./stage.ts";
export { runTask, type Task, type TaskIo, type TaskTable } from "./task.ts";
