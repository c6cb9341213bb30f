// What the folder of a pipeline's stage holds so far.
import { existsSync } from "node:fs";
import { join } from "node:path";
import { readJsonl, readRunJson } from "@nsa/core";
import { readFinished } from "../commands/finished-stage.ts";
import type { PipelineStage } from "../commands/pipeline-recipe.ts";
import type { Row } from "./charts.ts";

/** Seconds that a stage ran (not those of attempts that were killed), and how often it was started. */
export interface Timing {
  seconds: number;
  starts: number;
}

/** A stage with what its folder holds so far. */
export interface StageFolder {
  stage: PipelineStage;
  path: string;
  /** Relative to the pipeline's folder. */
  link: string;
  rows: Row[];
  outputs?: Record<string, string>;
  timing?: Timing;
}

/** The folder of `stage` in the pipeline's folder `dir`; undefined where it has not begun. */
export function readFolder(dir: string, stage: PipelineStage): StageFolder | undefined {
  const path = join(dir, "stages", stage.name);
  if (!existsSync(path)) return undefined;
  const result = readFinished(path);
  return {
    stage,
    path,
    link: `stages/${encodeURIComponent(stage.name)}/report.html`,
    rows: readJsonl<Row>(join(path, "metrics.jsonl")),
    outputs: result?.outputs,
    timing: (readRunJson(path, "timing.json") as Timing | null) ?? undefined,
  };
}
