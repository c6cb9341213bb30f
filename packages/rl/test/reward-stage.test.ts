// Reward models from start to end: trained on sampled sums, resumed with equal bits, and at work as a reward of GRPO.
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { openStageContext, parseConfig, readJsonl, type StageResult } from "@nsa/core";
import { Tokenizer } from "@nsa/data";
import { afterAll, beforeAll, expect, test } from "vitest";
import { rewardModelSchema, rewardStage } from "../src/index.ts";
import { grpoRuns, makeBase, stepMetrics } from "./grpo-fixture.ts";

const root = mkdtempSync(join(tmpdir(), "nsa-reward-stage-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));

let base: string;
const outputs = join(root, "outputs.jsonl");
const steps = join(root, "steps.jsonl");
const { run } = grpoRuns(root, () => base);

beforeAll(async () => {
  base = await makeBase(root);
  const tokenizer = Tokenizer.load(join(base, "tokenizer.json"));
  // What is right here: an even answer. A sum and the number after it are one of each.
  const rows: object[] = [];
  const stepRows: object[] = [];
  for (let a = 0; a < 10; a++) {
    for (let b = 0; b < 10; b++) {
      const question = `${a}+${b}`;
      for (const off of [0, 1]) {
        const right = (a + b + off) % 2 === 0;
        const completion = ` <think> ${question}=${a + b + off} </think>\n<answer> ${a + b + off} </answer>`;
        const ids = [...tokenizer.encode(completion), tokenizer.eosId];
        const verdict = right ? "right" : "wrong";
        const prompt_ids = [...tokenizer.encode(`${question}=`)];
        rows.push({
          id: question,
          question,
          prompt_ids,
          ids,
          verdict,
          finish: "stop",
          policy_step: off === 0 ? 0 : 5,
        });
        const [thought, answer] = completion.split("\n");
        stepRows.push({
          prompt: `${question}=`,
          question,
          steps: [
            { text: `${thought}\n`, soft: right ? 1 : 0.125 },
            { text: answer, soft: right ? 1 : 0 },
          ],
        });
      }
    }
  }
  const write = (file: string, all: object[]) =>
    writeFileSync(file, all.map((row) => JSON.stringify(row)).join("\n"));
  write(outputs, rows);
  writeFileSync(`${outputs}.gz`, gzipSync(readFileSync(outputs)));
  write(steps, stepRows);
});

async function reward(name: string, set: object, options: { resumeFrom?: string; stopAt?: number } = {}) {
  const dir = join(root, name);
  mkdirSync(join(dir, "checkpoints"), { recursive: true });
  const abort = new AbortController();
  const metrics: Record<string, number>[] = [];
  const ctx = openStageContext({
    runDir: dir,
    device: "cpu",
    signal: abort.signal,
    ...(options.resumeFrom ? { resumeFrom: options.resumeFrom } : {}),
    onEvent: (e) => {
      if (e.type === "eval") metrics.push(e.metrics);
      if (e.type === "step" && e.step === options.stopAt) abort.abort();
    },
  });
  const config = parseConfig(
    rewardModelSchema,
    {
      init: { checkpoint: base },
      held_out: 0.2,
      data: { files: [outputs] },
      threads: 2,
      train: {
        steps: 90,
        micro_batch_tokens: 1024,
        eval_every: 0,
        save_every: 20,
        optimizer: { lr: 3e-3, weight_decay: 0 },
        schedule: { kind: "constant" },
      },
      ...set,
    } as never,
    "test",
  );
  const result: StageResult = await rewardStage.run(config, ctx);
  await ctx.close();
  return { result, dir, metrics: metrics.at(-1), checkpoint: result.outputs.checkpoint! };
}

test("an_outcome_model_learns_to_tell_right_outputs_from_wrong_ones_and_serves_as_a_reward", async () => {
  const trained = await reward("outcome", {});
  expect(trained.metrics!["held_out/auc"]).toBeGreaterThan(0.8);
  expect(trained.metrics!["held_out/auc"]).toBeGreaterThan(
    trained.metrics!["held_out/length_and_form_auc"]! + 0.1,
  );
  // A fifth of a hundred questions, two outputs each.
  const rows = readJsonl(join(trained.dir, "held-out.jsonl")).length;
  expect([rows >= 24, rows <= 60]).toEqual([true, true]);
  const titles = rewardStage.sections!(trained.dir).map(({ title }) => title);
  expect(titles).toEqual(["Held-out outputs", "Held-out outputs by policy step"]);
  const file = JSON.parse(readFileSync(join(trained.checkpoint, "reward.json"), "utf8"));
  expect(file).toMatchObject({ kind: "outcome", loss: "pointwise", probability: true });

  const { events } = await run("by-model", {
    steps: 2,
    rewards: [
      { kind: "model", checkpoint: trained.checkpoint, ensemble: [trained.checkpoint] },
      { kind: "accuracy", weight: 0 },
    ],
  });
  for (const metrics of stepMetrics(events)) {
    expect(metrics["reward/model"]).toBeGreaterThan(0);
    expect(metrics["reward/model"]).toBeLessThan(1);
    expect(metrics["reward/mean"]).toBeCloseTo(metrics["reward/model"]!, 9);
    // Two equal models agree.
    expect(metrics["reward/model_spread"]).toBe(0);
  }
  await expect(
    run("wrong-kind", { steps: 1, rewards: [{ kind: "process_model", checkpoint: trained.checkpoint }] }),
  ).rejects.toMatchObject({ code: "reward_model_unfit", exitCode: 2 });
});

test("a_stopped_run_resumes_to_equal_bits", async () => {
  const weights = (path: string) => readFileSync(join(path, "model.safetensors"));
  const whole = await reward("whole", { loss: "bradley_terry" });
  const stopped = await reward("stopped", { loss: "bradley_terry" }, { stopAt: 40 });
  expect(stopped.result.status).toBe("interrupted");
  const resumed = await reward("stopped", { loss: "bradley_terry" }, { resumeFrom: stopped.checkpoint });
  expect(weights(resumed.checkpoint).equals(weights(whole.checkpoint))).toBe(true);
  expect(resumed.metrics).toEqual(whole.metrics);
  expect(whole.metrics!["held_out/pair_accuracy"]).toBeGreaterThan(0.75);
});

test("a_process_model_gives_a_number_at_the_end_of_each_step_of_an_output", async () => {
  const trained = await reward("process", {
    kind: "process",
    labels: "shepherd_soft",
    data: { files: [steps] },
  });
  expect(trained.metrics!["held_out/auc"]).toBeGreaterThan(0.7);
  expect(rewardStage.sections!(trained.dir).map(({ title }) => title)).toContain(
    "Held-out outputs by step of the solution",
  );
  const { dir } = await run("by-steps", {
    steps: 1,
    algorithm: { advantage: "process", aggregation: "token_mean" },
    rewards: [{ kind: "process_model", checkpoint: trained.checkpoint }],
  });
  const rows = readJsonl<{ completion?: string; parts?: Record<string, number> }>(join(dir, "samples.jsonl"));
  const scored = rows.filter((r) => r.parts);
  for (const { completion, parts } of scored) {
    const lines = completion!.split("\n").filter((line) => line.trim() !== "").length;
    // Each step's probability lies in (0, 1): their sum does below the number of steps.
    expect(parts!.process_model).toBeLessThan(lines + 1e-9);
    if (lines > 0) expect(parts!.process_model).toBeGreaterThan(0);
  }
});

async function iterative(
  name: string,
  kind: "outcome" | "process",
  options: { resumeFrom?: string; stopAt?: number } = {},
  history: string[] = [],
) {
  const recipe = join(root, `${kind}.yaml`);
  const rows = kind === "outcome" ? outputs : steps;
  writeFileSync(
    recipe,
    `{init: {checkpoint: none}, kind: ${kind}, labels: ${kind === "outcome" ? "rule" : "shepherd_soft"}, held_out: 0.1, data: {files: ["${rows}"]}, train: {steps: 6, micro_batch_tokens: 512, optimizer: {lr: 1.0e-3}}}`,
  );
  const set = kind === "outcome" ? {} : { kind, labels: "shepherd_soft", data: { files: [steps] } };
  const { checkpoint } = await reward(`first-${kind}`, {
    ...set,
    train: { steps: 4, optimizer: { lr: 1e-3 } },
  });
  return run(
    name,
    {
      iterations: { count: 3, steps: 2, reward_model: { recipe, rollouts: 2, fresh: 56, history } },
      algorithm: {
        kl_coef: 0.01,
        advantage: kind === "outcome" ? "grpo" : "process",
        aggregation: "token_mean",
      },
      rewards: [
        { kind: kind === "outcome" ? "model" : "process_model", checkpoint },
        { kind: "accuracy", weight: 0 },
      ],
      evaluation: { questions: 4, samples: 2 },
      checkpoint: { every: 1, keep_last: 9 },
      train: { optimizer: { lr: 2e-5, weight_decay: 0 }, schedule: { kind: "constant" } },
    },
    options,
  );
}

test("iterative_grpo_retrains_the_reward_model_after_each_iteration_but_the_last", async () => {
  const { dir, events, result } = await iterative("iterative", "outcome", {}, [`${outputs}.gz`]);
  expect(result).toMatchObject({ status: "completed", step: 6 });
  const retrained = events.flatMap((e) =>
    e.type === "eval" && "reward_model/train_loss" in e.metrics ? [e] : [],
  );
  expect(retrained.map((e) => e.step)).toEqual([2, 4]);
  const folder = join(dir, "reward-model");
  // 48 outputs a step: some questions are held out, at most 56 of the rest are trained on.
  expect(readJsonl(join(folder, "iteration-001/outputs.jsonl"))).toHaveLength(96);
  type Row = { prompt_ids: number[]; policy_step: number };
  const rowsOf = (file: string) => readJsonl<Row>(join(folder, file));
  const history = (i: number) => {
    const [head, ...rows] = rowsOf(`iteration-00${i}/history.jsonl`);
    return { seen: (head as unknown as { seen: number }).seen, rows };
  };
  // The reward model's own data has two outputs of each of the hundred sums; a tenth of the sums is held out of all training.
  const prompts = (rows: Row[]) => new Set(rows.map((row) => row.prompt_ids.join()));
  const first = prompts(history(1).rows.slice(0, -56));
  expect(history(1).seen).toBe(2 * first.size + 56);
  expect([first.size < 97, first.size > 80]).toEqual([true, true]);
  expect(history(2).seen).toBe(history(1).seen + 56);
  expect(history(2).rows).toHaveLength(history(2).seen);
  const heldOut = rowsOf("iteration-002/held-out.jsonl");
  expect(heldOut.length).toBeGreaterThan(0);
  for (const row of heldOut) expect(row.policy_step).toBe(2);
  for (const prompt of prompts(heldOut)) expect(prompts(history(2).rows).has(prompt)).toBe(false);
  const weights = (path: string) => readFileSync(join(folder, path, "model/model.safetensors"));
  expect(weights("iteration-001").equals(weights("iteration-002"))).toBe(false);
  // Each iteration begins with reference ← policy: the KL of its first step is 0.
  const kl = stepMetrics(events).map((m) => m["kl/mean"]!);
  for (const [i, value] of kl.entries()) expect(Math.abs(value) < 1e-6).toBe(i % 2 === 0);
});

test("iterative_grpo_resumes_to_equal_bits_from_within_an_iteration_and_from_its_end", async () => {
  const whole = await iterative("whole-iterative", "outcome");
  for (const stopAt of [2, 3]) {
    const name = `stopped-iterative-${stopAt}`;
    const stopped = await iterative(name, "outcome", { stopAt });
    expect(stopped.result).toMatchObject({ status: "interrupted", step: stopAt });
    const resumed = await iterative(name, "outcome", { resumeFrom: stopped.result.outputs.checkpoint! });
    for (const file of [
      "checkpoints/step-000006/model.safetensors",
      "reward-model/iteration-002/model/model.safetensors",
      "reward-model/iteration-002/history.jsonl",
      "reward-model/iteration-003/outputs.jsonl",
    ])
      expect(readFileSync(join(resumed.dir, file)).equals(readFileSync(join(whole.dir, file)))).toBe(true);
  }
  // A model of an iteration that is over cannot be made again from its middle.
  rmSync(join(whole.dir, "reward-model/iteration-001"), { recursive: true });
  await expect(
    iterative("whole-iterative", "outcome", { resumeFrom: join(whole.dir, "checkpoints/step-000003") }),
  ).rejects.toMatchObject({ code: "reward_model_missing", exitCode: 3 });
  // Nor can it be made of fewer outputs than the run drew.
  const name = "stopped-iterative-3";
  const path = join(root, name, "reward-model/iteration-002/outputs.jsonl");
  const lines = readFileSync(path, "utf8").split("\n");
  writeFileSync(path, `${lines.slice(0, 47).join("\n")}\n`);
  await expect(
    iterative(name, "outcome", { resumeFrom: join(root, name, "checkpoints/step-000003") }),
  ).rejects.toMatchObject({
    ...{ code: "iteration_damaged", exitCode: 3, what: path },
    why: "it has 47 of the 48 outputs of step 3",
  });
});

test("iterative_grpo_labels_steps_by_roll_outs_for_a_process_model", async () => {
  const { dir } = await iterative("iterative-process", "process");
  const history = readJsonl<{ steps?: { soft: number; n: number }[]; ids?: number[] }>(
    join(dir, "reward-model/iteration-001/history.jsonl"),
  );
  const labelled = history.filter((row) => row.ids);
  expect(labelled.length).toBeGreaterThan(0);
  for (const { steps: own } of labelled) for (const { soft, n } of own!) expect((soft * n) % 1).toBe(0);
});

test("history_that_cannot_be_read_ends_the_run_before_its_first_step", async () => {
  const file = join(root, "broken.jsonl");
  const [first] = readFileSync(outputs, "utf8").split("\n");
  for (const [line, code] of [
    ['{"id": "cut', "data_not_json"],
    ['{"prompt_ids": [1], "ids": [2]}', "reward_record_invalid"],
  ] as const) {
    writeFileSync(file, `${first}\n${line}\n`);
    const name = `broken-${code}`;
    await expect(iterative(name, "outcome", {}, [file])).rejects.toMatchObject({
      code,
      exitCode: 3,
      what: `${file}:2`,
    });
    expect(existsSync(join(root, name, "metrics.jsonl"))).toBe(false);
  }
});

test.each([
  ["outcome", "preference", /set labels: rule/],
  ["process", "rule", /shepherd_soft or shepherd_hard/],
])("a_recipe_of_a_%s_model_with_labels_%s_is_refused_for_iterations", async (kind, labels, fix) => {
  const recipe = join(root, `labels-${labels}.yaml`);
  writeFileSync(
    recipe,
    `{init: {checkpoint: none}, kind: ${kind}, labels: ${labels}, data: {files: [none.jsonl]}}`,
  );
  const rewards = [{ kind: kind === "outcome" ? "model" : "process_model", checkpoint: "none" }];
  const iterations = { count: 2, steps: 2, reward_model: { recipe } };
  await expect(run("refused", { iterations, rewards })).rejects.toMatchObject({
    code: "reward_recipe_invalid",
    exitCode: 2,
    what: `${recipe}: labels ${labels} in iterations`,
    fix: expect.stringMatching(fix),
  });
});

test("history_that_cannot_be_read_ends_the_run_before_its_first_step", async () => {
  const file = join(root, "broken.jsonl");
  const [first] = readFileSync(outputs, "utf8").split("\n");
  for (const [line, code] of [
    ['{"id": "cut', "data_not_json"],
    ['{"prompt_ids": [1], "ids": [2]}', "reward_record_invalid"],
  ] as const) {
    writeFileSync(file, `${first}\n${line}\n`);
    const name = `broken-${code}`;
    await expect(iterative(name, "outcome", {}, [file])).rejects.toMatchObject({
      code,
      exitCode: 3,
      what: `${file}:2`,
    });
    expect(existsSync(join(root, name, "metrics.jsonl"))).toBe(false);
  }
});

test.each([
  [{ algorithm: { reference_every: 3 } }, /reference_every/],
  [{ rewards: [{ kind: "accuracy" }] }, /0 rewards of kind model/],
])("iterations_that_contradict_%j_are_refused", async (set, what) => {
  const iterations = { count: 2, steps: 2, reward_model: { recipe: "none.yaml" } };
  await expect(run("refused", { iterations, ...set })).rejects.toMatchObject({
    code: "iterations_invalid",
    exitCode: 2,
    what: expect.stringMatching(what),
  });
});

test("checkpoints_that_cannot_serve_as_a_reward_are_named", async () => {
  const byModel = (checkpoint: string) =>
    run("refused", { steps: 1, rewards: [{ kind: "model", checkpoint }] });
  await expect(byModel(base)).rejects.toMatchObject({
    code: "reward_model_invalid",
    exitCode: 3,
    why: "it has no reward.json",
  });
  await expect(byModel("")).rejects.toMatchObject({ code: "reward_model_unfit", exitCode: 2 });
  const { checkpoint } = await reward("foreign", { train: { steps: 1 } });
  const foreign = join(root, "foreign-copy");
  cpSync(checkpoint, foreign, { recursive: true });
  const path = join(foreign, "reward.json");
  writeFileSync(
    path,
    JSON.stringify({ ...JSON.parse(readFileSync(path, "utf8")), tokenizer: "0".repeat(64) }),
  );
  await expect(byModel(foreign)).rejects.toMatchObject({ code: "reward_tokenizer_mismatch", exitCode: 3 });
  writeFileSync(path, "{}");
  await expect(byModel(foreign)).rejects.toMatchObject({ code: "reward_model_invalid", exitCode: 3 });
});

test("the_report_has_accuracy_auc_calibration_and_the_baseline_by_hand", () => {
  const dir = join(root, "by-hand");
  mkdirSync(dir);
  const write = (name: string, rows: object[]) =>
    writeFileSync(join(dir, name), rows.map((row) => `${JSON.stringify(row)}\n`).join(""));
  const row = (number: number, label: number) => ({ question: "q", number, label, index: 0, of: 1 });
  // On the side of its label: 2, 0.5 and -1. Of right and wrong ones 2 > -1, 2 > 1 and 0.5 > -1 are in order, 0.5 < 1 is not.
  write("held-out.jsonl", [row(2, 1), row(0.5, 1), row(-1, 0), row(1, 0)]);
  write("metrics.jsonl", [{ step: 1, "held_out/accuracy": 0.75, "held_out/length_and_form_auc": 0.625 }]);
  const [section] = rewardStage.sections!(dir);
  expect(section!.columns).toEqual([
    ...["", "outputs", "share of right labels", "accuracy", "AUC", "calibration error of σ"],
  ]);
  expect(section!.rows[0]!.slice(0, 5)).toEqual(["all", 4, "0.500", "0.750", "0.750"]);
  expect(section!.rows[1]).toEqual(["baseline on length and form", "–", "–", "–", "0.625", "–"]);
  // Numbers of a model that compares have no side.
  write("metrics.jsonl", [{ step: 1, "held_out/pair_accuracy": 0.875, "held_out/auc": 0.75 }]);
  expect(rewardStage.sections!(dir)[0]!.rows).toEqual([
    ["all", 4, "0.500", "–", "0.750", "–"],
    ["pairs in order", "–", "–", "0.875", "–", "–"],
  ]);
});
