// Pipelines: outputs feed later stages, finished stages stay, and wrong recipes are found before the first stage runs.
import { existsSync, mkdtempSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeAll, expect, test } from "vitest";
import { tinyPipeline } from "../bench/support/tiny-pipeline.ts";
import { nsa } from "./built.ts";
import { tinyPretrain } from "./tiny.ts";

const dir = mkdtempSync(join(tmpdir(), "nsa-pipeline-"));
const runs = join(dir, "runs");

const pipeline = (more: string, second = "two-grpo.yaml") => `
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
  writeFileSync(join(dir, "two-grpo.yaml"), grpo);
  for (const [name, text] of Object.entries(tinyPipeline)) writeFileSync(join(dir, name), text);
});

function run(text: string, ...more: string[]) {
  const file = join(dir, "two.yaml");
  writeFileSync(file, text);
  return nsa(["pipeline", "run", file, "--runs", runs, "--device", "cpu", ...more]);
}

test.each<[string, string, RegExp, string[]]>([
  ["an_unknown_key_of_a_later_stage", pipeline(', "stps=3"'), /did you mean `steps`/, []],
  ["a_missing_recipe_of_a_later_stage", pipeline("", "none.yaml"), /no such file/, []],
  ["an_output_of_a_stage_that_is_not_there", pipeline(', "task.file={bsae.x}"'), /no earlier stage bsae/, []],
  [
    "an_output_that_a_stage_does_not_have",
    pipeline(', "task.file={base.weights}"'),
    /stage base has the outputs checkpoint, tokenizer/,
    [],
  ],
  ["two_stages_of_one_name", pipeline("").replace("name: rl", "name: base"), /two stages are named base/, []],
  ["a_stage_with_a_reserved_name", pipeline("").replace("name: rl", "name: stage"), /is named stage/, []],
  ["an_override_of_no_stage", pipeline(""), /did you mean base\?/, ["--set", "bse.train.steps=1"]],
  ["an_override_of_no_key", pipeline(""), /did you mean `steps`/, ["--set", "base.train.stepz=1"]],
])("%s_is_found_before_anything_runs", (_, text, words, more) => {
  const { status, stderr } = run(text, ...more);
  expect(stderr).toMatch(words);
  expect(status).toBe(2);
  expect(existsSync(runs)).toBe(false);
});

test("a_dry_run_counts_all_stages_with_the_architecture_that_is_to_come_and_leaves_nothing", () => {
  const { status, stdout, stderr } = run(pipeline(""), "--dry-run", "--json", "--set", "base.train.steps=7");
  expect(status, stderr).toBe(0);
  const { stages, seconds } = JSON.parse(stdout) as {
    stages: Record<string, Record<string, number>>;
    seconds: number;
  };
  expect(stages.base!.tokens).toBe(7 * 64);
  expect(stages.rl!.parameters).toBe(stages.base!.parameters);
  expect(seconds).toBeGreaterThan(0);
  expect(existsSync(runs)).toBe(false);
});

test("a_file_that_a_later_stage_misses_is_found_before_anything_runs_and_told_by_a_dry_run", () => {
  const text = pipeline(', "task.file=nowhere.jsonl"');
  const { status, stderr } = run(text);
  expect(stderr).toMatch(/no input file for nowhere.jsonl/);
  expect(status).toBe(3);
  expect(existsSync(runs)).toBe(false);
  const dry = run(text, "--dry-run");
  expect(dry.status, dry.stderr).toBe(0);
  expect(dry.stderr).toMatch(/warning: stage rl: no input file for nowhere.jsonl/);
});

test("a_stage_that_fails_leaves_the_finished_ones_and_a_mended_pipeline_goes_on", () => {
  const empty = join(dir, "empty.jsonl");
  writeFileSync(empty, "");
  const broken = run(pipeline(`, "task.file=${empty}"`), "--set", "base.train.steps=2");
  expect(broken.status).toBe(3);
  const folder = join(runs, readdirSync(runs)[0]!);
  const base = join(folder, "stages/base/checkpoints/step-000002/model.safetensors");
  const written = statSync(base).mtimeMs;

  const mended = run(pipeline(""), "--resume", "latest", "--set", "base.seed=9", "--set", "rl.steps=2");
  expect(mended.status, mended.stderr).toBe(0);
  expect(statSync(base).mtimeMs).toBe(written);
  expect(mended.stderr).toContain("stage 2/2, rl");
  expect(mended.stderr).not.toContain("stage 1/2");
  expect(mended.stderr).toMatch(/warning: stage base is finished/);
  const recipe = readFileSync(join(folder, "stages/rl/config.yaml"), "utf8");
  expect(recipe).toContain(join(folder, "stages/base/checkpoints/step-000002"));
  expect(recipe).toContain("steps: 2");
});

test("a_pipeline_of_all_stages_feeds_each_from_the_ones_before_and_reports_on_one_page", () => {
  const from = new Set(readdirSync(runs));
  const done = nsa(["pipeline", "run", join(dir, "pipeline.yaml"), "--runs", runs, "--device", "cpu"]);
  expect(done.status, done.stderr).toBe(0);
  const folder = join(runs, readdirSync(runs).find((name) => !from.has(name))!);
  const html = readFileSync(join(folder, "report.html"), "utf8");
  for (const words of [
    "From crawl to corpus",
    "Pretraining",
    "Fine-tuning",
    "Reinforcement learning",
    "Evaluation",
  ])
    expect(html).toContain(words);
  expect(html).not.toMatch(/(src|href)="(https?:|\/\/)/);
  const links = [...html.matchAll(/href="([^"#]+)"/g)].map((m) => m[1]!);
  expect(links.filter((link) => !existsSync(join(folder, link)))).toEqual([]);
  for (const name of ["crawl", "corpus", "tokenizer", "tokens", "base", "sft", "grpo", "ask"])
    expect(links).toContain(`stages/${name}/report.html`);
  // The pages of the pool that were kept are the ones that the model was trained on.
  const corpus = JSON.parse(readFileSync(join(folder, "stages/corpus/corpus/report.json"), "utf8"));
  const tokens = JSON.parse(readFileSync(join(folder, "stages/tokens/shards/index.json"), "utf8"));
  expect(tokens.documents).toBe(corpus.rounds.at(-1).rank.collected);
  const text = html.replace(/<[^>]*>/g, " ");
  expect(text).toContain(`${tokens.documents} pages`);
});

test("a_stage_labels_the_steps_of_what_an_earlier_stage_sampled", () => {
  writeFileSync(
    join(dir, "outputs.yaml"),
    'init: {checkpoint: unset}\ntask: {difficulty: 1, template: "{question}="}\nprompts: {questions: 3}\nsampling: {n: 4, max_tokens: 6}\n',
  );
  writeFileSync(
    join(dir, "labels.yaml"),
    "init: {checkpoint: unset}\nprompts: {from: steps, rollouts: 2}\ndata: {files: [unset]}\nsampling: {max_tokens: 6}\n",
  );
  const text = `
name: labels
stages:
  - {name: base, stage: pretrain, config: tiny.yaml}
  - {name: outputs, stage: sample, config: outputs.yaml, set: ["init.checkpoint={base.checkpoint}"]}
  - name: labels
    stage: sample
    config: labels.yaml
    set: ["init.checkpoint={base.checkpoint}", "data.files=[{outputs.samples}]"]
`;
  const { status, stderr } = run(text);
  expect(status, stderr).toBe(0);
  const made = readdirSync(runs).find((name) => name.includes("-labels-"))!;
  const labels = readdirSync(join(runs, made, "stages")).find((name) => name.includes("labels"))!;
  const rows = readFileSync(join(runs, made, "stages", labels, "samples.jsonl"), "utf8")
    .trim()
    .split("\n");
  const { steps } = JSON.parse(rows[0]!) as { steps: { hard: number; n: number }[] };
  expect(steps.at(-1)).toMatchObject({ n: 1 });
});
