// `adapter.init_from` in the stages of the shared loop: SFT, DPO and reward models begin with the adapters that it names.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseConfig } from "@nsa/core";
import { Tokenizer } from "@nsa/data";
import { Device } from "@nsa/kernels";
import { exportPeft, INFERENCE_ONLY, loadModel, readCheckpointState } from "@nsa/model";
import { runSft, sftSchema } from "@nsa/train";
import { afterAll, beforeAll, expect, test } from "vitest";
import { rewardModelSchema, rewardStage, runDpo } from "../src/index.ts";
import { offlineRecipe, preferenceFile } from "./dpo-fixture.ts";
import { makeBase, runStage, stepMetrics } from "./grpo-fixture.ts";

const root = mkdtempSync(join(tmpdir(), "nsa-lora-init-"));
const device = Device.open("cpu", { threads: 1 });
afterAll(() => {
  device.close();
  rmSync(root, { recursive: true, force: true });
});

let [base, first, peft] = ["", "", ""];
const examples = join(root, "examples.jsonl");
const TENSOR = "model.layers.1.mlp.down_proj.lora_A.weight";

const sft = (adapter: object, steps: number, lr = 0.01) =>
  parseConfig(
    sftSchema,
    {
      ...{ init_from: base, threads: 1, adapter, sample: { prompts: 0 } },
      data: { sources: [{ files: [examples], prompt: "{q}", completion: "{a}" }] },
      train: {
        ...{ steps, micro_batch_tokens: 48, seq_len: 32 },
        optimizer: { lr, weight_decay: 0 },
        schedule: { kind: "constant" },
      },
    } as never,
    "test",
  );

beforeAll(async () => {
  base = await makeBase(root);
  const rows = Array.from({ length: 40 }, (_, i) => JSON.stringify({ q: `${i % 5}+`, a: `${i % 5}!` }));
  writeFileSync(examples, rows.join("\n"));
  const made = await runStage(root, "first", runSft, sft({ rank: 4, alpha: 8 }, 30));
  first = made.result.outputs.checkpoint!;
  peft = join(root, "peft");
  await exportPeft(first, peft);
}, 120_000);

/** Largest change of an adapter since `first`; new adapters would be about 1/√(their width) away. */
async function changeOf(checkpoint: string, head?: string): Promise<number> {
  const state = await readCheckpointState(checkpoint);
  expect(state.base?.path).toBe(base);
  const model = await loadModel(device, checkpoint, head ? { head } : {}, INFERENCE_ONLY);
  expect(model.config.lora).toMatchObject({ rank: 4, alpha: 8 });
  const start = await loadModel(device, first, {}, INFERENCE_ONLY);
  const [now, then] = [model, start].map((m) => m.parameters.readMaster(TENSOR));
  return Math.max(...now!.map((x, i) => Math.abs(x - then![i]!)));
}

test("sft_goes_on_from_adapters_of_a_checkpoint_and_of_a_peft_folder", async () => {
  const fresh = await runStage(root, "fresh", runSft, sft({ rank: 4, alpha: 8 }, 2, 1e-4));
  for (const [name, initFrom] of [
    ["sft-checkpoint", first],
    ["sft-peft", peft],
  ] as const) {
    const { result, events } = await runStage(root, name, runSft, sft({ init_from: initFrom }, 2, 1e-4));
    // What was learned is there before the first step, and two steps of Adam at 1e-4 change it by about 2e-4.
    const [loss] = stepMetrics(events).map((m) => m["train/loss"]!);
    expect(loss).toBeLessThan(0.3 * stepMetrics(fresh.events)[0]!["train/loss"]!);
    const change = await changeOf(result.outputs.checkpoint!);
    expect(change).toBeGreaterThan(0);
    expect(change).toBeLessThan(1e-3);
  }
}, 60_000);

test("dpo_takes_the_adapters_it_begins_with_as_its_reference", async () => {
  const recipe = offlineRecipe(base, preferenceFile(root), { adapter: { init_from: first } });
  const { result, events } = await runStage(root, "dpo", runDpo, recipe);
  const loss = stepMetrics(events).map((m) => m["dpo/loss"]!);
  expect(loss[0]).toBeCloseTo(Math.LN2, 6);
  expect(loss.at(-1)).toBeLessThan(loss[0]!);
  expect(await changeOf(result.outputs.checkpoint!)).toBeLessThan(0.2);
}, 60_000);

function rewardRecipe(adapter: object, steps: number, lr: number) {
  const tokenizer = Tokenizer.load(join(base, "tokenizer.json"));
  const rows = Array.from({ length: 60 }, (_, i) => ({
    prompt_ids: [...tokenizer.encode(`${i % 10}+1=`)],
    ids: [...tokenizer.encode(i % 3 ? "yes" : "no."), tokenizer.eosId],
    ...{ id: `q${i % 10}`, question: `${i % 10}+1`, finish: "stop", verdict: i % 3 ? "right" : "wrong" },
  }));
  const file = join(root, "outputs.jsonl");
  writeFileSync(file, rows.map((row) => JSON.stringify(row)).join("\n"));
  return parseConfig(
    rewardModelSchema,
    {
      ...{ init: { checkpoint: base }, adapter, data: { files: [file] }, held_out: 0.2, threads: 1 },
      train: {
        ...{ steps, micro_batch_tokens: 256, eval_every: 0 },
        optimizer: { lr, weight_decay: 0 },
        schedule: { kind: "constant" },
      },
    } as never,
    "test",
  );
}

test("a_reward_model_begins_with_the_adapters_of_a_language_model_and_goes_on_from_its_own", async () => {
  const made = await runStage(root, "reward", rewardStage.run, rewardRecipe({ init_from: first }, 2, 1e-4));
  // The head is new: every first number is 0, and the loss ln 2.
  expect(stepMetrics(made.events)[0]!["train/loss"]).toBeCloseTo(Math.LN2, 6);
  const { checkpoint } = made.result.outputs;
  expect(await changeOf(checkpoint!, "scalar")).toBeLessThan(1e-3);
  const trained = await runStage(
    root,
    "reward-trained",
    rewardStage.run,
    rewardRecipe({ init_from: first }, 45, 0.003),
  );
  const own = { init_from: trained.result.outputs.checkpoint! };
  const on = await runStage(root, "reward-on", rewardStage.run, rewardRecipe(own, 1, 1e-6));
  // Its head goes on, too.
  expect(stepMetrics(on.events)[0]!["train/loss"]).toBeLessThan(0.3);
}, 60_000);
