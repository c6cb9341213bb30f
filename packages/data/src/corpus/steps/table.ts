// The table of corpus steps: what a worker process or a Slurm array element can be asked to do.
import type { TaskTable } from "../jobs/task.ts";
import { cleanStep } from "./clean.ts";
import { clusterStep } from "./cluster.ts";
import { domainsStep } from "./domains.ts";
import { emitStep } from "./emit.ts";
import { exactStep } from "./exact.ts";
import { minhashStep } from "./minhash.ts";
import { nearStep } from "./near.ts";
import { rankStep } from "./rank.ts";
import { readStep } from "./read.ts";
import { scoreStep } from "./score.ts";
import { taskOf } from "./step.ts";
import { trainStep } from "./train.ts";

export const TASKS: TaskTable = {
  [readStep.kind]: taskOf(readStep),
  [exactStep.kind]: taskOf(exactStep),
  [minhashStep.kind]: taskOf(minhashStep),
  [nearStep.kind]: taskOf(nearStep),
  [clusterStep.kind]: taskOf(clusterStep),
  [cleanStep.kind]: taskOf(cleanStep),
  [trainStep.kind]: taskOf(trainStep),
  [scoreStep.kind]: taskOf(scoreStep),
  [rankStep.kind]: taskOf(rankStep),
  [domainsStep.kind]: taskOf(domainsStep),
  [emitStep.kind]: taskOf(emitStep),
};
