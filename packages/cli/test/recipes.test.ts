// Every committed recipe passes its schema and runs at a size of seconds; those on real data where it is there.
import { existsSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createRunDir, loadConfig } from "@nsa/core";
import { beforeAll, expect, test } from "vitest";
import { parse } from "yaml";
import { needs } from "../../core/test/needs.ts";
import { sharedData as data, hasSharedData as hasData } from "../../core/test/shared-data.ts";
import { runJob } from "../src/child/run-job.ts";
import { loadSchema } from "../src/commands/recipes.ts";
import { loadStage } from "../src/commands/stages.ts";
import { writeReport } from "../src/report/report.ts";
import { nsa, root } from "./built.ts";

const recipes = readdirSync(join(root, "configs")).flatMap((folder) =>
  readdirSync(join(root, "configs", folder))
    .filter((file) => file.endsWith(".yaml"))
    .map((file) => ({
      kind: folder === "pipelines" ? "pipeline" : folder,
      file: `configs/${folder}/${file}`,
    })),
);
const of = (kind: string) => recipes.filter((r) => r.kind === kind).map((r) => r.file);
const needsData = (file: string): boolean => {
  const text = readFileSync(join(root, file), "utf8");
  const base = /^extends: (.*)$/m.exec(text)?.[1];
  return text.includes("NSA_DATA") || (base !== undefined && needsData(join(file, "..", base)));
};

const runs = mkdtempSync(join(tmpdir(), "nsa-recipes-"));
process.env.NSA_DATA = data;
const sets = (values: string[]) => values.flatMap((value) => ["--set", value]);

/** Runs a recipe to its end in this process, as the trainer of the command does, and returns its folder. */
async function runToItsEnd(stage: string, file: string, set: string[]): Promise<string> {
  const definition = await loadStage(stage);
  const { config, yaml } = loadConfig(definition.schema as never, join(root, file), { set });
  const { name } = config as { name?: string };
  const runDir = createRunDir({ root: runs, stage, name: name ?? stage, configYaml: yaml });
  const job = { stage, config, runDir, device: "cpu", resume: false };
  const result = await runJob(job, new AbortController().signal, () => undefined);
  expect(result.status).toBe("completed");
  await writeReport(runDir, definition.sections?.(runDir));
  expect(existsSync(join(runDir, "report.html"))).toBe(true);
  return runDir;
}

const tiny = [
  "model.d_model=16",
  "model.num_layers=1",
  "model.num_heads=2",
  "model.num_kv_heads=1",
  "model.head_dim=8",
  "model.d_ff=24",
  "train.steps=1",
  "train.micro_batch_tokens=256",
  "data.tokenizer_documents=50",
  "data.validation_tokens=500",
  "data.vocab_size=270",
];
const rows = (dir: string) =>
  readFileSync(join(dir, "metrics.jsonl"), "utf8")
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as Record<string, number>);

let checkpoint = "";
beforeAll(async () => {
  const set = [...tiny, "data.sources.0.documents=200", "model.max_seq_len=512"];
  const dir = await runToItsEnd("pretrain", "configs/pretrain/sums-base.yaml", set);
  checkpoint = join(dir, "checkpoints/step-000001");
});

test.each(recipes.map(({ kind, file }) => [file, kind] as const))(
  "%s_passes_its_schema",
  async (file, kind) => {
    const schema = (await loadSchema(kind)) as never;
    expect(loadConfig(schema, join(root, file)).yaml.length).toBeGreaterThan(50);
  },
);

const real = needs(hasData, `no ${data}`);
type Pipeline = { extends?: string; stages?: { name: string; config: string }[] };
function stagesOf(file: string): { name: string; config: string }[] {
  const { extends: base, stages } = parse(readFileSync(join(root, file), "utf8")) as Pipeline;
  return stages ?? stagesOf(join(file, "..", base!));
}
for (const file of of("pipeline")) {
  const stages = stagesOf(file);
  const reads = stages.some(({ config }) => needsData(join(file, "..", config)));
  (reads ? real : test)(`all_recipes_of_${file}_fit_together`, () => {
    const run = nsa(["pipeline", "run", file, "--runs", runs, "--device", "cpu", "--dry-run", "--json"], {
      env: { NSA_DATA: data },
    });
    expect(run.status, run.stderr).toBe(0);
    expect(Object.keys(JSON.parse(run.stdout).stages)).toEqual(stages.map(({ name }) => name));
  });
}

