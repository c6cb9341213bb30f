// What `--dry-run` says of a GRPO run, by hand.
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  layoutOf,
  type ModelConfigInput,
  resolveModelConfig,
  trainFlops,
  writeArchitecture,
} from "@nsa/model";
import { estimateTraining } from "@nsa/train";
import { afterAll, expect, test } from "vitest";
import { estimateGrpo, grpoSchema } from "../src/index.ts";

const root = mkdtempSync(join(tmpdir(), "nsa-estimate-"));
afterAll(() => rmSync(root, { recursive: true }));

const sizes: ModelConfigInput = {
  ...{ attention: "full", vocabSize: 13, dModel: 10, numLayers: 2, numHeads: 4, numKvHeads: 2 },
  ...{ headDim: 6, valueHeadDim: 4, dFf: 7, maxSeqLen: 128 },
};

function estimate(
  change: ModelConfigInput,
  recipe: { algorithm?: object; rollout?: object; train?: object; evaluation?: object } = {},
  device?: string,
) {
  const model = resolveModelConfig({ ...sizes, ...change });
  const checkpoint = join(root, JSON.stringify(change).replace(/\W/g, "_"));
  mkdirSync(checkpoint, { recursive: true });
  writeArchitecture(checkpoint, model);
  const rollout = {
    ...{ questionsPerStep: 3, groupSize: 4, maxTokens: 36, dynamicSamplingRounds: 1 },
    ...{ maxSequences: 5, cacheTokens: 700 },
    ...recipe.rollout,
  };
  const algorithm = { innerEpochs: 2, ...recipe.algorithm };
  const config = grpoSchema.parse({
    init: { checkpoint },
    steps: 5,
    microBatchTokens: 50,
    rollout,
    algorithm,
    train: recipe.train ?? {},
    evaluation: recipe.evaluation ?? {},
  });
  return { model, got: estimateGrpo(config, device) as Record<string, number> };
}

test("samples_tokens_flops_and_memory_of_a_run", () => {
  const { model, got } = estimate({});
  // 5 steps, 3 questions, 4 outputs, a round and one more; 64 tokens of prompt and 36 of output.
  expect([got.samples_at_most, got.tokens_at_most]).toEqual([120, 12_000]);
  // A third of a training step for sampling, another for π_old, and two epochs.
  const { actual } = trainFlops(model, 100);
  expect(got.flops! / actual / 12_000).toBeCloseTo(2 / 3 + 2, 10);
  // The cache holds k and v of 2 heads in 2 layers, fp32, for 5 outputs of 100 tokens, each in seven pages of 16.
  expect(got.memory_cache_bytes).toBe(2 * 2 * (6 + 4) * 4 * 560);
  const update = estimateTraining(model, {
    ...{ steps: 1, microBatches: 1, microBatchTokens: 50, seqLen: 100, recompute: false, logitsBudgetMb: 64 },
    // 36 of 100 tokens have a target.
    headRows: 18,
  });
  // The update's activations and the cache of the rollout before it do not live at once.
  const { memory_parameters_bytes: weights, memory_activations_bytes: activations } = update;
  expect([activations! > 80_000, activations! < 320_000]).toEqual([true, true]);
  // Besides, a policy loss makes 25 numbers a token.
  expect(got.memory_activations_bytes).toBe(activations! + 50 * 100);
  // Sampling takes more. A row has at work five streams, q, k and v, what attention gives, two products of the MLP and its hidden row;
  // and 128 bytes of its settings.
  const row = 4 * (5 * 10 + 4 * 6 + 2 * (6 + 4) + 4 * 4 + 3 * 7) + 128;
  // More samples of a held-out question than the five outputs at once: each begins with its prompt of 64 tokens.
  expect(got.memory_bytes).toBe(weights! + 160 * 560 + 5 * 64 * row);
  // Where steps are captured, a step of five rows runs as one of eight, in memory apart.
  const cuda = estimate({}, {}, "cuda").got;
  expect(cuda.memory_bytes! - cuda.memory_parameters_bytes!).toBe(
    160 * 560 + 8 * row + 8 * 13 * 4 + 5 * 64 * row,
  );
  const chunked = estimate({}, { train: { logitsBudgetMb: 0 } }).got;
  // Logits of 13 ids are kept up to the head's backward, or made again.
  expect(got.memory_activations_bytes! - chunked.memory_activations_bytes!).toBe(18 * 4 * 13);
  // Twelve outputs a step, and three answers to each of two held-out questions: the cache holds no more, however many it might.
  const few = { evaluation: { questions: 2, samples: 3 }, rollout: { maxSequences: 20, cacheTokens: 2000 } };
  expect(estimate({}, few).got.memory_cache_bytes).toBe(160 * 12 * 112);
  const many = estimate({}, { rollout: { maxSequences: 20, cacheTokens: 2000 } }).got;
  // Of held-out questions one is asked at a time, 16 answers each; the three prompts of a step run together, with fewer pages.
  expect(many.memory_bytes).toBe(weights! + 320_000 + 64 * row);
  expect(got.parameters).toBe(update.parameters);
});

