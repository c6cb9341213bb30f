// `--resume` with other settings, as a person sees it: the line and log.txt, the former recipe, and a replay on both sides of the change.
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { nsa } from "./built.ts";
import { tinyPretrain } from "./tiny.ts";

const dir = mkdtempSync(join(tmpdir(), "nsa-changed-"));
const runs = join(dir, "runs");
const run = (...args: string[]) => nsa([...args, "--runs", runs, "--plain"], { cwd: dir });
const folder = (stage: string) => join(runs, readdirSync(runs).find((name) => name.startsWith(`${stage}-`))!);
const former = (path: string) => readdirSync(path).filter((name) => name.startsWith("config-until"));
const read = (path: string, name: string) => readFileSync(join(path, name), "utf8");

beforeAll(() => {
  writeFileSync(join(dir, "tiny.yaml"), tinyPretrain);
  expect(run("pretrain", "tiny.yaml").status).toBe(0);
});
afterAll(() => rmSync(dir, { recursive: true }));

test("changed_settings_are_named_on_the_screen_and_in_the_log_and_a_resume_without_any_says_nothing", () => {
  const path = folder("pretrain");
  const start = read(path, "config.yaml");
  const idle = run("pretrain", "--resume", "latest", "--set", "train.skip_z_score=7");
  expect(idle.stderr).toContain("changed nothing");
  expect(idle.stdout).not.toContain("from step");
  expect([read(path, "config.yaml"), former(path)]).toEqual([start, []]);
  const set = ["--set", "train.optimizer.lr=0.02", "--set", "train.steps=5"];
  const more = run("pretrain", "--resume", "latest", ...set);
  expect(more.status, more.stderr).toBe(0);
  const line =
    "from step 4 on: train.steps 3 → 5, train.optimizer.lr 0.01 → 0.02; config-until-000003.yaml is the recipe up to step 3";
  expect(more.stdout.split("\n")).toContain(line);
  expect(read(path, "log.txt")).toContain(` info ${line}\n`);
  expect(read(path, "config-until-000003.yaml")).toBe(start);
  const again = run("pretrain", "--resume", "latest");
  expect(again.status, again.stderr).toBe(0);
  expect(again.stdout).not.toMatch(/from step \d+ on/);
  expect(former(path)).toEqual(["config-until-000003.yaml"]);
});

test("a_stage_of_a_pipeline_keeps_no_settings_that_it_refused_or_made_no_step_with", () => {
  writeFileSync(join(dir, "pipe.yaml"), "stages: [{name: base, stage: pretrain, config: tiny.yaml}]\n");
  const first = run("pipeline", "run", "pipe.yaml");
  expect(first.status, first.stderr).toBe(0);
  const base = join(folder("pipeline"), "stages/base");
  const start = read(base, "config.yaml");
  const again = (...set: string[]) => {
    // As after a kill between the last checkpoint and the record that the stage is finished.
    rmSync(join(base, "result.json"), { force: true });
    return run("pipeline", "run", "--resume", "latest", ...set.flatMap((text) => ["--set", text]));
  };
  const refused = again("base.train.steps=5", "base.model.d_ff=48");
  expect(refused.status).not.toBe(0);
  expect(refused.stderr).toContain("does not fit the model");
  expect([read(base, "config.yaml"), former(base)]).toEqual([start, []]);
  expect(again("base.train.skip_z_score=7").status).toBe(0);
  expect([read(base, "config.yaml"), former(base)]).toEqual([start, []]);
  const more = again("base.train.steps=5");
  expect(more.status, more.stderr).toBe(0);
  expect(read(base, "config-until-000003.yaml")).toBe(start);
});

test("replay_takes_the_recipe_that_was_in_force_at_the_step", () => {
  const grpo = `
name: tiny
steps: 2
init: {checkpoint: latest}
task: {family: addition, difficulty: 1, template: "{question}="}
rollout: {questions_per_step: 2, group_size: 3, max_tokens: 4}
evaluation: {questions: 2, samples: 2}
checkpoint: {every: 1, keep_last: 4}
train: {optimizer: {lr: 0.001}}
rewards: [{kind: length}]
`;
  writeFileSync(join(dir, "grpo.yaml"), grpo);
  const first = run("grpo", "grpo.yaml");
  expect(first.status, first.stderr).toBe(0);
  const set = ["--set", "steps=3", "--set", "train.optimizer.lr=0.02", "--set", "rewards.0.weight=0.5"];
  expect(run("grpo", "--resume", "latest", ...set).stdout).toContain("train.optimizer.lr 0.001 → 0.02");
  for (const step of ["1", "2", "3"]) {
    const made = nsa(["replay", folder("grpo"), "--step", step, "--runs", runs, "--device", "cpu"]);
    expect(made.status, `step ${step}: ${made.stderr}`).toBe(0);
    expect(made.stdout).toContain("equal to the run's, bit for bit");
  }
  // A key that the schema no longer has, or a plugin that is lost, matters to the steps of that recipe alone.
  const early = join(folder("grpo"), "config-until-000002.yaml");
  const text = readFileSync(early, "utf8");
  for (const lost of ["gone_key: 1\n", "plugins: [nowhere.ts]\n"]) {
    writeFileSync(early, `${text.replace(/^plugins:.*\n/m, "")}${lost}`);
    const replay = (step: string) =>
      nsa(["replay", folder("grpo"), "--step", step, "--runs", runs, "--device", "cpu"]);
    const late = replay("3");
    expect(late.status, late.stderr).toBe(0);
    const first = replay("1");
    expect(first.status).not.toBe(0);
    expect(first.stderr).toMatch(/gone_key|nowhere\.ts/);
  }
});
