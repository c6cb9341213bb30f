// Every stage trains low-rank adapters: checkpoints lie on their base, references are the base's, resumes have equal bits.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseConfig, readJsonl, type StageResult } from "@nsa/core";
import { Tokenizer } from "@nsa/data";
import { Device } from "@nsa/kernels";
import { exportPeft, INFERENCE_ONLY, loadModel, readCheckpointState, type Transformer } from "@nsa/model";
import { runSft, sftSchema } from "@nsa/train";
import { afterAll, beforeAll, expect, test } from "vitest";
import { rewardModelSchema, rewardStage, runDpo, runSample } from "../src/index.ts";
import { offlineRecipe, onlineRecipe, preferenceFile } from "./dpo-fixture.ts";
import { grpoRuns, makeBase, runStage, stepMetrics } from "./grpo-fixture.ts";
import { sampleRecipe } from "./sample-fixture.ts";

const root = mkdtempSync(join(tmpdir(), "nsa-lora-stages-"));
const device = Device.open("cpu", { threads: 1 });
afterAll(() => {
  device.close();
  rmSync(root, { recursive: true, force: true });
});

let base: string;
const { run } = grpoRuns(root, () => base);
const adapter = { rank: 4, alpha: 8 };
const kl = { kl_coef: 0.05, aggregation: "token_mean" };

beforeAll(async () => {
  base = await makeBase(root);
});

const adapters = ({ outputs }: StageResult) => readFileSync(join(outputs.checkpoint!, "adapter.safetensors"));

/** The checkpoint's base is the stage's first checkpoint, whose bits are in the model still. */
async function checkBase(result: StageResult, head?: string): Promise<Transformer> {
  const { checkpoint } = result.outputs;
  const state = await readCheckpointState(checkpoint!);
  expect(state.base?.path).toBe(base);
  const own = head ? { head } : {};
  const model = await loadModel(device, checkpoint!, own, INFERENCE_ONLY);
  const first = await loadModel(device, base, own, INFERENCE_ONLY);
  for (const { name } of first.parameters.names)
    if (name !== "score.weight")
      expect(model.parameters.readMaster(name), name).toEqual(first.parameters.readMaster(name));
  const b = model.parameters.readMaster("model.layers.1.mlp.down_proj.lora_B.weight");
  expect(Math.hypot(...b)).toBeGreaterThan(0);
  return model;
}

test("sft_learns_by_adapters_and_what_follows_reads_them", async () => {
  const file = join(root, "examples.jsonl");
  const rows = Array.from({ length: 40 }, (_, i) => JSON.stringify({ q: `${i % 5}+`, a: `${i % 5}!` }));
  writeFileSync(file, rows.join("\n"));
  const config = (set: object = {}) =>
    parseConfig(
      sftSchema,
      {
        init_from: base,
        threads: 1,
        adapter,
        data: { sources: [{ files: [file], prompt: "{q}", completion: "{a}" }] },
        train: {
          steps: 30,
          micro_batch_tokens: 48,
          seq_len: 32,
          optimizer: { lr: 0.01, weight_decay: 0 },
          save_every: 10,
        },
        sample: { prompts: 0 },
        ...set,
      } as never,
      "test",
    );
  const whole = await runStage(root, "sft", runSft, config());
  const loss = stepMetrics(whole.events).map((m) => m["train/loss"]!);
  expect(loss.at(-1)).toBeLessThan(0.3 * loss[0]!);
  await checkBase(whole.result);
  await runStage(root, "sft-parts", runSft, config(), { stopAt: 25 });
  const resumeFrom = join(root, "sft-parts", "checkpoints", "step-000020");
  const parts = await runStage(root, "sft-parts", runSft, config(), { resumeFrom });
  expect(adapters(parts.result).equals(adapters(whole.result))).toBe(true);
  // Sampling reads the adapters; a stage without `adapter` trains the merged weights.
  const { checkpoint } = whole.result.outputs;
  const sampled = await runStage(root, "sampled", runSample, sampleRecipe(checkpoint!));
  expect(sampled.result.status).toBe("completed");
  const full = await runStage(root, "full", runSft, config({ init_from: checkpoint, adapter: undefined }));
  expect((await readCheckpointState(full.result.outputs.checkpoint!)).base).toBeUndefined();
  expect(stepMetrics(full.events)[0]!["train/loss"]!).toBeLessThan(0.3 * loss[0]!);
});

