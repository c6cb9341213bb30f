// Recipes of a run that is resumed with other settings: which was in force at which step, and what changed.
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import {
  changedSettings,
  changeRecipe,
  readRecipes,
  recipeAt,
  restoreRecipes,
} from "../src/recipe-history.ts";

/** Writes and removals that are still made; then the process is killed. */
let left = Number.POSITIVE_INFINITY;
class Killed extends Error {}
const mutate = () => {
  if (left-- <= 0) throw new Killed();
};
vi.mock("../src/atomic.ts", async (original) => {
  const actual = await original<typeof import("../src/atomic.ts")>();
  const atomicWriteFile: typeof actual.atomicWriteFile = (...args) => {
    mutate();
    actual.atomicWriteFile(...args);
  };
  return { ...actual, atomicWriteFile };
});
vi.mock("node:fs", async (original) => {
  const actual = await original<typeof import("node:fs")>();
  const remove: typeof actual.rmSync = (...args) => {
    mutate();
    actual.rmSync(...args);
  };
  return { ...actual, rmSync: remove };
});

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

test("a_change_of_type_is_a_change_and_both_values_show_their_types", () => {
  const changed = (former: string, now: string) => changedSettings(former, now);
  expect(changed('text: "1"\n', "text: 1\n")).toEqual(['text "1" → 1']);
  expect(changed("text: 'null'\n", "text: null\n")).toEqual(['text "null" → null']);
  expect(changed("on: true\n", 'on: "true"\n')).toEqual(['on true → "true"']);
  expect(changed("text: 'a: b'\n", "text: {a: b}\n")).toEqual(['text "a: b" → {"a":"b"}']);
  expect(changed("text: |\n  two\n  lines\n", "text: two\n")).toEqual(['text "two\\nlines\\n" → two']);
  expect(changed("list: [1, 2]\n", 'list: [1, "2"]\n')).toEqual(['list [1,2] → [1,"2"]']);
  expect(changed("a: {}\n", "a: {constructor: 2}\n")).toEqual(["a.constructor not set → 2"]);
  expect(changed("a: {b: 1, c: 2}\n", "a: {c: 2, b: 1}\n")).toEqual([]);
});

test("empty_mappings_and_null_are_values_and_a_key_is_named_once", () => {
  expect(changedSettings("a: 1\noptions: {}\n", "a: 1\n")).toEqual(["options {} → not set"]);
  expect(changedSettings("options: null\n", "options: {}\n")).toEqual(["options null → {}"]);
  expect(changedSettings("options: {}\n", "options: {b: 1}\n")).toEqual(["options.b not set → 1"]);
  expect(changedSettings("value: null\n", "value: {warmup: 3, init: x}\n")).toEqual([
    'value null → {"warmup":3,"init":"x"}',
  ]);
  expect(changedSettings("", "value: {warmup: 3}\n")).toEqual(["value.warmup not set → 3"]);
  expect(changedSettings("rewards: []\n", "rewards: [{kind: format}]\n")).toEqual([
    "rewards.0.kind not set → format",
  ]);
  expect(changedSettings("a: [1]\n", "a: {b: 1}\n")).toEqual(['a [1] → {"b":1}']);
});

test("a_change_of_type_keeps_the_former_recipe", () => {
  expect(change(3, 'lr: "1"\nsteps: 4\n')).toContain('lr 1 → "1";');
  expect(readFileSync(recipeAt(run, 3), "utf8")).toBe("lr: 1\nsteps: 4\n");
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

test("a_resume_from_an_earlier_checkpoint_forgets_the_recipes_after_it", () => {
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

/** A run of three recipes: lr 1 up to step 6, 2 up to step 9, 3 from there on. */
function threeRecipes() {
  rmSync(run, { recursive: true });
  run = mkdtempSync(join(tmpdir(), "nsa-recipes-"));
  writeFileSync(join(run, "config-until-000006.yaml"), "lr: 1\nsteps: 4\n");
  writeFileSync(join(run, "config-until-000009.yaml"), "lr: 2\nsteps: 4\n");
  writeFileSync(join(run, "config.yaml"), "lr: 3\nsteps: 4\n");
}

// States on the way: the former recipe written and the present one old, the present one new and later ones still there, some of those removed.
test.each([
  ["a_change_after_the_last_recipe", 12, "lr: 7\nsteps: 4\n"],
  ["a_change_before_later_recipes", 4, "lr: 7\nsteps: 4\n"],
  ["a_change_where_an_earlier_one_was_made", 6, "lr: 7\nsteps: 4\n"],
  ["the_present_recipe_from_an_earlier_step", 4, "lr: 3\nsteps: 4\n"],
  ["back_to_the_recipe_of_that_step", 4, "lr: 1\nsteps: 4\n"],
  ["another_recipe_from_the_start", 0, "lr: 7\nsteps: 4\n"],
] as const)("a_kill_between_the_writes_of_a_change_is_undone_by_the_next_resume_%s", (_, from, yaml) => {
  threeRecipes();
  const line = change(from, yaml);
  const [done, before] = [readRecipes(run), from > 0 ? readFileSync(recipeAt(run, from), "utf8") : undefined];
  let killed = true;
  for (let writes = 0; killed; writes++) {
    threeRecipes();
    left = writes;
    try {
      change(from, yaml);
      killed = false;
    } catch (error) {
      if (!(error instanceof Killed)) throw error;
    } finally {
      left = Number.POSITIVE_INFINITY;
    }
    // Steps up to the checkpoint stay with their own recipe, in the state that the kill left, too.
    if (before !== undefined)
      expect(readFileSync(recipeAt(run, from), "utf8"), `${writes} writes`).toBe(before);
    if (killed) expect([line, undefined], `${writes} writes`).toContain(change(from, yaml));
    expect(readRecipes(run), `${writes} writes`).toEqual(done);
  }
});