test("configs_crawl_data_tokenizer_tokenize_crawl_base_and_sft_sums_run_one_after_another", async () => {
  const crawled = await runToItsEnd("crawl", "configs/crawl/sums.yaml", ["pages=120"]);
  const crawl = join(crawled, "crawl");
  const corpus = join(runs, "corpus");
  const of = (key: string, name: string) => `${key}=${join(crawl, name)}`;
  const build = nsa([
    ...["data", "build", "configs/data/sums.yaml"],
    ...sets([
      `out_dir=${corpus}`,
      of("inputs.0", "pool.jsonl.gz"),
      of("positives.0", "positives.jsonl"),
      of("negatives.0", "negatives.jsonl"),
      of("labels", "labels.jsonl"),
      of("decontaminate.benchmarks.0", "benchmark.jsonl"),
      "budget_tokens=5000",
    ]),
  ]);
  expect(build.status, build.stderr).toBe(0);
  const ranked = join(corpus, "ranked/ranked-00000.jsonl");
  const tokenizer = join(runs, "crawl-tokenizer.json");
  const made = nsa(["tokenizer", "train", ranked, "--vocab-size", "300", "--out", tokenizer]);
  expect(made.status, made.stderr).toBe(0);
  const shards = join(runs, "crawl-shards");
  expect(nsa(["data", "tokenize", ranked, "--tokenizer", tokenizer, "--out", shards]).status).toBe(0);
  const small = [...tiny, `data.shards=${shards}`];
  const base = await runToItsEnd("pretrain", "configs/pretrain/crawl-base.yaml", small);
  const set = [
    `init_from=${join(base, "checkpoints/step-000001")}`,
    of("data.sources.0.files.0", "examples.jsonl"),
    "train.steps=1",
    "sample.max_tokens=4",
  ];
  expect(
    rows(await runToItsEnd("sft", "configs/sft/sums.yaml", set)).at(-1)!["val/loss_cot"],
  ).toBeGreaterThan(1);
});

const mixes = (file: string) => "mix" in (parse(readFileSync(join(root, file), "utf8")).data ?? {});

test.each(of("pretrain").filter(mixes))("%s_trains_a_step_from_token_shards", async (file) => {
  const texts = Array.from({ length: 40 }, (_, i) =>
    JSON.stringify({ text: `${i} and ${i} are ${2 * i}. `.repeat(9) }),
  );
  writeFileSync(join(runs, "mix.jsonl"), texts.join("\n"));
  const tokenizer = join(checkpoint, "tokenizer.json");
  const made = nsa([
    "data",
    "tokenize",
    join(runs, "mix.jsonl"),
    "--tokenizer",
    tokenizer,
    "--out",
    `${runs}/mix`,
  ]);
  expect(made.status, made.stderr).toBe(0);
  const parts = Object.keys(parse(readFileSync(join(root, file), "utf8")).data.mix);
  const set = parts.map((name) => `data.mix.${name}.shards=${runs}/mix`);
  const last = rows(await runToItsEnd("pretrain", file, [...tiny, "train.steps=2", ...set])).at(-1)!;
  expect(last["val/loss"]).toBeGreaterThan(1);
});

/** Sources of a recipe, its own or those of the one it extends. */
function sourcesOf(file: string): object[] {
  const { data, extends: base } = parse(readFileSync(join(root, file), "utf8"));
  return data?.sources ?? (base ? sourcesOf(join(file, "..", base)) : [{ generate: "stories" }]);
}

const alone = (f: string) => !f.includes("sums-base") && !mixes(f) && !f.includes("crawl-base");
for (const file of of("pretrain").filter(alone))
  (needsData(file) ? real : test)(`${file}_trains_a_step`, async () => {
    const few = sourcesOf(file).map((source, i) =>
      "files" in source ? `data.sources.${i}.max_documents=30` : `data.sources.${i}.documents=200`,
    );
    const last = rows(await runToItsEnd("pretrain", file, [...tiny, ...few])).at(-1)!;
    expect(last["val/loss"]).toBeGreaterThan(1);
  });

/** A recipe's keys, its own and those of the one it extends. */
function keysOf(file: string): Set<string> {
  const recipe = parse(readFileSync(join(root, file), "utf8"));
  const base = recipe.extends ? keysOf(join(file, "..", recipe.extends)) : [];
  return new Set([...Object.keys(recipe), ...base]);
}
/** Whether it needs a reward model, which another recipe makes. */
const byModel = (file: string) => readFileSync(join(root, file), "utf8").includes("kind: model");
const prefers = (file: string) => readFileSync(join(root, file), "utf8").includes("labels: preference");
const iterates = (file: string) => keysOf(file).has("iterations");
/** Whether its iterations retrain the reward model. */
const retrains = (file: string) => readFileSync(join(root, file), "utf8").includes("reward_model:");

