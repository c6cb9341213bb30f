// Pipelines: outputs feed later stages, finished stages stay, and wrong recipes are found before the first stage runs.
import { existsSync, mkdtempSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeAll, expect, test } from "vitest";
import { nsa } from "./built.ts";
import { tinyPretrain } from "./tiny.ts";

const dir = mkdtempSync(join(tmpdir(), "nsa-pipeline-"));
const runs = join(dir, "runs");

const pipeline = (more: string, second = "grpo.yaml") => `
name: two
stages:
  - name: base
    stage: pretrain
    config: tiny.yaml
  - name: rl
    stage: grpo
    config: ${second}
    set: ["init.checkpoint={base.checkpoint}"${more}]
`;
const grpo = `
steps: 1
init: {checkpoint: unset}
task: {family: addition, difficulty: 1, template: "{question}="}
rollout: {questions_per_step: 2, group_size: 2, max_tokens: 4}
evaluation: {questions: 2, samples: 2}
`;

beforeAll(() => {
  writeFileSync(join(dir, "tiny.yaml"), tinyPretrain);
  writeFileSync(join(dir, "grpo.yaml"), grpo);
});

function run(text: string, ...more: string[]) {
  const file = join(dir, "pipeline.yaml");
  writeFileSync(file, text);
  return nsa(["pipeline", "run", file, "--runs", runs, "--device", "cpu", ...more]);
}

test.each([
  ["an_unknown_key_of_a_later_stage", pipeline(', "stps=3"'), /did you mean `steps`/],
  ["a_missing_recipe_of_a_later_stage", pipeline("", "none.yaml"), /no such file/],
  ["an_output_of_a_stage_that_is_not_there", pipeline(', "task.file={bsae.x}"'), /no earlier stage bsae/],
  ["two_stages_of_one_name", pipeline("").replace("name: rl", "name: base"), /two stages are named base/],
])("%s_is_found_before_anything_runs", (_, text, words) => {
  const { status, stderr } = run(text);
  expect(stderr).toMatch(words);
  expect(status).toBe(2);
  expect(existsSync(runs)).toBe(false);
});

test("a_stage_that_fails_leaves_the_finished_ones_and_a_mended_pipeline_goes_on", () => {
  // The output exists only by name, so that the failure comes after the first stage.
  const broken = run(pipeline(', "init.checkpoint={base.tokenizer}"'));
  expect(broken.status).toBe(3);
  const folder = join(runs, readdirSync(runs)[0]!);
  const base = join(folder, "stages/base/checkpoints/step-000003/model.safetensors");
  const written = statSync(base).mtimeMs;

  const mended = run(pipeline(""), "--resume", "latest");
  expect(mended.status, mended.stderr).toBe(0);
  expect(statSync(base).mtimeMs).toBe(written);
  expect(mended.stderr).toContain("stage 2/2, rl");
  expect(mended.stderr).not.toContain("stage 1/2");
  const recipe = readFileSync(join(folder, "stages/rl/config.yaml"), "utf8");
  expect(recipe).toContain(join(folder, "stages/base/checkpoints/step-000003"));
  expect(readFileSync(join(folder, "report.html"), "utf8").match(/<h1>(base|rl)<\/h1>/g)).toHaveLength(2);
});
