// Output heads: values by hand, gradients against differences in fp64, and models that change their head.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Batch, packBatch } from "@nsa/core";
import { Device, type Tensor } from "@nsa/kernels";
import {
  Engine,
  headLayout,
  layoutOf,
  loadModel,
  logprobs,
  type ModelConfigInput,
  matmulParameters,
  resolveModelConfig,
  type ScalarOutputs,
  saveCheckpoint,
  Transformer,
  toHfConfig,
  trainMemory,
  values,
} from "@nsa/model";
import { afterAll, expect, test } from "vitest";
import { crossEntropy, type LossContext, type LossFunction, Trainer } from "../src/index.ts";

const cpu = Device.open("cpu", { threads: 1 });
const reference = Device.open("reference");
const dir = mkdtempSync(join(tmpdir(), "nsa-heads-"));
afterAll(() => {
  cpu.close();
  reference.close();
  rmSync(dir, { recursive: true });
});

const sizes: ModelConfigInput = {
  attention: "full",
  vocabSize: 11,
  dModel: 8,
  numLayers: 1,
  numHeads: 2,
  numKvHeads: 1,
  dFf: 12,
  maxSeqLen: 32,
  initStd: 0.4,
};
const config = (change: ModelConfigInput = {}) => resolveModelConfig({ ...sizes, ...change });

/** Two texts with a value at their ends and one inside; the id behind the last is a filler. */
const batch = (): Batch =>
  packBatch([
    {
      ids: [1, 2, 5, 7, 0],
      isTarget: (i) => i === 2 || i === 4,
      columns: { label: (i) => (i === 2 ? 0.25 : 1) },
    },
    { ids: [3, 9, 0], isTarget: (i) => i === 2, columns: { label: () => -0.5 } },
  ]);

/** Half the squared error against the label, summed. */
const squared: LossFunction<LossContext<ScalarOutputs>> = (_, { math: m, value, column, weight }) => ({
  loss: m.mul(m.sum(m.mul(m.square(m.sub(value, column("label"))), weight)), 0.5),
});

function scalarModel(device: Device, dtype: "f32" | "f64", change: ModelConfigInput = {}): Transformer {
  const model = new Transformer(device, config({ head: "scalar", ...change }), dtype);
  model.parameters.init(3);
  const { offset } = model.parameters.range("score.weight");
  const score = model.parameters.flat.view(offset, [8]);
  score.write(Float64Array.from({ length: 8 }, (_, i) => Math.sin(i + 1)));
  score.free();
  return model;
}

test("a_value_is_the_product_of_the_last_hidden_state_and_the_score_weight", () => {
  const model = new Transformer(cpu, config({ head: "scalar" }), "f32");
  const { parameters } = model;
  // Without attention and MLP the hidden state is the embedding, normed: (3, 4, 0 …) has a root mean square of 5 / √8.
  const put = (name: string, numbers: number[]) => {
    const view = parameters.flat.view(parameters.range(name).offset, [numbers.length]);
    view.write(Float64Array.from(numbers));
    view.free();
  };
  put("model.norm.weight", Array(8).fill(1));
  put("model.embed_tokens.weight", [...Array(16).fill(0), 3, 4, 0, 0, 0, 0, 0, 0]);
  put("score.weight", [2, -0.5, 7, 0, 0, 0, 0, 0]);
  const found = values(model, packBatch([{ ids: [1, 2, 0], isTarget: (i) => i === 2 }]));
  expect([...found]).toEqual([0, expect.closeTo((3 * 2 - 4 * 0.5) / (5 / Math.sqrt(8)), 4)]);
  model.free();
});

test("gradients_of_values_equal_differences_in_fp64_through_all_weights", () => {
  const model = scalarModel(reference, "f64");
  const trainer = new Trainer(model, 9, { optimizer: { lr: 0 } });
  const loss = () => trainer.step({ microBatches: [batch()], weightSum: 1 }, squared)["train/loss"]!;
  loss();
  const gradient = model.parameters.gradients!.read();
  const { flat } = model.parameters;
  const start = flat.read();
  const direction = start.map((_, i) => Math.sin(1.3 * i));
  const at = (h: number) => {
    flat.write(start.map((v, i) => v + h * direction[i]!));
    const y = loss();
    flat.write(start);
    return y;
  };
  const numeric = (at(1e-6) - at(-1e-6)) / 2e-6;
  expect(gradient.reduce((sum, g, i) => sum + g * direction[i]!, 0)).toBeCloseTo(numeric, 6);
  const { offset } = model.parameters.range("score.weight");
  expect(gradient.slice(offset, offset + 8).every((g) => g !== 0)).toBe(true);
  trainer.free();
  model.free();
});

test("cpu_values_and_gradients_equal_the_reference", () => {
  const run = (device: Device, dtype: "f32" | "f64") => {
    const model = scalarModel(device, dtype);
    const trainer = new Trainer(model, 9, { optimizer: { lr: 0 } });
    trainer.step({ microBatches: [batch()], weightSum: 1 }, squared);
    const result = { values: values(model, batch()), gradient: model.parameters.gradients!.read() };
    trainer.free();
    model.free();
    return result;
  };
  const [ours, theirs] = [run(cpu, "f32"), run(reference, "f64")];
  for (const key of ["values", "gradient"] as const)
    for (const [i, x] of ours[key].entries()) expect(x).toBeCloseTo(theirs[key][i]!, 4);
});