test("grpo_measures_its_kl_against_the_policy_without_adapters", async () => {
  const set = { adapter, algorithm: kl };
  const whole = await run("grpo", set);
  await checkBase(whole.result);
  // In the first step the policy is its reference, to the bit; later it is not.
  const figures = stepMetrics(whole.events).map((m) => m["kl/mean"]!);
  expect(figures[0]).toBe(0);
  expect(figures.at(-1)).toBeGreaterThan(0);
  for (const m of stepMetrics(whole.events)) expect(m["policy/sampler_difference_max"]).toBeLessThan(1e-4);
  await run("grpo-parts", set, { stopAt: 4 });
  const resumeFrom = join(root, "grpo-parts", "checkpoints", "step-000003");
  const parts = await run("grpo-parts", set, { resumeFrom });
  expect(adapters(parts.result).equals(adapters(whole.result))).toBe(true);
});

test("a_stage_starts_from_the_adapters_that_init_from_names", async () => {
  const first = (await run("start", { adapter, steps: 2, algorithm: kl })).result.outputs.checkpoint!;
  const peft = join(root, "start-peft");
  await exportPeft(first, peft);
  const differences: number[] = [];
  for (const [name, initFrom] of [
    ["from-checkpoint", first],
    ["from-peft", peft],
  ] as const) {
    // The sizes are the folder's: rank 4, not the default 8.
    const set = { adapter: { init_from: initFrom }, steps: 2, algorithm: kl };
    const { result, events } = await run(name, set);
    // The reference is the policy with the adapters it started from.
    expect(stepMetrics(events)[0]!["kl/mean"]).toBe(0);
    expect(stepMetrics(events)[1]!["kl/mean"]).toBeGreaterThan(0);
    const model = await checkBase(result);
    expect(model.config.lora).toMatchObject({ rank: 4, alpha: 8 });
    const start = await loadModel(device, first, {}, INFERENCE_ONLY);
    const tensor = "model.layers.1.mlp.down_proj.lora_A.weight";
    const [now, then] = [model, start].map((m) => m.parameters.readMaster(tensor));
    differences.push(Math.max(...now!.map((x, i) => Math.abs(x - then![i]!))));
  }
  // Two steps of Adam move a number by about two rates; new adapters would be about 1/√32 away.
  for (const difference of differences) expect(difference).toBeLessThan(0.03);
  await expect(run("other-rank", { adapter: { init_from: first, rank: 5 } })).rejects.toMatchObject({
    code: "adapter_differs",
    exitCode: 2,
  });
  await expect(run("dropout", { adapter: { dropout: 0.1 } })).rejects.toMatchObject({
    code: "adapter_dropout",
    exitCode: 4,
  });
  await expect(run("whole", { adapter: { init_from: base } })).rejects.toMatchObject({ code: "no_adapter" });
  // The adapters of a base are not put on the sum of both.
  const again = { init: { checkpoint: first }, adapter: { init_from: first } };
  await expect(run("twice", again)).rejects.toMatchObject({ code: "base_changed", exitCode: 3 });
});

test("a_renewed_reference_of_adapters_is_found_again", async () => {
  const set = { adapter, steps: 6, algorithm: { ...kl, reference_every: 2 } };
  const whole = await run("refs", set);
  await run("refs-parts", set, { stopAt: 6 });
  const resumeFrom = join(root, "refs-parts", "checkpoints", "step-000003");
  const parts = await run("refs-parts", set, { resumeFrom });
  expect(adapters(parts.result).equals(adapters(whole.result))).toBe(true);
  // Its own log-probabilities at the step after it was renewed.
  expect(stepMetrics(whole.events)[2]!["kl/mean"]).toBe(0);
  expect(stepMetrics(whole.events)[3]!["kl/mean"]).toBeGreaterThan(0);
});

