// Plugins through the built command, in a folder that has nothing of the project beside them: trained, resumed, decoded, estimated.
import {
  appendFileSync,
  cpSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readJsonl, SafetensorsReader } from "@nsa/core";
import { beforeAll, expect, test } from "vitest";
import { stringify } from "yaml";
import { nsa, type RunOptions } from "./built.ts";
import { pluginRecipe } from "./plugin-recipe.ts";

const dir = mkdtempSync(join(tmpdir(), "nsa-plugins-"));
const inDir = (args: string[], options: RunOptions = {}) => nsa(args, { cwd: dir, ...options });

const base = {
  ...pluginRecipe,
  name: "mine",
  model: { ...pluginRecipe.model, num_layers: 2, num_kv_heads: 1, window_size: 8 },
};

interface Trained {
  path: string;
  rows: Record<string, number>[];
  checkpoint: string;
}

function trained(recipe: object, name: string): Trained {
  writeFileSync(join(dir, `${name}.yaml`), stringify({ ...recipe, name }));
  const run = inDir(["pretrain", `${name}.yaml`, "--device", "cpu", "--plain"]);
  expect(run.status, run.stderr).toBe(0);
  const path = join(dir, "runs", readdirSync(join(dir, "runs")).find((id) => id.includes(`-${name}-`))!);
  const rows = readJsonl<Record<string, number>>(join(path, "metrics.jsonl")).filter(
    (r) => "train/loss" in r,
  );
  return { path, rows, checkpoint: join(path, "checkpoints/step-000002") };
}

let mine: Trained;

beforeAll(() => {
  cpSync(join(import.meta.dirname, "plugins"), join(dir, "mine"), { recursive: true });
  mine = trained(base, "mine");
});

test("attention_mlp_optimizer_and_schedule_of_plugins_train", () => {
  // The peak times 1 − progress / 2 at progress 1/2 and 1.
  expect(mine.rows.map((row) => row["train/lr"])).toEqual([0.01 * 0.75, 0.01 * 0.5]);
  for (const row of mine.rows) expect(row["train/aux_loss"]).toBeGreaterThan(0);
  using moments = SafetensorsReader.open(join(mine.checkpoint, "optimizer.safetensors"));
  const names = [...moments.entries.keys()];
  expect(names).toContain("model.layers.1.self_attn.q_proj.weight.momentum");
  expect(names.every((name) => name.endsWith(".momentum"))).toBe(true);
  const { plugins } = JSON.parse(readFileSync(join(mine.checkpoint, "state.json"), "utf8"));
  expect(plugins.map(({ path, members }: { path: string; members: string[] }) => [path, members])).toEqual([
    [join(dir, "mine/attention.ts"), ["attention half_window"]],
    [join(dir, "mine/head.ts"), ["head own_output"]],
    [join(dir, "mine/mlp.ts"), ["mlp quiet_swiglu"]],
    [join(dir, "mine/optimizer.ts"), ["optimizer sign_momentum"]],
    [join(dir, "mine/schedule.ts"), ["schedule to_half"]],
  ]);
});

test("an_attention_of_a_plugin_trains_and_decodes_as_the_built_in_one_that_it_equals", () => {
  // Half of a window of 8 is a window of 4.
  const model = { ...base.model, attention: "window", window_size: 4 };
  const same = trained({ ...base, plugins: base.plugins.slice(1), model }, "same");
  const losses = ({ rows }: Trained) => rows.map((row) => row["train/loss"]!);
  for (const [i, loss] of losses(mine).entries()) expect(loss).toBeCloseTo(losses(same)[i]!, 5);
  const answer = ({ checkpoint }: Trained) => {
    const run = inDir([
      "generate",
      checkpoint,
      "3+4=",
      "--temperature",
      "0",
      "--max-tokens",
      "9",
      "--device",
      "cpu",
      "--json",
    ]);
    expect([run.status, run.stderr]).toEqual([0, ""]);
    return JSON.parse(run.stdout) as { text: string; logp: number[] };
  };
  const [ours, theirs] = [answer(mine), answer(same)];
  expect(ours.text).toBe(theirs.text);
  expect(ours.logp).toHaveLength(9);
  for (const [i, logp] of ours.logp.entries()) expect(logp).toBeCloseTo(theirs.logp[i]!, 4);
});