/** Outputs of one-digit sums, every other one right. */
function writeOutputs(): string {
  const path = join(runs, "outputs.jsonl");
  const row = (i: number) => ({
    ...{ id: `q${i >> 1}`, question: `1+${i >> 1}`, prompt: `1+${i >> 1}:`, gold: `${1 + (i >> 1)}` },
    ...{ completion: ` ${1 + (i >> 1) + (i % 2)}`, verdict: i % 2 ? "wrong" : "right" },
  });
  writeFileSync(path, Array.from({ length: 40 }, (_, i) => JSON.stringify(row(i))).join("\n"));
  return path;
}

test.each(of("reward").filter(prefers))("%s_takes_a_step_and_serves_rl_on_all_tasks", async (file) => {
  const pairs = join(runs, "preferred.jsonl");
  const lines = Array.from({ length: 12 }, (_, i) => ({
    ...{ id: `q${i}`, question: `list ${i}`, prompt: `list ${i}:`, chosen: ` 1) ${i}`, rejected: ` ${i}` },
  }));
  writeFileSync(pairs, lines.map((line) => JSON.stringify(line)).join("\n"));
  const own = [`init.checkpoint=${checkpoint}`, `data.files.0=${pairs}`, "train.steps=1"];
  const reward = await runToItsEnd("reward", file, own);
  expect(rows(reward).at(-1)!["held_out/pair_accuracy"]).toBeGreaterThanOrEqual(0);
  for (const recipe of of("grpo").filter((f) => byModel(f) && !iterates(f))) {
    const set = [
      `init.checkpoint=${checkpoint}`,
      `rewards.3.checkpoint=${join(reward, "checkpoints/step-000001")}`,
      "rewards.3.from_step=2",
      ...["steps=2", "rollout.questions_per_step=4", "rollout.group_size=2", "rollout.max_tokens=4"],
      ...["evaluation.questions=2", "evaluation.samples=2"],
    ];
    const all = rows(await runToItsEnd("grpo", recipe, set)).filter((row) => "reward/mean" in row);
    // Preferences count from their own step on, and for the families without a rule alone.
    expect(all.map((row) => "reward/model" in row)).toEqual([false, true]);
  }
});

test.each(of("reward").filter((f) => !prefers(f)))(
  "%s_takes_a_step_and_serves_iterative_grpo",
  async (file) => {
    const outputs = writeOutputs();
    const own = [`init.checkpoint=${checkpoint}`, `data.files.0=${outputs}`, "train.steps=1"];
    const reward = await runToItsEnd("reward", file, own);
    expect(rows(reward).at(-1)!["val/loss"]).toBeGreaterThan(0);
    for (const recipe of of("grpo").filter(iterates)) {
      const set = [
        `init.checkpoint=${checkpoint}`,
        `rewards.0.checkpoint=${join(reward, "checkpoints/step-000001")}`,
        ...(retrains(recipe) ? [`iterations.reward_model.history=[${outputs}]`] : []),
        "iterations.count=2",
        "iterations.steps=1",
        "rollout.questions_per_step=2",
        "rollout.group_size=2",
        "rollout.max_tokens=4",
        "evaluation.questions=2",
        "evaluation.samples=2",
      ];
      const all = rows(await runToItsEnd("grpo", recipe, set));
      expect(all.map((row) => row["reward/model"]).filter((x) => x !== undefined)).toHaveLength(2);
    }
  },
);

test.each(of("grpo").filter((f) => (hasData || !needsData(f)) && !byModel(f) && !iterates(f)))(
  "%s_takes_a_step",
  async (file) => {
    const set = [
      `init.checkpoint=${checkpoint}`,
      "steps=1",
      "rollout.questions_per_step=2",
      "rollout.group_size=2",
      "rollout.max_tokens=4",
      "evaluation.questions=2",
      "evaluation.samples=2",
    ];
    const all = rows(await runToItsEnd("grpo", file, set));
    expect(all.some((row) => "reward/mean" in row)).toBe(true);
    expect(all.some((row) => "eval/pass_at_1" in row)).toBe(true);
  },
);

