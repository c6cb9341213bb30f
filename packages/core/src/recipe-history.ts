// The recipes that a run has had: config.yaml is the present one, config-until-000006.yaml the one that was in force up to step 6.
//
// A resume with other settings changes the recipe from the step after its checkpoint on. The former recipe is written beside config.yaml
// before that is replaced, so that a kill in between loses neither; recipes of steps behind the checkpoint are removed with those steps.
import { readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { parse } from "yaml";
import { atomicWriteFile } from "./atomic.ts";

const FORMER = /^config-until-(\d{6,})\.yaml$/;

export interface FormerRecipe {
  /** Last step that it was in force for. */
  until: number;
  path: string;
}

export const formerRecipeName = (until: number): string =>
  `config-until-${String(until).padStart(6, "0")}.yaml`;

/** Recipes that are no longer in force, by their last steps, ascending. */
export function formerRecipes(runDir: string): FormerRecipe[] {
  return readdirSync(runDir)
    .flatMap((name) => {
      const until = FORMER.exec(name)?.[1];
      return until === undefined ? [] : [{ until: Number(until), path: join(runDir, name) }];
    })
    .sort((a, b) => a.until - b.until);
}

/** Path of the recipe that was in force at a step. */
export const recipeAt = (runDir: string, step: number): string =>
  formerRecipes(runDir).find(({ until }) => step <= until)?.path ?? join(runDir, "config.yaml");

/** The texts of all recipes of a run by their files' names. */
export function readRecipes(runDir: string): ReadonlyMap<string, string> {
  const names = readdirSync(runDir).filter((name) => name === "config.yaml" || FORMER.test(name));
  return new Map(names.map((name) => [name, readFileSync(join(runDir, name), "utf8")]));
}

/** Puts the recipes back as they were when they were read. */
export function restoreRecipes(runDir: string, recipes: ReadonlyMap<string, string>): void {
  const now = readRecipes(runDir);
  for (const [name, text] of recipes) if (now.get(name) !== text) atomicWriteFile(join(runDir, name), text);
  for (const name of now.keys()) if (!recipes.has(name)) rmSync(join(runDir, name), { force: true });
}

/** Values of a recipe by their dotted keys; lists of plain values are values. */
function settingsOf(value: unknown, key = ""): [string, string][] {
  const nested = Array.isArray(value) ? value.some((item) => typeof item === "object") : true;
  if (typeof value !== "object" || value === null || !nested)
    return [[key, typeof value === "string" && value !== "" ? value : JSON.stringify(value)]];
  return Object.entries(value).flatMap(([name, item]) =>
    settingsOf(item, key === "" ? name : `${key}.${name}`),
  );
}

/** `key old → new` of each setting that differs between two recipes, in the order of the newer one. */
export function changedSettings(former: string, now: string): string[] {
  const [old, present] = [former, now].map((yaml) => new Map(settingsOf(parse(yaml) ?? {})));
  return [...new Set([...present!.keys(), ...old!.keys()])].flatMap((key) => {
    const [before, after] = [old!.get(key), present!.get(key)];
    return before === after ? [] : [`${key} ${before ?? "not set"} → ${after ?? "not set"}`];
  });
}

export interface RecipeChange {
  /** Last step that was made with the former recipe: the run goes on behind it. */
  from: number;
  /** The recipe in force from now on. */
  yaml: string;
  /** A recipe with today's defaults filled in, so that a new key of the schema is no change. */
  complete: (path: string) => string;
}

/**
 * Puts another recipe in force; for the process that holds the run. Returns what changes behind step `from`, as a line for people; undefined
 * where nothing does, or where it was noted by an earlier resume from the same step.
 */
export function changeRecipe(runDir: string, { from, yaml, complete }: RecipeChange): string | undefined {
  const present = join(runDir, "config.yaml");
  const inForce = recipeAt(runDir, from);
  const changes = changedSettings(complete(inForce), yaml);
  const noted = inForce !== present && changedSettings(complete(present), yaml).length === 0;
  const kept = from > 0 && changes.length > 0 ? join(runDir, formerRecipeName(from)) : undefined;
  const former = readFileSync(inForce, "utf8");
  if (kept && kept !== inForce) atomicWriteFile(kept, former);
  const repeated = noted && inForce === kept;
  for (const { until, path } of formerRecipes(runDir))
    if (until >= from && path !== kept) rmSync(path, { force: true });
  atomicWriteFile(present, yaml);
  if (changes.length === 0 || repeated) return undefined;
  const where = kept ? `; ${formerRecipeName(from)} is the recipe up to step ${from}` : "";
  return `from step ${from + 1} on: ${changes.join(", ")}${where}`;
}
