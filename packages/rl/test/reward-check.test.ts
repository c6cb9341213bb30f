// Rewards that a recipe cannot mean, refused by its text alone: by `--dry-run`, and before anything is opened.
import { parseConfig } from "@nsa/core";
import { expect, test } from "vitest";
import { rewardsLeftOut } from "../src/rewards/check.ts";
import { dpoSchema } from "../src/stages/dpo/config.ts";
import { estimateDpo } from "../src/stages/dpo/estimate.ts";
import { checkGrpo, grpoSchema, stepsAddedUp } from "../src/stages/grpo/config.ts";

const mix = [
  { family: "addition", difficulty: 2, share: 0.5 },
  { family: "modular", difficulty: 3, share: 0.5 },
];
const base = { init: { checkpoint: "none" } };
const grpo = (rewards: object[], task: object = { mix }) =>
  checkGrpo(parseConfig(grpoSchema, { ...base, steps: 4, task, rewards } as never, "test"));
const dpo = (rewards: object[]) =>
  estimateDpo(
    parseConfig(
      dpoSchema,
      { ...base, pairs: "online", task: { mix }, rewards, train: { steps: 4 } } as never,
      "test",
    ),
  );

test.each<[string, object[], RegExp]>([
  [
    "ends_before_it_begins",
    [{ kind: "accuracy", from_step: 3, to_step: 2 }],
    /to_step 2 is before from_step 3/,
  ],
  [
    "begins_after_the_run",
    [
      { kind: "accuracy", from_step: 9 },
      { kind: "length", from_step: 5 },
    ],
    /all rewards begin after the run's last step/,
  ],
  ["scores_a_part_that_is_not_there", [{ kind: "accuracy", parts: ["additon"] }], /parts with additon/],
  [
    "scores_a_part_of_another_difficulty",
    [{ kind: "accuracy", parts: ["addition_3"] }],
    /parts with addition_3/,
  ],
  [
    "has_no_weight",
    [
      { kind: "accuracy", weight: 0 },
      { kind: "length", weight: 0 },
    ],
    /all rewards have weight 0/,
  ],
  ["is_a_model_without_one", [{ kind: "model" }], /reward of kind model/],
  ["is_a_process_model_without_one", [{ kind: "process_model" }], /reward of kind process_model/],
  ["is_a_program_without_one", [{ kind: "command" }], /reward of kind command/],
  ["is_a_file_without_one", [{ kind: "custom" }], /reward file/],
])("a_reward_that_%s_is_refused_by_grpo_and_dpo", (_, rewards, what) => {
  for (const check of [grpo, dpo])
    expect(() => check(rewards)).toThrow(
      expect.objectContaining({ exitCode: 2, what: expect.stringMatching(what) }),
    );
});

test("what_counts_at_one_step_or_for_one_part_is_taken", () => {
  grpo([{ kind: "accuracy", from_step: 4, to_step: 4 }]);
  grpo([
    { kind: "accuracy", parts: ["addition", "modular_3"] },
    { kind: "length", weight: 0 },
  ]);
  // A family alone is a mix of one part; records may name parts of their own.
  grpo([{ kind: "accuracy", parts: ["countdown_3"] }], { family: "countdown", difficulty: 3 });
  grpo([{ kind: "accuracy", parts: ["anything"] }], { file: "pool.jsonl" });
});

test("a_value_model_both_shared_and_begun_elsewhere_is_refused", () => {
  const config = parseConfig(
    grpoSchema,
    { ...base, steps: 4, algorithm: { advantage: "gae" }, value: { shared: true, init: "some" } } as never,
    "test",
  );
  expect(() => checkGrpo(config)).toThrow(
    expect.objectContaining({
      ...{ code: "value_model_mismatch", exitCode: 2, what: "value.init beside value.shared" },
    }),
  );
});

test("rewards_that_begin_after_the_run_are_named_and_the_others_count", () => {
  const late = [{ kind: "accuracy" }, { kind: "length", from_step: 5 }, { kind: "format", from_step: 4 }];
  const { rewards } = parseConfig(grpoSchema, { ...base, steps: 4, rewards: late } as never, "test");
  grpo(late);
  expect(rewardsLeftOut(rewards, 4)).toBe(
    "the run has 4 steps, so these rewards never count: length (from_step 5)",
  );
  expect(rewardsLeftOut(rewards, 5)).toBeUndefined();
});

test("rewards_of_steps_under_an_advantage_that_adds_them_up_are_spoken_of", () => {
  const said = (advantage: string, ...rewards: object[]) =>
    stepsAddedUp(
      parseConfig(grpoSchema, { ...base, steps: 4, algorithm: { advantage }, rewards } as never, "test"),
    );
  const steps = { kind: "process_model", checkpoint: "some" };
  expect(said("grpo", { kind: "accuracy" }, steps)).toMatch(
    /^algorithm\.advantage grpo adds up what process_model gives/,
  );
  expect(said("rloo", { kind: "equations" })).toMatch(/rloo adds up what equations gives/);
  expect(said("process", steps)).toBeUndefined();
  expect(said("gae", steps)).toBeUndefined();
  expect(said("grpo", { kind: "accuracy" }, { ...steps, weight: 0 })).toBeUndefined();
});