test.each(of("dpo"))("%s_takes_a_step", async (file) => {
  const online = readFileSync(join(root, file), "utf8").includes("pairs: online");
  const pairs = join(runs, "pairs.jsonl");
  const lines = Array.from({ length: 9 }, (_, i) => ({
    prompt: `1+${i}:`,
    chosen: ` ${i + 1}`,
    rejected: ` ${i}`,
  }));
  writeFileSync(pairs, lines.map((line) => JSON.stringify(line)).join("\n"));
  const set = online
    ? ["rollout.questions_per_step=4", "rollout.group_size=4", "rollout.max_tokens=4"]
    : [`data.files=[${pairs}]`, "data.held_out=0.3"];
  if (online) {
    // A base of one step answers nothing: any reward that tells two outputs apart does.
    const reward = join(runs, "length.ts");
    writeFileSync(reward, "export default ({ completion }: { completion: string }) => completion.length;\n");
    set.push(`rewards=[{kind: custom, file: ${reward}}]`, "evaluation.questions=2", "evaluation.samples=2");
  }
  const all = rows(
    await runToItsEnd("dpo", file, [`init.checkpoint=${checkpoint}`, "train.steps=1", ...set]),
  );
  expect(all.find((row) => "dpo/loss" in row)!["dpo/loss"]).toBeCloseTo(Math.LN2, 5);
  expect(all.some((row) => (online ? "eval/pass_at_1" : "val/loss") in row)).toBe(true);
});

test("configs_sample_sums_samples_outputs_and_step_labels_judges_their_steps", async () => {
  expect(of("sample")).toEqual(
    [
      ...["distill", "learned-rewards", "r1-ask", "r1-cold", "r1-preferences", "r1-rejected", "r1-teach"],
      ...["step-labels", "sums", "unified"],
    ].map((name) => `configs/sample/${name}.yaml`),
  );
  const small = [`init.checkpoint=${checkpoint}`, "sampling.max_tokens=8", "engine.questions=2"];
  const questions = ["prompts.questions=3", "sampling.n=2"];
  const outputs = await runToItsEnd("sample", "configs/sample/sums.yaml", [...small, ...questions]);
  expect(rows(outputs).at(-1)).toMatchObject({ "sample/questions": 3, "sample/outputs": 6 });
  const files = `data.files=["${join(outputs, "samples.jsonl")}"]`;
  const labels = await runToItsEnd("sample", "configs/sample/step-labels.yaml", [...small, files]);
  expect(rows(labels).at(-1)!["steps/count"]).toBeGreaterThanOrEqual(rows(labels).at(-1)!["steps/outputs"]!);
});

test("dry_runs_of_all_stages_count_and_guess_without_leaving_a_run", () => {
  const before = readdirSync(runs).length;
  const dry = (stage: string, file: string, ...set: string[]) => {
    const run = nsa([stage, file, "--runs", runs, "--device", "cpu", "--dry-run", "--json", ...sets(set)]);
    expect(run.status, run.stderr).toBe(0);
    return JSON.parse(run.stdout) as Record<string, number>;
  };
  const pretrain = dry("pretrain", "configs/pretrain/quickstart.yaml", "train.steps=10");
  expect(pretrain.tokens).toBe(10 * 1024);
  expect(pretrain.flops).toBe(pretrain.tokens! * pretrain.flops_per_token_actual!);
  expect(pretrain.seconds).toBeGreaterThan(0.1);
  const grpo = dry("grpo", "configs/grpo/sums.yaml", `init.checkpoint=${checkpoint}`, "steps=3");
  expect(grpo.samples_at_most).toBe(3 * 12 * 16);
  expect(grpo.memory_bytes).toBeGreaterThanOrEqual(grpo.memory_parameters_bytes! + grpo.memory_cache_bytes!);
  const sample = dry("sample", "configs/sample/sums.yaml", `init.checkpoint=${checkpoint}`);
  expect(sample.samples_at_most).toBe(256 * 16);
  // `24+13:` has six tokens.
  expect(sample.tokens_at_most).toBe(256 * 16 * (6 + 40));
  const sft = dry("sft", "configs/sft/gsm8k.yaml", `init_from=${checkpoint}`, "train.steps=7");
  expect(sft.tokens).toBe(7 * 4096);
  expect(sft.parameters).toBe(grpo.parameters);
  const dpo = dry("dpo", "configs/dpo/sums.yaml", `init.checkpoint=${checkpoint}`, "train.steps=5");
  expect(dpo.pairs_at_most).toBe(5 * 16);
  expect(dpo.parameters).toBe(grpo.parameters);
  expect(dry("eval", "configs/eval/sums.yaml").answers).toBe(64 * 16);
  const absent = ["--set", 'data.sources.0.files=["absent.jsonl"]'];
  const warned = nsa([
    "pretrain",
    "configs/pretrain/books-base.yaml",
    "--dry-run",
    "--device",
    "cpu",
    ...absent,
  ]);
  expect(warned.status, warned.stderr).toBe(0);
  expect(warned.stderr).toMatch(/warning: no input file for absent.jsonl/);
  expect(readdirSync(runs)).toHaveLength(before);
});

