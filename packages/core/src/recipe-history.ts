// The recipes that a run has had: config.yaml is the present one, config-until-000006.yaml the one that was in force up to step 6.
//
// A resume with other settings changes the recipe from the step after its checkpoint on. The former recipe is written beside config.yaml
// before that is replaced, and recipes of steps after the checkpoint are removed last: a kill in between loses none that the next resume
// from that checkpoint compares with.
import { readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { isDeepStrictEqual } from "node:util";
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

type Entries = Readonly<Record<string, unknown>>;

/** Whether a value is compared by its entries: mappings and lists of them; lists of plain values are values. */
const isNested = (value: unknown): value is Entries =>
  typeof value === "object" &&
  value !== null &&
  (!Array.isArray(value) || value.some((item) => typeof item === "object" && item !== null));

/** Whether two values of a key are compared by their entries: of one structure, or one of them not set. */
function byEntries(before: unknown, after: unknown): boolean {
  if (!isNested(before) && !isNested(after)) return false;
  if (before === undefined || after === undefined) return Object.keys(before ?? after ?? {}).length > 0;
  const structured = [before, after].every((value) => typeof value === "object" && value !== null);
  return structured && Array.isArray(before) === Array.isArray(after);
}

/** Whether YAML reads a text as itself, so that without quotes it is no number, mapping or null. */
function isPlainText(text: string): boolean {
  try {
    return !text.includes("\n") && parse(text) === text;
  } catch {
    return false;
  }
}

function shown(value: unknown): string {
  if (value === undefined) return "not set";
  return typeof value === "string" && isPlainText(value) ? value : JSON.stringify(value);
}

const own = (entries: Entries, name: string) => (Object.hasOwn(entries, name) ? entries[name] : undefined);

/** `key old → new` of a key, or of those below it. */
function differences(before: unknown, after: unknown, key: string): string[] {
  if (isDeepStrictEqual(before, after)) return [];
  if (!byEntries(before, after)) return [`${key} ${shown(before)} → ${shown(after)}`];
  const [old, present] = [(before ?? {}) as Entries, (after ?? {}) as Entries];
  const names = new Set([...Object.keys(present), ...Object.keys(old)]);
  return [...names].flatMap((name) =>
    differences(own(old, name), own(present, name), key === "" ? name : `${key}.${name}`),
  );
}

/** `key old → new` of each setting whose value or type differs between two recipes, in the order of the newer one. */
export const changedSettings = (former: string, now: string): string[] =>
  differences(parse(former) ?? {}, parse(now) ?? {}, "");

export interface RecipeChange {
  /** Last step that was made with the former recipe: the run goes on after it. */
  from: number;
  /** The recipe in force from now on. */
  yaml: string;
  /** A recipe with today's defaults filled in, so that a new key of the schema is no change. */
  complete: (path: string) => string;
}

/**
 * Puts another recipe in force; for the process that holds the run. Returns what changes after step `from`, as a line for people; undefined
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
  atomicWriteFile(present, yaml);
  // The one in force at `from` goes last: until then it is the one to compare with.
  for (const { until, path } of formerRecipes(runDir).reverse())
    if (until >= from && path !== kept) rmSync(path, { force: true });
  if (changes.length === 0 || repeated) return undefined;
  const where = kept ? `; ${formerRecipeName(from)} is the recipe up to step ${from}` : "";
  return `from step ${from + 1} on: ${changes.join(", ")}${where}`;
}
