// The definition of the `pretrain` stage.
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { defineStage } from "@nsa/core";
import { writeArchitecture } from "@nsa/model";
import { trainingFigures, trainingOverview, trainingPlots } from "../figures.ts";
import { pretrainSchema } from "./config.ts";
import { estimatePretrain, pretrainModelConfig, runPretrain } from "./run.ts";

export const pretrainStage = defineStage({
  name: "pretrain",
  about: "train a transformer on text",
  schema: pretrainSchema,
  run: runPretrain,
  estimate: estimatePretrain,
  plannedOutputs(config, folder) {
    // A checkpoint of which only the architecture is known.
    const checkpoint = join(folder, "checkpoint");
    mkdirSync(checkpoint, { recursive: true });
    writeArchitecture(checkpoint, pretrainModelConfig(config));
    return { checkpoint, tokenizer: join(folder, "tokenizer") };
  },
  inputFiles: ({ data }) => data.sources.flatMap((source) => ("files" in source ? source.files : [])),
  figures: trainingFigures,
  plots: trainingPlots,
  overview: trainingOverview("Pretraining"),
});
