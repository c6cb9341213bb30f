// The schema of the recipe of `nsa pipeline run`.
import { withPlugins } from "@nsa/core";
import { z } from "zod";
import { stageNames } from "./stages.ts";

/** Stages are those registered by now. */
export const pipelineSchema = () =>
  withPlugins(
    z.strictObject({
      name: z.string().default("pipeline").describe("Name of the run"),
      stages: z
        .array(
          z.strictObject({
            name: z
              .string()
              .regex(/^[\w-]+$/)
              .describe("Name that later stages refer to, as {name.output}"),
            stage: z.enum(stageNames()).describe("What to run"),
            config: z.string().describe("Recipe, relative to this file"),
            set: z
              .array(z.string())
              .default([])
              .describe(
                "Overrides; {name.output} becomes an earlier stage's output, {stage.dir} the stage's folder",
              ),
          }),
        )
        .min(1)
        .describe("In order"),
      set: z
        .array(z.string())
        .default([])
        .describe(
          "Overrides STAGE.key=value, applied after the stages' own, as `--set` has them: what a recipe that `extends` another one changes of its stages",
        ),
    }),
  );
