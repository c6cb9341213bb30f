// What a person meets every day: resuming without a recipe, `latest` in recipes, dry runs, refused starts, lines of a run.
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { parse } from "yaml";
import { findCheckpointsIn } from "../src/commands/recipe-checkpoints.ts";
import { printer } from "../src/view/plain.ts";
import { nsa } from "./built.ts";
import { tinyPretrain } from "./tiny.ts";

const dir = mkdtempSync(join(tmpdir(), "nsa-friction-"));
const runs = join(dir, "runs");
const recipe = join(dir, "tiny.yaml");
const grpo = join(dir, "grpo.yaml");
const run = (...args: string[]) => nsa([...args, "--runs", runs], { cwd: dir });
const folders = () => readdirSync(runs).filter((name) => !name.startsWith("."));

beforeAll(() => {
  writeFileSync(recipe, tinyPretrain);
  writeFileSync(
    grpo,
    `
name: tiny
steps: 1
init: {checkpoint: latest}
task: {family: addition, difficulty: 1, template: "{question}="}
rollout: {questions_per_step: 2, group_size: 2, max_tokens: 4}
evaluation: {questions: 2, samples: 2}
rewards: [{kind: custom, file: absent.ts}]
`,
  );
  expect(run("pretrain", recipe).status).toBe(0);
});
afterAll(() => rmSync(dir, { recursive: true }));

test("a_run_is_resumed_without_its_recipe_and_a_start_without_one_is_explained", () => {
  const more = run("pretrain", "--resume", "latest", "--set", "train.steps=4", "--plain");
  expect(more.status, more.stderr).toBe(0);
  expect(more.stdout).toContain("done at 4");
  const settings = () => readFileSync(join(runs, folders()[0]!, "config.yaml"), "utf8");
  const before = settings();
  const late = run("pretrain", "--resume", "latest", "--set", "train.skip_z_score=7", "--plain");
  expect(late.status, late.stderr).toBe(0);
  expect(late.stderr).toContain(
    "warning: all 4 steps of the run were made already, so train.skip_z_score=7 changed nothing",
  );
  expect(settings()).toBe(before);
  const none = run("pretrain");
  expect(none.status).toBe(2);
  expect(none.stderr).toMatch(/error: `nsa pretrain` without a recipe\n {2}why: .*resumed/);
});

test("latest_in_a_recipe_becomes_the_checkpoint_of_its_start", () => {
  const done = run("grpo", grpo, "--set", "rewards=[{kind: accuracy}]", "--plain");
  expect(done.status, done.stderr).toBe(0);
  const own = folders().find((name) => name.startsWith("grpo-"))!;
  const { init } = parse(readFileSync(join(runs, own, "config.yaml"), "utf8"));
  const [base] = folders().filter((name) => name.startsWith("pretrain-"));
  expect(init.checkpoint).toBe(join(runs, base!, "checkpoints/step-000004"));
  // By the run's name, too, and of the kind that is wanted.
  const named = run("grpo", grpo, "--set", `init.checkpoint=${base}`, "--dry-run");
  expect(named.status, named.stderr).toBe(0);
  const other = run("replay", base!, "--step", "1");
  expect(other.status).toBe(2);
  expect(other.stderr).toMatch(/is a run of `nsa pretrain`/);
});

test("every_key_of_a_checkpoint_takes_the_names_of_runs", () => {
  const name = folders().find((folder) => folder.startsWith("pretrain-"))!;
  const found = join(runs, name, "checkpoints/step-000004");
  const named = {
    ...{ initFrom: name, rewardModel: name, reference: name, distill: { teacher: name } },
    ...{ adapter: { initFrom: name }, rewards: [{ checkpoint: name, ensemble: [name, "elsewhere/model"] }] },
    ...{ value: { init: "policy" }, name },
  };
  expect(findCheckpointsIn(named, runs)).toEqual({
    ...{ initFrom: found, rewardModel: found, reference: found, distill: { teacher: found } },
    ...{
      adapter: { initFrom: found },
      rewards: [{ checkpoint: found, ensemble: [found, "elsewhere/model"] }],
    },
    ...{ value: { init: "policy" }, name },
  });
});

test("a_dry_run_names_reward_files_and_a_refused_start_leaves_no_folder", () => {
  const dry = run("grpo", grpo, "--dry-run");
  expect(dry.status, dry.stderr).toBe(0);
  expect(dry.stderr).toMatch(/warning: no input file for absent\.ts: .*a run would end there/);
  const before = folders();
  const refused = run("grpo", grpo);
  expect(refused.status).toBe(2);
  expect(folders()).toEqual(before);
});

test("a_text_that_yaml_takes_for_a_mapping_is_answered_with_the_quoted_text_alone", () => {
  const { status, stderr } = run("grpo", grpo, "--dry-run", "--set", "task.template={question}:");
  expect(status).toBe(2);
  // No remark of the parser's own stands beside it.
  expect(stderr).toMatch(
    /^error: .*\n {2}why: .*\n {2}fix: quote the text: 'task\.template="\{question\}:"'\n$/,
  );
});

test("names_that_are_nearly_right_are_answered_with_the_right_one", () => {
  expect(nsa(["config", "explain", "grop"]).stderr).toContain("did you mean grpo?");
  expect(nsa(["config", "explain", "grpo", "rollout.group_sise"]).stderr).toContain(
    "did you mean rollout.group_size?",
  );
  expect(nsa(["config", "explain", "grpo", "group_size"]).stderr).toContain(
    "did you mean rollout.group_size?",
  );
  expect(run("run", "pretrian", recipe).stderr).toContain("did you mean pretrain?");
  expect(run("pretrain", dir).stderr).toContain("it is a folder, and a recipe is a file");
});

test("a_line_shows_the_figures_that_a_stage_is_measured_by_at_the_step_that_it_ended_with", () => {
  const lines: string[] = [];
  const log = console.log;
  console.log = (text: string) => void lines.push(text);
  try {
    const print = printer("plain");
    print({ type: "start", totalSteps: 7, step: 0 });
    print({
      type: "eval",
      step: 3,
      metrics: { "val/loss": 0.5, "held_out/auc": 0.75, "held_out/accuracy": 0.25 },
    });
    const task = { "eval/sums/accuracy": 0.5, "eval/sums/maj_at_4": 0.25, "eval/sums/reward_at_4": 0.75 };
    print({
      type: "eval",
      step: 8,
      metrics: { ...task, "eval/sums/reward_at_16": 0.875, "eval/sums/length": 3 },
    });
  } finally {
    console.log = log;
  }
  expect(lines).toEqual([
    "eval at 3  val_loss 0.5  accuracy 0.25  auc 0.75",
    "eval at 7  eval/sums/accuracy 0.5  eval/sums/maj_at_4 0.25  eval/sums/reward_at_16 0.875",
  ]);
});
