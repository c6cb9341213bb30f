// Stages in the folder of a pipeline run: `stages/<name>` with the order and the kinds that the pipeline's recipe gives them.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { parse } from "yaml";

export interface StageFolder {
  name: string;
  /** Kind of stage; empty where the recipe does not name the folder. */
  stage: string;
  path: string;
}

function recipeStages(runDir: string): { name: string; stage: string }[] {
  try {
    const { stages } = parse(readFileSync(join(runDir, "config.yaml"), "utf8")) as { stages?: unknown };
    return Array.isArray(stages) ? stages.filter((s) => typeof s?.name === "string") : [];
  } catch {
    // A run of one stage has no such recipe; one that cannot be read names no stage.
    return [];
  }
}

/** The stages of a pipeline's folder that have begun, in the order of its recipe, behind those that it no longer names; none for other runs. Copying a folder changes nothing. */
export function stageFolders(runDir: string): StageFolder[] {
  const root = join(runDir, "stages");
  if (!existsSync(root)) return [];
  const there = new Set(readdirSync(root));
  const named = recipeStages(runDir).filter(({ name }) => there.has(name));
  for (const { name } of named) there.delete(name);
  const unnamed = [...there].sort().map((name) => ({ name, stage: "" }));
  return [...unnamed, ...named].map(({ name, stage }) => ({
    name,
    stage: String(stage),
    path: join(root, name),
  }));
}

/** How many stages a pipeline's recipe has, and how many are finished. */
export function pipelineProgress(runDir: string): { done: number; total: number } {
  const done = stageFolders(runDir).filter(({ path }) => existsSync(join(path, "result.json")));
  return { done: done.length, total: recipeStages(runDir).length };
}

/** Kind of the stage that lies at the path, where it is one of a pipeline's. */
export function stageInPipeline(path: string): string | undefined {
  const match = /^(.*)\/stages\/[^/]+$/.exec(path);
  return match ? stageFolders(match[1]!).find((folder) => folder.path === path)?.stage : undefined;
}