test("both_heads_at_once_give_the_log_probabilities_and_values_of_each_alone", () => {
  const both = scalarModel(cpu, "f32", { head: "lm_scalar" });
  const [lm, scalar] = [new Transformer(cpu, config()), scalarModel(cpu, "f32")];
  lm.parameters.init(3);
  expect([...logprobs(both, batch()).logp]).toEqual([...logprobs(lm, batch()).logp]);
  expect([...values(both, batch())]).toEqual([...values(scalar, batch())]);
  const trainer = new Trainer(both, 9, { optimizer: { lr: 0 } });
  const sum: LossFunction<LossContext<ScalarOutputs & { logp: Tensor }>> = (b, context) => ({
    loss: context.math.add(squared(b, context).loss, context.math.sum(context.logp)),
  });
  const { logp } = logprobs(lm, batch());
  const expected = [0.25, 1, -0.5].reduce((n, label, i) => {
    const value = values(scalar, batch())[[1, 3, 5][i]!]!;
    return n + (value - label) ** 2 / 2 + logp[[1, 3, 5][i]!]!;
  }, 0);
  expect(trainer.step({ microBatches: [batch()], weightSum: 1 }, sum)["train/loss"]).toBeCloseTo(expected, 5);
  trainer.free();
  for (const model of [both, lm, scalar]) model.free();
});

test("a_language_model_becomes_a_reward_model_whose_first_values_are_0", async () => {
  const lm = new Transformer(cpu, config({ tieEmbeddings: false }));
  lm.parameters.init(5);
  await saveCheckpoint(join(dir, "lm"), { model: lm, step: 0 });
  const reward = await loadModel(cpu, join(dir, "lm"), { head: "scalar" });
  expect(reward.parameters.names.map(({ name }) => name)).toContain("score.weight");
  expect(reward.parameters.names.map(({ name }) => name)).not.toContain("lm_head.weight");
  const trunk = "model.layers.0.mlp.down_proj.weight";
  expect(reward.parameters.readMaster(trunk)).toEqual(lm.parameters.readMaster(trunk));
  expect([...values(reward, batch())]).toEqual(Array(6).fill(0));

  await saveCheckpoint(join(dir, "reward"), { model: reward, step: 0 });
  const again = await loadModel(cpu, join(dir, "reward"), { head: "scalar" });
  expect(again.config.head).toBe("scalar");
  await expect(loadModel(cpu, join(dir, "reward"))).rejects.toMatchObject({
    code: "head_without_logits",
    exitCode: 3,
  });
  expect(() => logprobs(reward, batch())).toThrowError(
    expect.objectContaining({ code: "head_without_logits" }),
  );
  const rows = { maxSequences: 1, cacheTokens: 32, prefillTokens: 32 };
  expect(() => new Engine(reward, rows)).toThrowError(
    expect.objectContaining({ code: "head_without_logits" }),
  );
  // The language model that it was made of does not come back: its head has gone.
  await expect(
    loadModel(cpu, join(dir, "reward"), { head: "lm", tieEmbeddings: false }),
  ).resolves.toBeDefined();
  for (const model of [lm, reward, again]) model.free();
});

test("weights_work_and_memory_count_the_head_that_there_is", () => {
  const counts = (change: ModelConfigInput) => {
    const c = config(change);
    return [layoutOf(c).parameterCount, matmulParameters(c)];
  };
  const [tied, tiedProducts] = counts({}) as [number, number];
  // The embedding of 11 × 8 multiplies as a head; a score of 8 numbers does in its place.
  expect(counts({ head: "scalar" })).toEqual([tied + 8, tiedProducts - 88 + 8]);
  expect(counts({ head: "lm_scalar" })).toEqual([tied + 8, tiedProducts + 8]);
  expect(counts({ tieEmbeddings: false, head: "scalar" })).toEqual([tied + 8, tiedProducts - 88 + 8]);
  const memory = (head: string) =>
    trainMemory(config({ head }), 16, { recompute: false, logitsBudgetBytes: 1e9 }).activations;
  // Logits of 16 tokens in fp32, kept, and the columns at work.
  expect(memory("lm") - memory("scalar")).toBeLessThanOrEqual(16 * 11 * 4 + 16 * 1024 * 4);
  expect(memory("lm") - memory("scalar")).toBeGreaterThan(16 * 512 * 4);
  expect(memory("lm")).toBe(memory("lm_scalar"));
});

test("a_reward_model_is_exported_as_a_sequence_classifier_with_one_class", () => {
  expect(toHfConfig(config({ head: "scalar" }))).toMatchObject({
    architectures: ["LlamaForSequenceClassification"],
    num_labels: 1,
  });
  expect(toHfConfig(config({ head: "scalar", qkNorm: true })).architectures).toEqual([
    "Qwen3ForSequenceClassification",
  ]);
  expect(toHfConfig(config())).not.toHaveProperty("num_labels");
  expect(() => toHfConfig(config({ head: "lm_scalar" }))).toThrowError(
    expect.objectContaining({ exitCode: 4 }),
  );
});

test("rows_without_a_target_are_left_out_of_the_head", () => {
  expect(headLayout(batch().targets).rows).toEqual(Int32Array.of(1, 3, 5));
  const model = new Transformer(cpu, config());
  model.parameters.init(1);
  const trainer = new Trainer(model, 1, {});
  expect(trainer.step({ microBatches: [batch()], weightSum: 3 }, crossEntropy)["train/loss"]).toBeGreaterThan(
    0,
  );
  trainer.free();
  model.free();
});
