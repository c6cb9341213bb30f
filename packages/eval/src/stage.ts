// The definition of the `eval` stage.
import { defineStage, outputsNamed } from "@nsa/core";
import { evalSchema } from "./config.ts";
import { pairedSections } from "./paired.ts";
import { estimateEval, runEval } from "./run.ts";

export const evalStage = defineStage({
  name: "eval",
  about: "measure a checkpoint on tasks",
  schema: evalSchema,
  run: runEval,
  estimate: estimateEval,
  plannedOutputs: outputsNamed("summary", "samples"),
  sections: pairedSections,
  overview: { result: "accuracy {*/accuracy:percent}" },
});
