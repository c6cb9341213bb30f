// A pipeline stopped behind a stage, so that a person corrects what it wrote; a recipe that extends a pipeline and changes its stages.
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeAll, expect, test } from "vitest";
import { nsa } from "./built.ts";
import { tinyPretrain } from "./tiny.ts";

const dir = mkdtempSync(join(tmpdir(), "nsa-pipeline-until-"));
const runs = join(dir, "runs");

const recipes: Record<string, string> = {
  "tiny.yaml": tinyPretrain,
  "collect.yaml": `
init: {checkpoint: unset}
task: {family: addition, difficulty: 1, template: "{question}="}
prompts: {questions: 6}
sampling: {n: 2, max_tokens: 4}
keep: {verdict: any, ended: false, distinct: false}
labels: true
`,
  "learn.yaml": `
init_from: unset
data:
  sources: [{files: [unset], labels: true, prompt: "{prompt}", completion: "{completion}."}]
  validation_share: 0
train: {steps: 1, micro_batch_tokens: 64, seq_len: 64}
sample: {prompts: 0}
`,
  "collected.yaml": `
name: collected
stages:
  - {name: base, stage: pretrain, config: tiny.yaml}
  - {name: collect, stage: sample, config: collect.yaml, set: ["init.checkpoint={base.checkpoint}"]}
  - name: learn
    stage: sft
    config: learn.yaml
    set: ["init_from={base.checkpoint}", "data.sources.0.files.0={collect.labels}"]
`,
  "smaller.yaml": `
extends: collected.yaml
name: smaller
set: ["base.train.steps=2", "collect.prompts.questions=3"]
`,
  "reward.yaml": `
init: {checkpoint: unset}
loss: bradley_terry
labels: preference
data: {files: [preferred.jsonl]}
train: {steps: 1, micro_batch_tokens: 64, eval_every: 0}
`,
  "rl.yaml": `
steps: 1
init: {checkpoint: unset}
task: {family: addition, difficulty: 1, template: "{question}="}
rollout: {questions_per_step: 2, group_size: 2, max_tokens: 4}
rewards: [{kind: model, checkpoint: unset}]
evaluation: {questions: 2, samples: 2}
`,
  "preferred.jsonl": Array.from({ length: 6 }, (_, i) =>
    JSON.stringify({ id: `q${i}`, prompt: `${i}+1=`, chosen: ` ${i + 1}`, rejected: ` ${i}` }),
  ).join("\n"),
  "rewarded.yaml": `
name: rewarded
stages:
  - {name: base, stage: pretrain, config: tiny.yaml}
  - {name: reward, stage: reward, config: reward.yaml, set: ["init.checkpoint={base.checkpoint}"]}
  - name: rl
    stage: grpo
    config: rl.yaml
    set: ["init.checkpoint={base.checkpoint}", "rewards.0.checkpoint={reward.checkpoint}"]
`,
  "wrong.yaml": `
extends: collected.yaml
set: ["bse.train.steps=2"]
`,
};
beforeAll(() => {
  mkdirSync(runs);
  for (const [name, text] of Object.entries(recipes)) writeFileSync(join(dir, name), text);
});

const run = (file: string, ...more: string[]) =>
  nsa(["pipeline", "run", join(dir, file), "--runs", runs, "--device", "cpu", ...more]);
const stagesOf = (folder: string) => readdirSync(join(folder, "stages")).sort();

test("labels_that_are_corrected_behind_their_stage_are_what_the_next_one_learns", () => {
  const first = run("collected.yaml", "--until", "collect");
  expect(first.status, first.stderr).toBe(0);
  expect(first.stderr).toContain("stopped after collect");
  const folder = join(runs, readdirSync(runs)[0]!);
  expect(stagesOf(folder)).toEqual(["base", "collect"]);
  const labels = join(folder, "stages/collect/labels.jsonl");
  const rows = readFileSync(labels, "utf8").trim().split("\n");
  expect(rows).toHaveLength(12);
  // Three are left, one of them with another text.
  const corrected = rows.map((row, i) => {
    const label = JSON.parse(row) as Record<string, unknown>;
    return JSON.stringify({
      ...label,
      verdict: i < 3 ? "right" : "wrong",
      ...(i === 0 ? { completion: " corrected" } : {}),
    });
  });
  writeFileSync(labels, `${corrected.join("\n")}\n`);
  const rest = run("collected.yaml", "--resume", "latest");
  expect(rest.status, rest.stderr).toBe(0);
  expect(rest.stderr).not.toContain("stage 2/3");
  expect(readFileSync(labels, "utf8")).toBe(`${corrected.join("\n")}\n`);
  expect(readFileSync(join(folder, "stages/learn/log.txt"), "utf8")).toMatch(/\b3 (examples|of 3)/);
});

test("a_recipe_that_extends_a_pipeline_overrides_its_stages_and_set_comes_last", () => {
  const before = new Set(readdirSync(runs));
  const { status, stderr } = run("smaller.yaml", "--set", "collect.sampling.n=1", "--until", "collect");
  expect(status, stderr).toBe(0);
  const folder = join(runs, readdirSync(runs).find((name) => !before.has(name))!);
  expect(existsSync(join(folder, "stages/base/checkpoints/step-000002"))).toBe(true);
  expect(readFileSync(join(folder, "stages/collect/labels.jsonl"), "utf8").trim().split("\n")).toHaveLength(
    3,
  );
});

test("a_resume_takes_no_finished_checkpoint_for_a_reward_model_that_is_still_to_be_made", () => {
  const before = new Set(readdirSync(runs));
  const first = run("rewarded.yaml", "--until", "base");
  expect(first.status, first.stderr).toBe(0);
  const folder = join(runs, readdirSync(runs).find((name) => !before.has(name))!);
  const checkpoint = join(folder, "stages/base/checkpoints");
  const written = readdirSync(checkpoint, { recursive: true });
  const rest = run("rewarded.yaml", "--resume", "latest");
  expect(rest.status, rest.stderr).toBe(0);
  expect(stagesOf(folder)).toEqual(["base", "reward", "rl"]);
  // The stand-ins of the check are gone, and what they stood in for is not.
  expect(readdirSync(checkpoint, { recursive: true })).toEqual(written);
});

test("an_override_of_no_stage_and_a_stop_behind_none_are_refused", () => {
  const wrong = run("wrong.yaml");
  expect(wrong.status).toBe(2);
  expect(wrong.stderr).toMatch(/wrong\.yaml: set: bse\.train\.steps=2[\s\S]*did you mean base/);
  const none = run("collected.yaml", "--until", "colect");
  expect(none.status).toBe(2);
  expect(none.stderr).toContain("did you mean collect?");
});