test("a_run_with_plugins_resumes_with_the_same_bits", () => {
  const copy = join(dir, "runs", "pretrain-again-20260101-000000");
  cpSync(mine.path, copy, { recursive: true });
  rmSync(join(copy, "checkpoints/step-000002"), { recursive: true });
  const run = inDir(["pretrain", "unused.yaml", "--resume", copy, "--device", "cpu", "--plain"]);
  expect(run.status, run.stderr).toBe(0);
  const weights = (path: string) => readFileSync(join(path, "checkpoints/step-000002/model.safetensors"));
  expect(weights(copy).equals(weights(mine.path))).toBe(true);
});

test("a_dry_run_counts_with_the_plugins_own_figures", () => {
  const dry = inDir(["pretrain", "mine.yaml", "--dry-run", "--json", "--device", "cpu"]);
  expect(dry.status, dry.stderr).toBe(0);
  const estimate = JSON.parse(dry.stdout);
  // The plugin says that a query reads the 4 keys before it; full attention over 32 tokens reads 16.5 on average.
  expect(estimate.attention_read_share).toBeCloseTo(4 / 16.5, 12);
  // 280·16 embedding, as many of the head, two layers of (2+1+1)·8·16 + 16·16 attention, 3·24·16 MLP and 2·16 norms, 16 of the last norm.
  expect(estimate.parameters).toBe(2 * 280 * 16 + 2 * (4 * 8 * 16 + 16 * 16 + 3 * 24 * 16 + 32) + 16);
});

test("a_divergence_of_a_plugin_teaches", () => {
  const slow = { ...base, train: { ...base.train, optimizer: { ...base.train.optimizer, lr: 0.001 } } };
  const student = trained(slow, "student");
  const lines = Array.from({ length: 12 }, (_, i) => JSON.stringify({ q: `The ${i}`, a: `end ${i}` }));
  writeFileSync(join(dir, "taught.jsonl"), lines.join("\n"));
  const first = (divergence: string) => {
    const name = divergence.replaceAll("_", "-");
    const recipe = {
      name,
      plugins: ["mine/divergence.ts"],
      init_from: student.checkpoint,
      distill: { teacher: mine.checkpoint, divergence },
      data: { sources: [{ files: [join(dir, "taught.jsonl")], prompt: "{q}", completion: " {a}" }] },
      train: { steps: 1, micro_batch_tokens: 64, seq_len: 32 },
      sample: { prompts: 0 },
    };
    writeFileSync(join(dir, `${name}.yaml`), stringify(recipe));
    const run = inDir(["sft", `${name}.yaml`, "--device", "cpu", "--plain"]);
    expect(run.status, run.stderr).toBe(0);
    const path = join(dir, "runs", readdirSync(join(dir, "runs")).find((id) => id.includes(`sft-${name}-`))!);
    const rows = readJsonl<Record<string, number>>(join(path, "metrics.jsonl"));
    return rows.find((row) => "distill/divergence" in row)!;
  };
  const [once, twice] = [first("forward_kl"), first("twice_forward_kl")];
  expect(once["distill/divergence"]).toBeGreaterThan(0);
  expect(twice["distill/divergence"]! / once["distill/divergence"]!).toBeCloseTo(2, 4);
  expect(twice["train/grad_norm"]! / once["train/grad_norm"]!).toBeCloseTo(2, 3);
});

test("a_loss_on_preferences_of_a_plugin_trains", () => {
  const row = (i: number) => JSON.stringify({ prompt: `${i}+1=`, chosen: `${i + 1}`, rejected: `${i}` });
  writeFileSync(join(dir, "pairs.jsonl"), Array.from({ length: 9 }, (_, i) => row(i)).join("\n"));
  const recipe = {
    name: "preferences",
    plugins: ["mine/preference-loss.ts"],
    init: { checkpoint: mine.checkpoint },
    data: { files: ["pairs.jsonl"] },
    loss: "twice",
    train: { steps: 1, pairs_per_step: 2 },
  };
  writeFileSync(join(dir, "preferences.yaml"), stringify(recipe));
  const run = inDir(["dpo", "preferences.yaml", "--device", "cpu", "--plain"]);
  expect(run.status, run.stderr).toBe(0);
  const rows = readJsonl<Record<string, number>>(
    join(inDir(["runs", "path", "dpo-preferences"]).stdout.trim(), "metrics.jsonl"),
  );
  expect(rows.find((r) => "dpo/loss" in r)!["dpo/loss"]).toBeCloseTo(2 * Math.LN2, 5);
});

