// The table of task kinds: what a worker process or a Slurm array element can be asked to do.
import type { TaskTable } from "../jobs/task.ts";
import { cleanTask } from "./clean-task.ts";
import { domainsTask } from "./domains-task.ts";
import { emitTask } from "./emit-task.ts";
import { exactTask } from "./exact-task.ts";
import { minhashTask } from "./minhash-task.ts";
import { clusterTask, nearTask } from "./near-task.ts";
import { rankTask } from "./rank-task.ts";
import { readTask } from "./read-task.ts";
import { scoreTask } from "./score-task.ts";
import { trainTask } from "./train-task.ts";

export const TASKS: TaskTable = {
  read: readTask,
  exact: exactTask,
  minhash: minhashTask,
  near: nearTask,
  cluster: clusterTask,
  clean: cleanTask,
  train: trainTask,
  score: scoreTask,
  rank: rankTask,
  domains: domainsTask,
  emit: emitTask,
};