test("ppo_learns_values_by_adapters_of_their_own_or_on_the_policys_trunk", async () => {
  for (const shared of [true, false]) {
    const set = {
      adapter,
      steps: 2,
      algorithm: { ...kl, advantage: "gae" },
      value: { shared, lr: 1e-3 },
      checkpoint: { every: 1 },
    };
    const name = `ppo-${shared}`;
    const whole = await run(name, set);
    await checkBase(whole.result, shared ? "lm_scalar" : undefined);
    await run(`${name}-parts`, set, { stopAt: 1 });
    const resumeFrom = join(root, `${name}-parts`, "checkpoints", "step-000001");
    const parts = await run(`${name}-parts`, set, { resumeFrom });
    expect(adapters(parts.result).equals(adapters(whole.result))).toBe(true);
  }
});

test("dpo_learns_by_adapters_offline_and_online", async () => {
  const file = preferenceFile(root);
  const whole = await runStage(root, "dpo", runDpo, offlineRecipe(base, file, { adapter }));
  await checkBase(whole.result);
  // The reference is the start: ln 2, and the margin grows from 0.
  const loss = stepMetrics(whole.events).map((m) => m["dpo/loss"]!);
  expect(loss[0]).toBeCloseTo(Math.LN2, 6);
  expect(loss.at(-1)).toBeLessThan(loss[0]!);
  const online = await runStage(root, "dpo-online", runDpo, onlineRecipe(base, { adapter }));
  await checkBase(online.result);
});

test("a_reward_model_of_adapters_scores_outputs", async () => {
  const tokenizer = Tokenizer.load(join(base, "tokenizer.json"));
  const rows = Array.from({ length: 60 }, (_, i) => ({
    prompt_ids: [...tokenizer.encode(`${i % 10}+1=`)],
    ids: [...tokenizer.encode(i % 3 ? "yes" : "no."), tokenizer.eosId],
    id: `q${i % 10}`,
    question: `${i % 10}+1`,
    verdict: i % 3 ? "right" : "wrong",
    finish: "stop",
  }));
  const file = join(root, "outputs.jsonl");
  writeFileSync(file, rows.map((row) => JSON.stringify(row)).join("\n"));
  const config = parseConfig(
    rewardModelSchema,
    {
      init: { checkpoint: base },
      adapter,
      data: { files: [file] },
      held_out: 0.2,
      threads: 1,
      train: {
        steps: 30,
        micro_batch_tokens: 256,
        micro_batches: 1,
        optimizer: { lr: 0.01, weight_decay: 0 },
        eval_every: 0,
      },
    } as never,
    "test",
  );
  const { result } = await runStage(root, "reward", rewardStage.run, config);
  expect(result.metrics["held_out/auc"]).toBeGreaterThan(0.95);
  await checkBase(result, "scalar");
  // At work as a reward of GRPO.
  const rewards = [{ kind: "model", checkpoint: result.outputs.checkpoint }];
  const { dir } = await run("by-model", { adapter, steps: 1, rewards });
  const scored = readJsonl<{ reward: number }>(join(dir, "samples.jsonl")).map((r) => r.reward);
  expect(scored.every(Number.isFinite)).toBe(true);
  expect(new Set(scored).size).toBeGreaterThan(1);
  // Retrained after an iteration, its own adapters are trained on, on the same base.
  const recipe = join(root, "reward.json");
  const settings = {
    ...{ init: { checkpoint: base }, adapter, held_out: 0.2, data: { files: [file] } },
    train: { steps: 3, micro_batch_tokens: 256, optimizer: { lr: 1e-3, weight_decay: 0 } },
  };
  writeFileSync(recipe, JSON.stringify(settings));
  const iterations = { count: 2, steps: 2, reward_model: { recipe, fresh: 40 } };
  const iterated = await run("iterated", { adapter, iterations, rewards, algorithm: kl });
  const again = join(iterated.dir, "reward-model/iteration-001/model");
  const state = await readCheckpointState(again);
  expect(state.base?.path).toBe(base);
  const score = async (dir: string) =>
    (await loadModel(device, dir, { head: "scalar" }, INFERENCE_ONLY)).parameters.readMaster("score.weight");
  expect(await score(again)).not.toEqual(await score(result.outputs.checkpoint!));
});