test("a_loss_an_advantage_and_a_task_of_plugins_train_a_policy_that_has_plugins_itself", () => {
  const recipe = {
    name: "policy",
    steps: 2,
    plugins: ["mine/loss.ts", "mine/advantage.ts", "mine/task.ts", "mine/reward.ts"],
    init: { checkpoint: mine.checkpoint },
    task: { family: "doubling", difficulty: 1, template: "{question}=" },
    rollout: { questions_per_step: 2, group_size: 4, max_tokens: 6 },
    algorithm: { loss: "unclipped", advantage: "below_best" },
    rewards: [{ kind: "longer", options: { factor: 2 } }],
    checkpoint: { every: 1 },
  };
  writeFileSync(join(dir, "policy.yaml"), stringify(recipe));
  const dry = inDir(["grpo", "policy.yaml", "--dry-run", "--json", "--device", "cpu"]);
  expect(dry.status, dry.stderr).toBe(0);
  const run = inDir(["grpo", "policy.yaml", "--device", "cpu", "--plain"]);
  expect(run.status, run.stderr).toBe(0);
  const path = inDir(["runs", "path", "grpo-policy"]).stdout.trim();
  const samples = readJsonl<{ question?: string; reward?: number }>(join(path, "samples.jsonl"));
  expect(samples.filter(({ question }) => question !== undefined).length).toBeGreaterThan(0);
  // Twice the characters beyond the shortest output of the group.
  const scored = samples.filter(({ reward }) => reward !== undefined);
  for (const { reward } of scored) expect(reward! % 2).toBe(0);
  for (const { question } of samples) if (question !== undefined) expect(question).toMatch(/^twice \d$/);
  const state = JSON.parse(readFileSync(join(path, "checkpoints/step-000002/state.json"), "utf8"));
  expect(state.plugins.flatMap(({ members }: { members: string[] }) => members).sort()).toEqual([
    "advantage below_best",
    "attention half_window",
    "head own_output",
    "loss unclipped",
    "mlp quiet_swiglu",
    "optimizer sign_momentum",
    "reward longer",
    "schedule to_half",
    "task doubling",
  ]);
});

test("a_stage_of_a_plugin_runs_alone_and_in_a_pipeline", () => {
  writeFileSync(join(dir, "a.txt"), "one two three");
  writeFileSync(join(dir, "b.txt"), "I am here");
  const recipe = { plugins: ["mine/stage.ts"], files: ["a.txt", "b.txt"], min_letters: 2 };
  writeFileSync(join(dir, "words.yaml"), stringify(recipe));
  const dry = inDir(["run", "count_words", "words.yaml", "--dry-run", "--json"]);
  expect([JSON.parse(dry.stdout).bytes, dry.status]).toEqual([13 + 9, 0]);
  const absent = ["run", "count_words", "words.yaml", "--dry-run", "--json", "--set", "files=[a.txt, c.txt]"];
  expect(inDir(absent).stderr).toMatch(/^warning: .*c\.txt.*a run would end there$/m);
  const run = inDir(["run", "count_words", "words.yaml", "--plain"]);
  expect(run.status, run.stderr).toBe(0);
  // Of the six words one has a single letter.
  expect(run.stdout).toContain("words/total 5");
  const path = /^count_words: (.*)$/m.exec(run.stderr)![1]!;
  expect(inDir(["runs", "path", "latest", "--stage", "count_words"]).stdout.trim()).toBe(path);
  expect(readFileSync(join(path, "report.html"), "utf8")).toMatch(
    /Words by file[\s\S]*>1<[\s\S]*>3<[\s\S]*>2<[\s\S]*>5</,
  );

  const pipeline = {
    plugins: ["mine/stage.ts"],
    stages: [
      { name: "first", stage: "count_words", config: "words.yaml" },
      {
        name: "second",
        stage: "count_words",
        config: "words.yaml",
        set: ["files=[{first.total}]", "min_letters=1"],
      },
    ],
  };
  writeFileSync(join(dir, "both.yaml"), stringify(pipeline));
  const both = inDir(["pipeline", "run", "both.yaml", "--plain"]);
  expect(both.status, both.stderr).toBe(0);
  const report = readFileSync(/pipeline report: (.*)$/m.exec(both.stderr)![1]!, "utf8");
  expect(report).toMatch(/first<\/a><\/td><td>count_words<\/td><td>5 words/);
  expect(report).toMatch(/second<\/a><\/td><td>count_words<\/td><td>0 words/);

  // A run of its own comes before the stages of a later pipeline, which count where there is no other.
  const latest = () => inDir(["runs", "path", "latest", "--stage", "count_words"]).stdout.trim();
  expect(latest()).toBe(path);
  rmSync(path, { recursive: true });
  expect(latest()).toMatch(/runs\/pipeline-[^/]*\/stages\/second$/);
  const taken = readFileSync(join(dir, "mine/stage.ts"), "utf8").replace('"count_words"', '"tokenize"');
  writeFileSync(join(dir, "mine/taken.ts"), taken);
  const twice = inDir(["run", "tokenize", "words.yaml", "--set", "plugins=[mine/taken.ts]"]);
  expect([twice.status, twice.stderr]).toEqual([
    2,
    expect.stringContaining('stage "tokenize" is defined twice'),
  ]);

  const unknown = inDir(["run", "count_words", "mine.yaml"]);
  expect([unknown.status, unknown.stderr]).toEqual([2, expect.stringContaining('no stage "count_words"')]);
});

