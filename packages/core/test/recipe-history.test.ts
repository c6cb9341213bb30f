// Recipes of a run that is resumed with other settings: which was in force at which step, and what changed.
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import {
  changedSettings,
  changeRecipe,
  readRecipes,
  recipeAt,
  restoreRecipes,
} from "../src/recipe-history.ts";

let run = "";
beforeEach(() => {
  run = mkdtempSync(join(tmpdir(), "nsa-recipes-"));
  writeFileSync(join(run, "config.yaml"), "lr: 1\nsteps: 4\n");
});
afterEach(() => rmSync(run, { recursive: true }));

const complete = (path: string) => readFileSync(path, "utf8");
const change = (from: number, yaml: string) => changeRecipe(run, { from, yaml, complete });
const at = (step: number) => basename(recipeAt(run, step));
const names = () => readdirSync(run).sort();

test("settings_are_named_by_their_dotted_keys_with_both_values", () => {
  const former = "a: {b: 1, c: [x, y]}\nrewards: [{kind: accuracy, weight: 1}]\ntext: ''\n";
  const now = "a: {b: 2.5, c: [x]}\nrewards: [{kind: accuracy, weight: 0.5}, {kind: format}]\ntext: word\n";
  expect(changedSettings(former, now)).toEqual([
    "a.b 1 → 2.5",
    'a.c ["x","y"] → ["x"]',
    "rewards.0.weight 1 → 0.5",
    "rewards.1.kind not set → format",
    'text "" → word',
  ]);
  expect(changedSettings(now, "a: {b: 2.5, c: [x]}\n")).toContain("text word → not set");
  expect(changedSettings(former, former)).toEqual([]);
});

test("each_recipe_is_found_at_the_steps_that_were_made_with_it", () => {
  expect(change(6, "lr: 2\nsteps: 4\n")).toBe(
    "from step 7 on: lr 1 → 2; config-until-000006.yaml is the recipe up to step 6",
  );
  expect(change(9, "lr: 2\nsteps: 8\n")).toContain("from step 10 on: steps 4 → 8;");
  expect([1, 6, 7, 9, 10].map(at)).toEqual([
    ...["config-until-000006.yaml", "config-until-000006.yaml", "config-until-000009.yaml"],
    ...["config-until-000009.yaml", "config.yaml"],
  ]);
  expect(readFileSync(recipeAt(run, 3), "utf8")).toBe("lr: 1\nsteps: 4\n");
  expect(readFileSync(recipeAt(run, 8), "utf8")).toBe("lr: 2\nsteps: 4\n");
});

test("a_resume_without_other_settings_says_nothing_and_keeps_nothing", () => {
  expect(change(6, "lr: 1\nsteps: 4\n")).toBeUndefined();
  expect(names()).toEqual(["config.yaml"]);
  change(6, "lr: 2\nsteps: 4\n");
  expect(change(6, "lr: 2\nsteps: 4\n")).toBeUndefined();
  expect(names()).toEqual(["config-until-000006.yaml", "config.yaml"]);
});

test("a_key_that_the_schema_has_gained_is_no_change", () => {
  const gained = (path: string) => `${readFileSync(path, "utf8")}warmup: 0\n`;
  expect(
    changeRecipe(run, { from: 3, yaml: "lr: 1\nsteps: 4\nwarmup: 0\n", complete: gained }),
  ).toBeUndefined();
  expect(names()).toEqual(["config.yaml"]);
});

test("settings_changed_again_or_back_at_the_same_step_are_compared_with_those_in_force_before_it", () => {
  change(6, "lr: 2\nsteps: 4\n");
  expect(change(6, "lr: 3\nsteps: 4\n")).toContain("lr 1 → 3;");
  expect(readFileSync(recipeAt(run, 6), "utf8")).toBe("lr: 1\nsteps: 4\n");
  expect(change(6, "lr: 1\nsteps: 4\n")).toBeUndefined();
  expect(names()).toEqual(["config.yaml"]);
});

test("a_resume_from_an_earlier_checkpoint_forgets_the_recipes_behind_it", () => {
  change(6, "lr: 2\nsteps: 4\n");
  change(9, "lr: 3\nsteps: 4\n");
  expect(change(4, "lr: 3\nsteps: 4\n")).toContain("from step 5 on: lr 1 → 3;");
  expect(names()).toEqual(["config-until-000004.yaml", "config.yaml"]);
  expect([at(4), at(5)]).toEqual(["config-until-000004.yaml", "config.yaml"]);
  // From the start no step of the former recipes is left.
  expect(change(0, "lr: 5\nsteps: 4\n")).toBe("from step 1 on: lr 1 → 5");
  expect(names()).toEqual(["config.yaml"]);
});

test("recipes_of_a_refused_resume_are_put_back", () => {
  change(6, "lr: 2\nsteps: 4\n");
  const before = readRecipes(run);
  change(4, "lr: 9\nsteps: 4\n");
  restoreRecipes(run, before);
  expect(readRecipes(run)).toEqual(before);
});
