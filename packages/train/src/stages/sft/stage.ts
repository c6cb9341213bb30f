// The definition of the `sft` stage.
import { join } from "node:path";
import { defineStage } from "@nsa/core";
import { templateInputs } from "@nsa/tasks";
import { trainingFigures, trainingOverview, trainingPlots } from "../figures.ts";
import { sftSchema } from "./config.ts";
import { estimateSft, runSft } from "./run.ts";

export const sftStage = defineStage({
  name: "sft",
  about: "teach a checkpoint to answer in the formats of examples",
  schema: sftSchema,
  run: runSft,
  estimate: estimateSft,
  plannedOutputs: ({ initFrom }) => ({ checkpoint: initFrom }),
  inputFiles: ({ initFrom, data, distill }) => [
    join(initFrom, "tokenizer.json"),
    ...(distill ? [join(distill.teacher, "tokenizer.json")] : []),
    ...templateInputs(data.chatTemplate),
    ...data.sources.flatMap(({ files }) => files),
  ],
  figures: [...trainingFigures, { metric: "distill/divergence", label: "divergence", format: "figure" }],
  plots: trainingPlots,
  overview: trainingOverview("Fine-tuning on examples"),
});