test("a_checkpoint_that_is_not_there_leaves_no_run", () => {
  const before = readdirSync(runs).length;
  for (const [stage, file, key] of [
    ["grpo", "configs/grpo/sums.yaml", "init.checkpoint"],
    ["dpo", "configs/dpo/sums.yaml", "init.checkpoint"],
    ["sft", "configs/sft/gsm8k.yaml", "init_from"],
    ["sample", "configs/sample/sums.yaml", "init.checkpoint"],
  ] as const)
    expect(nsa([stage, file, "--runs", runs, "--set", `${key}=nowhere`]).status).toBe(3);
  expect(readdirSync(runs)).toHaveLength(before);
});

test("configs_eval_sums_measures_a_checkpoint", async () => {
  const small = ["tasks.0.questions=2", "tasks.0.samples=2", "tasks.0.max_tokens=4"];
  await runToItsEnd("eval", "configs/eval/sums.yaml", [`checkpoint=${checkpoint}`, ...small]);
});

real("configs_eval_h100_60m_measures_a_checkpoint", async () => {
  const small = [0, 1, 2].flatMap((i) => [
    i < 2 ? `tasks.${i}.questions=2` : `tasks.${i}.limit=2`,
    `tasks.${i}.samples=2`,
    `tasks.${i}.max_tokens=4`,
  ]);
  await runToItsEnd("eval", "configs/eval/h100-60m.yaml", [`checkpoint=${checkpoint}`, ...small]);
});

/** Recipes of adapters and of distillation, which say what they leave. */
const has = (key: string) => (file: string) => keysOf(file).has(key);

for (const file of of("sft").filter((f) => has("adapter")(f) || has("distill")(f)))
  (needsData(file) ? real : test)(`${file}_takes_a_step`, async () => {
    const examples = join(runs, "examples.jsonl");
    const words = Array.from({ length: 9 }, (_, i) => ({
      ...{ question: `1+${i}`, working: `1+${i}`, answer: `${1 + i}`, solution: `${1 + i}` },
      ...{ prompt: `1+${i}:`, completion: ` ${1 + i}` },
      messages: [
        { role: "user", content: `1+${i}` },
        { role: "assistant", content: `${1 + i}` },
      ],
    }));
    writeFileSync(examples, words.map((row) => JSON.stringify(row)).join("\n"));
    const set = [
      ...[`init_from=${checkpoint}`, `data.sources.0.files=[${examples}]`, "sample.max_tokens=4"],
      ...["train.steps=1", "train.micro_batches=1", "train.micro_batch_tokens=600", "train.seq_len=500"],
      ...(has("distill")(file) ? [`distill.teacher=${checkpoint}`, "distill.max_tokens=8"] : []),
    ];
    const dir = await runToItsEnd("sft", file, set);
    const step = rows(dir).find((row) => "train/loss" in row)!;
    // A student that is its own teacher is where it should be.
    if (has("distill")(file)) expect(Math.abs(step["distill/divergence"]!)).toBeLessThan(1e-5);
    else expect(step["train/loss"]).toBeGreaterThan(1);
    const weights = has("adapter")(file) ? "adapter.safetensors" : "model.safetensors";
    expect(readdirSync(join(dir, "checkpoints/step-000001"))).toContain(weights);
  });

for (const name of ["gsm8k", "h100-60m"])
  real(`configs_sft_${name}_takes_a_step`, async () => {
    const set = [
      `init_from=${checkpoint}`,
      "data.sources.0.max_examples=20",
      "train.steps=1",
      "train.micro_batch_tokens=600",
      "train.seq_len=600",
      "sample.prompts=1",
      "sample.max_tokens=4",
    ];
    const all = rows(await runToItsEnd("sft", `configs/sft/${name}.yaml`, set));
    expect(all.find((row) => "train/loss" in row)!["train/loss"]).toBeGreaterThan(1);
  });
