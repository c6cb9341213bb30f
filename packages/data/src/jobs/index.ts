// Resumable jobs: tasks, manifests, stages and the executors that run them.
export { hashFile, type Manifest, writeAtomic } from "./manifest.ts";
export {
  type Executor,
  inlineExecutor,
  type JobContext,
  runStage,
  type StageProgress,
} from "./stage.ts";
export { runTask, type Task, type TaskIo, type TaskTable } from "./task.ts";
