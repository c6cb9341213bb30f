// Complaints of the command-line parser: each kind says what is wrong, why, and what to do; recipes of other stages are named as such.
import { join } from "node:path";
import { expect, test } from "vitest";
import { loadOfStage, ofStage } from "../src/commands/other-stage.ts";
import { pipelineSchema } from "../src/commands/pipeline-schema.ts";
import { loadStage } from "../src/commands/stages.ts";
import { nsa, root } from "./built.ts";

const said = (...args: string[]) => {
  const { stderr, status } = nsa(args);
  expect(status).toBe(2);
  return stderr.trim().split("\n");
};

test.each<[string, string[], string[]]>([
  [
    "a_number_that_is_none",
    ["rollouts", "latest", "--min-reward", "abc"],
    ["error: --min-reward <x>: abc", "why: it must be a number", "fix: give a number"],
  ],
  [
    "a_number_out_of_bounds",
    ["rollouts", "latest", "--step", "0"],
    [
      "error: --step <n>: 0",
      "why: it must be a whole number of at least 1",
      "fix: give a whole number of at least 1",
    ],
  ],
  [
    "a_choice_that_is_none",
    ["replay", "latest", "--step", "1", "--device", "tpu"],
    [
      "error: --device <name>: tpu",
      "why: it must be one of auto, cpu, cuda",
      "fix: give one of auto, cpu, cuda",
    ],
  ],
  [
    "a_required_option",
    ["replay", "latest"],
    ["error: there is no --step <n>", "why: the command needs it", "fix: add --step <n>; see"],
  ],
  [
    "a_required_argument",
    ["replay", "--step", "1"],
    ["error: there is no <run>", "why: the command needs it", "fix: add the run; see"],
  ],
  [
    "an_option_without_its_value",
    ["replay", "latest", "--step"],
    ["error: --step <n> without a value", "why: the option takes one", "fix: write --step <n>; see"],
  ],
  [
    "an_unknown_option",
    ["replay", "latest", "--step", "1", "--stp", "1"],
    ["error: unknown option '--stp'", "why: the command has no such option", "fix: did you mean --step?"],
  ],
  [
    "an_unknown_command",
    ["rplay"],
    ["error: unknown command 'rplay'", "why: there is no command of this name", "fix: did you mean replay?"],
  ],
  [
    "an_argument_too_many",
    ["replay", "latest", "more", "--step", "1"],
    ["error: too many arguments for `replay`", "why: 2 are given, and it takes 1", "fix: leave the others"],
  ],
])("%s", (_, args, lines) => {
  const found = said(...args);
  expect(found).toHaveLength(3);
  for (const [i, line] of lines.entries()) expect(found[i]!.trim()).toContain(line);
});

const recipe = (name: string) => join(root, "configs", name);

test.each([
  ["dpo", "grpo/sums.yaml", "grpo"],
  ["grpo", "dpo/sums.yaml", "dpo"],
  ["pretrain", "eval/sums.yaml", "eval"],
  ["eval", "sample/sums.yaml", "sample"],
  ["reward", "pipelines/unified.yaml", "pipeline run"],
])("a_recipe_for_%s_that_is_%s_is_named_as_one_of_%s", async (stage, file, other) => {
  const { schema } = await loadStage(stage);
  await expect(loadOfStage(stage, schema, recipe(file), [])).rejects.toMatchObject({
    code: "recipe_of_other_stage",
    exitCode: 2,
    what: `${recipe(file)} is no recipe of \`nsa ${stage}\``,
    why: `this is a recipe of ${other}`,
    fix: expect.stringContaining(`run \`nsa ${other}\` with it`),
  });
});

test("a_recipe_of_a_stage_is_no_pipeline_and_a_wrong_key_of_the_own_stage_stays_what_it_is", async () => {
  const schema = pipelineSchema();
  const load = () => loadOfStage("pipeline", schema, recipe("grpo/sums.yaml"), []);
  await expect(load()).rejects.toMatchObject({ why: "this is a recipe of grpo" });
  const grpo = (await loadStage("grpo")).schema;
  await expect(loadOfStage("grpo", grpo, recipe("grpo/sums.yaml"), ["stps=3"])).rejects.toMatchObject({
    code: "config_unknown_key",
    fix: "did you mean `steps`?",
  });
  const fails = () => {
    throw new Error("of another kind");
  };
  await expect(ofStage("dpo", schema, recipe("grpo/sums.yaml"), fails)).rejects.toThrow("of another kind");
});
