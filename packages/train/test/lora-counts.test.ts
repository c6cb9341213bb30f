// What adapters cost: numbers, memory and FLOPs of frozen weights with adapters, counted by hand.
import {
  layoutOf,
  type ModelConfigInput,
  resolveModelConfig,
  trainFlops,
  trainMemory,
  weightBytes,
} from "@nsa/model";
import { expect, test } from "vitest";
import { estimateTraining } from "../src/index.ts";

/** One layer: D 8, two heads of 4, one KV head, F 10, V 16, tied. */
const plain: ModelConfigInput = {
  vocabSize: 16,
  dModel: 8,
  numLayers: 1,
  numHeads: 2,
  numKvHeads: 1,
  dFf: 10,
  attention: "full",
  maxSeqLen: 32,
};
const lora = { rank: 2, alpha: 4, targets: ["q_proj", "down_proj"] };
const config = (more: object = {}) => resolveModelConfig({ ...plain, lora, ...more } as ModelConfigInput);

test("trained_numbers_are_those_of_the_adapters", () => {
  // q: A 2×8, B 8×2; down: A 2×10, B 8×2.
  const layout = layoutOf(config());
  expect(layout.trainableCount).toBe(16 + 16 + 20 + 16);
  // The base: embedding 16×8; qkv 16×8, o 8×8, gate and up 20×8, down 8×10, three norms of 8.
  expect(layout.parameterCount - layout.trainableCount).toBe(128 + 128 + 64 + 160 + 80 + 24);
});

test("frozen_weights_cost_no_gradient_of_their_own", () => {
  // Per token: 2 a number forward and 2 for the gradient of its input (432 in the layer, 128 of the tied head); adapters 2 more.
  // Attention of one token sees one key: 6·H·(K + V), forward and backward, as q is trained.
  const dense = 4 * (432 + 128) + 6 * 68;
  expect(trainFlops(config(), 1).actual).toBe(dense + 6 * 2 * 8);
  const whole = 6 * (432 + 128) + 6 * 2 * 8;
  expect(trainFlops(config({ lora: undefined }), 1).actual).toBe(whole);
});

test("bf16_weights_under_adapters_take_two_bytes_and_adapters_six_and_twelve_more", () => {
  const bf16 = config({ dtype: "bf16" });
  // Padded to 16 numbers each: adapters 16 + 16 + 32 + 16 in fp32 and bf16; vectors three of 16 in fp32; the other matrices in bf16.
  const frozen = 128 + 128 + 64 + 160 + 80;
  expect(weightBytes(bf16)).toBe(4 * (80 + 48) + 2 * (80 + frozen));
  const options = { recompute: false, logitsBudgetBytes: 0 };
  const { parameters } = trainMemory(bf16, 8, options);
  // Gradients and two moments in fp32 of the adapters alone; rotary tables of 32 × 4.
  expect(parameters).toBe(weightBytes(bf16) + 12 * 80 + 4 * 32 * 4);
});

test("the_hidden_layer_of_the_mlp_is_counted_where_the_projection_down_learns", () => {
  const activations = (targets: string[]) =>
    trainMemory(config({ lora: { rank: 1, alpha: 2, targets } }), 8, {
      recompute: false,
      logitsBudgetBytes: 0,
    }).activations;
  // Eight tokens of ten channels in fp32, and for each target one number a token more.
  expect(activations(["q_proj", "down_proj"]) - activations(["q_proj"])).toBe(8 * 4 * (10 + 1));
  expect(activations(["q_proj", "k_proj"]) - activations(["q_proj"])).toBe(8 * 4);
});

test("a_trainer_of_a_billion_weights_needs_a_fifth_of_the_memory_with_adapters", () => {
  const billion = {
    vocabSize: 32_000,
    dModel: 2048,
    numLayers: 22,
    numHeads: 32,
    numKvHeads: 4,
    dFf: 5632,
    attention: "full",
    dtype: "bf16",
  };
  const size = {
    steps: 1,
    microBatches: 1,
    microBatchTokens: 64,
    seqLen: 64,
    recompute: true,
    logitsBudgetMb: 0,
  };
  const bytes = (adapters: object | undefined) => {
    const model = resolveModelConfig({ ...billion, lora: adapters } as ModelConfigInput);
    return estimateTraining(model, size).memory_parameters_bytes!;
  };
  expect(bytes({ rank: 16, alpha: 32 }) / bytes(undefined)).toBeLessThan(0.2);
});
