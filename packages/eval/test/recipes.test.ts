// The committed recipes load under their schemas and cost what they say.
import { readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { loadConfig } from "@nsa/core";
import { findTask } from "@nsa/tasks";
import { estimatePretrain, pretrainSchema, sftSchema } from "@nsa/train";
import { expect, test } from "vitest";
import { evalSchema } from "../src/index.ts";

const configs = fileURLToPath(new URL("../../../configs/", import.meta.url));

test("every_pretrain_recipe_loads_and_the_quickstart_has_a_million_parameters", () => {
  const files = readdirSync(`${configs}pretrain`);
  for (const file of files) {
    const { config } = loadConfig(pretrainSchema, `${configs}pretrain/${file}`);
    const estimate = estimatePretrain(config);
    // The smallest are students of distillation.
    expect(estimate.parameters, file).toBeGreaterThan(5e4);
    if (file !== "quickstart.yaml") continue;
    expect(estimate.parameters).toBeGreaterThan(1e6);
    expect(estimate.parameters).toBeLessThan(1.6e6);
  }
  expect(files).toContain("quickstart.yaml");
});

test("the_books_recipes_differ_in_attention_alone_and_nsa_reads_at_most_half_of_what_it_sees", () => {
  const [nsa, full, window] = ["nsa", "full", "window"].map(
    (kind) => loadConfig(pretrainSchema, `${configs}pretrain/books-${kind}.yaml`).config,
  ) as [
    ReturnType<typeof pretrainSchema.parse>,
    ReturnType<typeof pretrainSchema.parse>,
    ReturnType<typeof pretrainSchema.parse>,
  ];
  for (const other of [full, window]) {
    const same = { ...other, name: nsa.name, model: { ...other.model, attention: nsa.model.attention } };
    expect(same).toEqual(nsa);
  }
  const { numSelectedBlocks, selectionBlockSize, windowSize } = nsa.model;
  expect(numSelectedBlocks * selectionBlockSize + windowSize).toBeLessThanOrEqual(nsa.train.seqLen / 2);
});

test("every_sft_recipe_loads", () => {
  for (const file of readdirSync(`${configs}sft`)) {
    expect(loadConfig(sftSchema, `${configs}sft/${file}`).config.data.sources.length).toBeGreaterThan(0);
  }
});

test("every_eval_recipe_loads_and_names_tasks_that_exist", () => {
  for (const file of readdirSync(`${configs}eval`)) {
    const { config } = loadConfig(evalSchema, `${configs}eval/${file}`);
    for (const task of config.tasks)
      if ("task" in task) expect(findTask(task.task).files.length).toBeGreaterThan(0);
  }
});
