// Every kind of recipe with its schema: stages and pipelines.
import { didYouMean, NsaError } from "@nsa/core";
import type { z } from "zod";
import { loadStage, STAGES, stageNames } from "./stages.ts";

/** Kinds of recipe, as `nsa config` names them; each has a folder of examples in configs/. */
export const RECIPES = [...STAGES, "pipeline"] as const;

/** The schema of a kind of recipe. Throws NsaError `recipe_unknown` (exit 2). */
export async function loadSchema(kind: string): Promise<z.ZodType> {
  if (kind === "pipeline") return (await import("./pipeline-schema.ts")).pipelineSchema();
  if (stageNames().includes(kind)) return (await loadStage(kind)).schema;
  const kinds = [...stageNames(), "pipeline"];
  const near = didYouMean(kind, kinds);
  throw new NsaError({
    code: "recipe_unknown",
    what: `no kind of recipe "${kind}"`,
    why: `there are ${kinds.join(", ")}`,
    fix: near ? `did you mean ${near}?` : "choose one of them",
    exitCode: 2,
  });
}
