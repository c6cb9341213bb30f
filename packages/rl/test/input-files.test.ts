// Files that each stage reads, so that those that are not there are named before a run begins.
import { join } from "node:path";
import { expect, test } from "vitest";
import {
  dpoSchema,
  dpoStage,
  grpoSchema,
  grpoStage,
  rewardModelSchema,
  rewardStage,
  sampleSchema,
  sampleStage,
} from "../src/index.ts";

const init = { checkpoint: "policy" };

test("a_grpo_run_reads_its_reward_models_their_recipe_and_history_and_the_value_models_start", () => {
  const config = grpoSchema.parse({
    init,
    task: { file: "problems.jsonl" },
    iterations: { count: 2, steps: 3, rewardModel: { recipe: "reward.yaml", history: ["old-*.jsonl"] } },
    algorithm: { advantage: "gae" },
    value: { init: "judge" },
    rewards: [
      { kind: "model", checkpoint: "judge", ensemble: ["other"] },
      { kind: "custom", file: "length.ts" },
    ],
  });
  expect(grpoStage.inputFiles!(config).sort()).toEqual([
    "judge/reward.json",
    "judge/tokenizer.json",
    "length.ts",
    "old-*.jsonl",
    "other/reward.json",
    "policy/tokenizer.json",
    "problems.jsonl",
    "reward.yaml",
  ]);
});

test("programs_of_rewards_and_templates_of_chats_are_named_where_they_are_not_there", () => {
  const here = import.meta.dirname;
  const command = (...words: string[]) => ({ kind: "command", command: words });
  const rewards = [command("node", "x.mjs"), command("no-such-program"), command("./no/such/program", "-x")];
  // A folder, and a file that cannot be run, are no programs.
  rewards.push(command(here), command(join(here, "input-files.test.ts")));
  const missing = rewards.slice(1).map(({ command: [program] }) => `a reward of kind command: ${program}`);
  const named = missing.map((what) =>
    expect.objectContaining({ code: "reward_command_missing", exitCode: 2, what }),
  );
  const config = grpoSchema.parse({ init, rewards });
  expect(grpoStage.inputFiles!(config)).toEqual(["policy/tokenizer.json"]);
  expect(grpoStage.missingInputs!(config)).toEqual(named);
  expect(sampleStage.missingInputs!(sampleSchema.parse({ init, rewards }))).toEqual(named);
  const online = dpoSchema.parse({ init, rewards, pairs: "online" });
  expect(dpoStage.missingInputs!(online)).toEqual(named);
  expect(dpoStage.missingInputs!({ ...online, pairs: "offline" })).toEqual([]);
  const templates = ["chatml", import.meta.dirname, "chatmll", "absent.jinja"].map((chatTemplate) =>
    dpoStage.inputFiles!(dpoSchema.parse({ init, data: { files: ["rows.jsonl"], chatTemplate } })),
  );
  expect(templates.map((files) => files.slice(1, -1))).toEqual([[], [], ["chatmll"], ["absent.jinja"]]);
});

test("the_other_stages_read_their_checkpoints_and_data", () => {
  const files = ["rows.jsonl"];
  const reward = rewardModelSchema.parse({ init, data: { files } });
  expect(rewardStage.inputFiles!(reward)).toEqual(["policy/tokenizer.json", "rows.jsonl"]);
  const offline = dpoSchema.parse({ init, reference: "older", data: { files } });
  expect(dpoStage.inputFiles!(offline)).toEqual([
    "policy/tokenizer.json",
    "older/tokenizer.json",
    "rows.jsonl",
  ]);
  const online = dpoSchema.parse({ init, pairs: "online", task: { file: "asked.jsonl" } });
  expect(dpoStage.inputFiles!(online)).toEqual(["policy/tokenizer.json", "asked.jsonl"]);
  const steps = sampleSchema.parse({ init, prompts: { from: "steps" }, data: { files } });
  expect(sampleStage.inputFiles!(steps)).toEqual(["policy/tokenizer.json", "rows.jsonl"]);
});