test("explanations_and_schemas_name_what_plugins_add", () => {
  const explained = inDir([
    "config",
    "explain",
    "pretrain",
    "train.schedule.kind",
    "--plugin",
    "mine/schedule.ts",
  ]);
  expect(explained.stdout).toContain("constant | cosine | wsd | multi_step | to_half");
  const schema = JSON.parse(inDir(["config", "schema", "pretrain", "--plugin", "mine/mlp.ts"]).stdout);
  expect(schema.properties.model.properties.mlp.enum).toEqual(["swiglu", "quiet_swiglu"]);
  const own = inDir(["config", "explain", "count_words", "min_letters", "--plugin", "mine/stage.ts"]);
  expect(own.stdout).toMatch(/min_letters .*default 1\)\n {4}Shorter words do not count/);
  expect(inDir(["config", "print", "pretrain", "mine.yaml"]).stdout).toContain("kind: to_half");
});

test("a_missing_plugin_of_a_checkpoint_ends_in_exit_4_unless_it_is_named_where_it_is", () => {
  const [here, away] = [join(dir, "mine/attention.ts"), join(dir, "moved.ts")];
  const generate = (...more: string[]) =>
    inDir(["generate", mine.checkpoint, "3+4=", "--max-tokens", "2", "--device", "cpu", ...more]);
  renameSync(here, away);
  try {
    const missing = generate();
    expect(missing.status).toBe(4);
    expect(missing.stderr).toContain('has attention "half_window"');
    expect(missing.stderr).toContain(here);
    const named = generate("--plugin", away);
    expect([named.status, named.stderr]).toEqual([0, ""]);
    const resume = [
      "pretrain",
      "x",
      "--resume",
      mine.path,
      "--set",
      "train.steps=3",
      "--device",
      "cpu",
      "--plain",
    ];
    const lost = inDir(resume);
    expect([lost.status, lost.stderr]).toEqual([4, expect.stringContaining(`plugin ${here}`)]);
  } finally {
    renameSync(away, here);
  }
});

test("a_changed_plugin_is_warned_of_and_a_resume_wants_it_named", () => {
  const copy = join(dir, "runs", "pretrain-changed-20260101-000000");
  cpSync(mine.path, copy, { recursive: true });
  const path = join(dir, "mine/schedule.ts");
  const before = readFileSync(path);
  appendFileSync(path, "// changed\n");
  try {
    const generated = inDir(["generate", mine.checkpoint, "3+4=", "--max-tokens", "2", "--device", "cpu"]);
    expect(generated.status).toBe(0);
    expect(generated.stderr).toMatch(/warning: plugin .*schedule\.ts is not what .* was saved with/);
    const resume = [
      "pretrain",
      "x",
      "--resume",
      copy,
      "--set",
      "train.steps=3",
      "--device",
      "cpu",
      "--plain",
    ];
    const refused = inDir(resume);
    expect([refused.status, refused.stderr]).toEqual([4, expect.stringContaining("--set plugins=")]);
    const files = base.plugins.map((file) => join(dir, file)).join(", ");
    const accepted = inDir([...resume, "--set", `plugins=[${files}]`]);
    expect(accepted.status, accepted.stderr).toBe(0);
  } finally {
    writeFileSync(path, before);
  }
});

test("plugins_are_loaded_by_every_rank", () => {
  const ranks = inDir([
    "pretrain",
    "mine.yaml",
    "--ranks",
    "2",
    "--set",
    "train.micro_batches=2",
    "--device",
    "cpu",
    "--plain",
  ]);
  // sign_momentum is not linear in the gradient, but its learning rate is the schedule's in every rank.
  expect(ranks.status, ranks.stderr).toBe(0);
  expect(ranks.stdout).toContain("lr 0.0075");
});
