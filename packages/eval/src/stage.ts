// The definition of the `eval` stage.
import { isAbsolute, join } from "node:path";
import { defineStage, outputsNamed } from "@nsa/core";
import { findTask } from "@nsa/tasks";
import { budgetSections } from "./budgets.ts";
import { type EvalConfig, evalSchema } from "./config.ts";
import { pairedSections } from "./paired.ts";
import { estimateEval, runEval } from "./run.ts";

/** The tokenizer, the tasks' records and texts, and the reward model. */
function inputFiles({ checkpoint, tokenizer, rewardModel, dataDir, tasks }: EvalConfig): string[] {
  const inFolder = (path: string) => (isAbsolute(path) ? path : join(dataDir, path));
  return [
    tokenizer ?? join(checkpoint, "tokenizer.json"),
    ...(rewardModel === undefined ? [] : [join(rewardModel, "reward.json")]),
    ...tasks.flatMap((task) => {
      if (task.kind === "positions") return task.files;
      if (task.kind === "needle") return task.files;
      return task.kind === "family" ? [] : findTask(task.task).files.map(inFolder);
    }),
  ];
}

export const evalStage = defineStage({
  name: "eval",
  about: "measure a checkpoint on tasks",
  schema: evalSchema,
  run: runEval,
  estimate: estimateEval,
  inputFiles,
  plannedOutputs: outputsNamed("summary", "samples"),
  sections: (runDir) => [...pairedSections(runDir), ...budgetSections(runDir)],
  overview: { result: "accuracy {*/accuracy:percent}" },
});