test("a_reference_is_one_more_forward_and_the_cache_no_larger_than_its_tokens", () => {
  const { model, got } = estimate(
    {},
    { algorithm: { klCoef: 0.1, innerEpochs: 1 }, rollout: { cacheTokens: 300 } },
  );
  expect(got.flops! / trainFlops(model, 100).actual / 12_000).toBeCloseTo(2, 10);
  expect(got.memory_cache_bytes).toBe(160 * 304);
});

test("a_reference_takes_the_bytes_of_its_weights_and_a_frozen_group_no_more", () => {
  const { numel } = layoutOf(resolveModelConfig(sizes));
  const kl = { algorithm: { klCoef: 0.1 } };
  const plain = estimate({}).got;
  expect(plain).not.toHaveProperty("memory_reference_bytes");
  const held = estimate({}, kl).got;
  expect(held.memory_reference_bytes).toBe(4 * numel);
  expect(held.memory_bytes! - plain.memory_bytes!).toBe(4 * numel);
  // In bf16 two bytes a number, but for the five norms of 10 numbers in 16 elements, which are fp32.
  const low = estimate({ dtype: "bf16" }, kl).got;
  expect(low.memory_reference_bytes).toBe(2 * (numel - 80) + 4 * 80);
  // The embedding's 130 numbers take 144 elements without gradient (4 bytes) and moments (8).
  const groups = [{ name: "embedding", weights: ["model.embed_tokens.weight"], trainable: false }];
  const part = estimate({}, { train: { groups } }).got;
  expect(plain.memory_bytes! - part.memory_bytes!).toBe(12 * 144);
});

test("a_value_model_grows_with_the_policy", () => {
  const [checkpoint, judge] = ["plain", "judge"].map((name) => join(root, name)) as [string, string];
  for (const [folder, change] of [
    [checkpoint, {}],
    [judge, { head: "scalar" }],
  ] as const) {
    mkdirSync(folder);
    writeArchitecture(folder, resolveModelConfig({ ...sizes, ...change }));
  }
  const size = {
    steps: 1,
    microBatches: 1,
    microBatchTokens: 4096,
    seqLen: 1,
    recompute: false,
    logitsBudgetMb: 64,
  };
  const bytes = (layers: number) => {
    const model = resolveModelConfig({ ...sizes, numLayers: layers, head: "scalar" });
    return estimateTraining(model, size).memory_parameters_bytes!;
  };
  expect(bytes(5)).toBeGreaterThan(2 * bytes(2));
  for (const init of ["policy", judge]) {
    // Groups of the policy's, which the value model does not have: it is counted by itself.
    const train = { groups: [{ name: "norms", weights: ["*norm*"], lrMultiplier: 0.5 }] };
    const algorithm = { advantage: "gae" };
    const config = grpoSchema.parse({
      ...{ init: { checkpoint }, algorithm, train, value: { init }, microBatchTokens: 4096 },
    });
    expect(estimateGrpo(config).memory_value_bytes, init).toBe(bytes(2));
    const got = estimateGrpo(config, undefined, (model) => ({ ...model, numLayers: 5 }));
    expect(got.memory_value_bytes, init).toBe(bytes(5));
    // On CUDA its steps are captured, and hold activations of their own between steps.
    const cuda = estimateGrpo(config, "cuda");
    const model = resolveModelConfig({ ...sizes, head: "scalar" });
    const captured = { ...size, device: "cuda", microBatchTokens: 4096, seqLen: 128, groups: [] };
    const activations = estimateTraining(model, captured).memory_activations_bytes!;
    expect(activations).toBeGreaterThan(4096 * 100);
    expect(cuda.memory_value_bytes, init).toBe(bytes(2) + activations);
  }
});

test("three_branches_have_three_caches_and_bf16_halves_them", () => {
  const nsa = { attention: "nsa", blockSize: 4, stride: 2, selectionBlockSize: 4 } as const;
  // Compressed entries at every other token beside three times keys and values; pages of 4.
  expect(estimate(nsa).got.memory_cache_bytes).toBe(3.5 * 160 * 500);
  expect(estimate({ ...nsa, dtype: "bf16" }).got.memory_cache_bytes).toBe((3.5 * 160 * 500) / 2);
});
