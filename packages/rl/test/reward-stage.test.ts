// Reward models from start to end: trained on sampled sums, resumed with equal bits, and at work as a reward of GRPO.
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
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
  expect(readJsonl(join(trained.dir, "held-out.jsonl"))).toHaveLength(40);
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
