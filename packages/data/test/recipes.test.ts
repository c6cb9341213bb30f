// The data recipes pass the schema, and wrong keys are named.
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { loadConfig } from "@nsa/core";
import { expect, test } from "vitest";
import { BuildConfig } from "../src/index.ts";

const recipes = join(import.meta.dirname, "../../../configs/data");

test.each(readdirSync(recipes))("recipe_%s_passes_the_schema", (name) => {
  const { config } = loadConfig(BuildConfig, join(recipes, name));
  expect(config.budgetTokens).toBeGreaterThan(0);
});

test("the_papers_recipe_has_the_papers_settings", () => {
  const { config } = loadConfig(BuildConfig, join(recipes, "deepseekmath.yaml"));
  expect(config.fasttext).toMatchObject({ dim: 256, lr: 0.1, wordNgrams: 3, minCount: 3, epoch: 3 });
  expect(config.loop).toMatchObject({ maxRounds: 4, domainShare: 0.1, refusedAsNegatives: false });
});

test("a_misspelt_key_is_answered_with_the_right_one", () => {
  const set = ["budget_tokns=5"];
  expect(() => loadConfig(BuildConfig, join(recipes, "mixed-pool.yaml"), { set })).toThrowError(
    expect.objectContaining({ code: "config_unknown_key", fix: expect.stringContaining("budget_tokens") }),
  );
});
