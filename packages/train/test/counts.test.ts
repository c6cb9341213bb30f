// Parameters, FLOPs, read shares and memory of a small model with three kinds of attention, worked out by hand.

import {
  type ModelConfigInput,
  matmulParameters,
  parameterCount,
  resolveModelConfig,
  TrainWork,
  trainFlops,
  trainMemory,
} from "@nsa/model";
import { expect, test } from "vitest";
import { keepsHidden } from "../../model/src/mlp/swiglu.ts";
import { estimateTraining, optimizerSchema, type TrainingSize } from "../src/index.ts";

const sizes: ModelConfigInput = {
  vocabSize: 13,
  dModel: 10,
  numLayers: 3,
  numHeads: 4,
  numKvHeads: 2,
  headDim: 6,
  valueHeadDim: 4,
  dFf: 7,
  attentionLayers: ["nsa", "full", "window"],
  blockSize: 4,
  stride: 2,
  selectionBlockSize: 4,
  numSelectedBlocks: 2,
  numLocalBlocks: 1,
  windowSize: 5,
  maxSeqLen: 20,
  tieEmbeddings: false,
};
const of = (change: ModelConfigInput = {}) => resolveModelConfig({ ...sizes, ...change });
/** One kind of attention in all layers. */
const all = (attention: "nsa" | "full" | "window", change: ModelConfigInput = {}) =>
  of({ attentionLayers: undefined, attention, ...change });

test("parameters_of_every_part_add_up", () => {
  // q 4·6, k 2·6 and v 2·4 rows of 10; three branches have k and v of their own.
  const [full, nsa] = [44 * 10, (24 + 3 * 20) * 10];
  const common = 2 * 10 + 10 * 16 + 2 * 7 * 10 + 10 * 7;
  const gate = 12 * 10 + 12;
  // Positions 4·d, up 4d × 4d, down d × 4d.
  const phi = 4 * 6 + 24 * 24 + 6 * 24 + (4 * 4 + 16 * 16 + 4 * 16);
  const layers = nsa + gate + phi + 2 * full + 3 * common;
  expect(parameterCount(of())).toBe(2 * 130 + 10 + layers);
  expect(layers).toBe(840 + 132 + 1080 + 880 + 1170);
  expect(parameterCount(of({ tieEmbeddings: true }))).toBe(130 + 10 + layers);
  expect(parameterCount(of({ qkvBias: true, qkNorm: true }))).toBe(
    2 * 130 + 10 + layers + (84 + 44 + 44) + 3 * 12,
  );
  // Weighted pooling: one weight for each of 4 tokens, of k and of v.
  expect(parameterCount(of({ compress: "weighted" }))).toBe(270 + layers - 1080 + 8);
  expect(parameterCount(of({ compress: "mean" }))).toBe(270 + layers - 1080);
});

test("frozen_weights_cost_no_gradient_of_their_own_and_layers_below_trained_ones_run_forward_alone", () => {
  // Full attention everywhere; documents of 5 tokens: 3 keys a query, 2 · 4 · (6 + 4) FLOPs a key and pass.
  const config = all("full");
  const [layer, head, key] = [44 * 10 + 160 + 140 + 70, 130, 80];
  const flops = (...groups: { name: string; weights: string[]; trainable: boolean }[]) =>
    trainFlops(config, 5, groups).actual;
  const frozen = (...weights: string[]) => flops({ name: "frozen", weights, trainable: false });
  expect(flops()).toBe(6 * (3 * layer + head) + 3 * 3 * 3 * key);
  // Nothing is trained.
  expect(frozen("*")).toBe(2 * (3 * layer + head) + 3 * 3 * key);
  // The head alone: layers run forward, the head has its gradient and that of its input.
  const rest = ["model.embed_tokens.weight", "model.layers.*", "model.norm.weight"];
  expect(frozen(...rest)).toBe(2 * 3 * layer + 6 * head + 3 * 3 * key);
  // From layer 1 on: layer 0 runs forward.
  expect(frozen("model.embed_tokens.weight", "model.layers.0.*")).toBe(
    2 * layer + 6 * (2 * layer + head) + 3 * key + 2 * 3 * 3 * key,
  );
  // The MLPs of all layers are frozen: gradients pass through them.
  expect(frozen("*.mlp.*")).toBe(6 * (3 * (44 * 10 + 160) + head) + 4 * 3 * 210 + 3 * 3 * 3 * key);
});

test("weights_that_multiply_are_the_matrices_without_phi_and_with_one_head", () => {
  // Head 130; qkv, gate, o, gate_up, down.
  const multiplied = 130 + (840 + 120 + 160 + 140 + 70) + 2 * (440 + 160 + 140 + 70);
  expect(multiplied).toBe(3080);
  expect(matmulParameters(of())).toBe(3080);
  expect(matmulParameters(of({ tieEmbeddings: true }))).toBe(3080);
});

const dense = 6 * 3080;
/** FLOPs of a key in 4 heads of 6 + 4 channels: 2 forward, twice that backward. */
const key = 6 * 4 * (6 + 4);

test("flops_of_ten_tokens_by_hand_with_every_branch", () => {
  const flops = trainFlops(of(), 10);
  expect(flops.palm).toBe(dense + 3 * key * 10);
  expect(flops.causal).toBe(dense + 3 * key * 5.5);
  // A query sees (1 + … + 10)/10 = 5.5 keys, a window of 5 holds (1 + … + 4 + 6·5)/10 = 4,
  // two blocks of 4 hold (1 + … + 7 + 3·8)/10 = 5.2, and half of the 4 compressed blocks are visible on average.
  const nsa = 2 + 5.2 + 4;
  // The compressed keys are scored once more for the selection: 2·4·6 each, forward only.
  const selection = 2 * 4 * 6 * 2;
  // φ once every 2 tokens, in 2 KV heads: up 24 × 24 and down 24 × 6 of k, 16 × 16 and 16 × 4 of v.
  const phi = (6 * 2 * (24 * 24 + 24 * 6 + 16 * 16 + 16 * 4)) / 2;
  const actual = dense + key * (5.5 + 4 + nsa) + selection + phi;
  expect(actual).toBe(29784);
  expect(flops.actual).toBeCloseTo(29784, 8);
  expect(flops.readShare).toBeCloseTo((5.5 + 4 + 11.2) / 3 / 5.5, 12);
});

test("flops_of_pooled_blocks_have_no_phi", () => {
  for (const compress of ["mean", "weighted"] as const)
    expect(trainFlops(of({ compress }), 10).actual).toBeCloseTo(29784 - 6240, 8);
});

test("documents_shorter_than_blocks_windows_and_selection_read_what_there_is", () => {
  // Of 2 tokens, 1.5 keys on average in window and selection, and no compressed block: a block has 4.
  const flops = trainFlops(all("nsa", { compress: "mean" }), 2);
  const multiplied = 130 + 3 * (840 + 120 + 160 + 140 + 70);
  expect(flops.actual).toBeCloseTo(6 * multiplied + 3 * key * 3, 8);
  expect(flops.readShare).toBeCloseTo(2, 12);
  expect(trainFlops(all("window"), 3).readShare).toBeCloseTo(1, 12);
  expect(trainFlops(all("full"), 30).readShare).toBeCloseTo(1, 12);
});

test("the_paper_s_sizes_read_a_ninth_of_64k_keys", () => {
  const paper = resolveModelConfig({ dModel: 64, numHeads: 4, headDim: 16, maxSeqLen: 65536 });
  // Mean over queries: (65536 − 32 + 16)/16/2 compressed, 1024 selected and 512 of the window but at the start.
  const compressed = 65520 / 32;
  const selected = 1024 - (1024 * 1023) / 2 / 65536;
  const window = 512 - (512 * 511) / 2 / 65536;
  expect(trainFlops(paper, 65536).readShare).toBeCloseTo((compressed + selected + window) / 32768.5, 10);
  expect(1 / trainFlops(paper, 65536).readShare).toBeCloseTo(9.17, 2);
});

test("the_work_of_packed_documents_is_counted_at_each_one_s_own_length", () => {
  const work = new TrainWork(of());
  // Four tokens: 2.5 keys everywhere, half a compressed block.
  const four = dense + key * (2.5 + 2.5 + 0.5 + 2.5 + 2.5) + 2 * 4 * 6 * 0.5 + 6240;
  expect(work.add({ cuSeqlens: Int32Array.of(0, 10, 10, 14) })).toBeCloseTo(10 * 29784 + 4 * four, 6);
  // Reads over visible pairs, both a mean over layers: (20.7/3)·10 of 55, (10.5/3)·4 of 10.
  expect(work.readShare).toBeCloseTo((69 + 14) / (55 + 10), 10);
  expect(work.add({ cuSeqlens: Int32Array.of(0, 4) })).toBeCloseTo(4 * four, 6);
  expect(work.flops).toBeCloseTo(10 * 29784 + 8 * four, 6);
  expect(work.readShare).toBeCloseTo((69 + 28) / (55 + 20), 10);
});

const full = all("full", { vocabSize: 1300, numLayers: 2 });
const options = { recompute: false, logitsBudgetBytes: 50_000 };

test("memory_of_weights_is_16_bytes_each_with_padding_and_less_with_bf16_moments", () => {
  // Each weight begins at a multiple of 16: embedding and head 13008, qkv 448, o 160, gate_up 144, down 80, norms 16.
  const numel = 2 * 13008 + 2 * (448 + 160 + 144 + 80 + 2 * 16) + 16;
  const tables = 4 * 20 * 6;
  const parameters = (config: typeof full, more = {}) =>
    trainMemory(config, 8, { ...options, ...more }).parameters;
  expect(parameters(full)).toBe(16 * numel + tables);
  expect(parameters(full, { optimizerBytesPerParameter: 4 })).toBe(12 * numel + tables);
  expect(parameters({ ...full, dtype: "bf16" })).toBe(18 * numel + tables);
});

test("memory_of_activations_by_hand", () => {
  // A token of a layer: 4 streams of 10, q, k, v 24 + 20, o 16, three of the MLP's 7; 4 bytes each, and 6 statistics.
  const layer = 8 * (4 * (40 + 44 + 16 + 21) + 4 * 6);
  const [stream, logits] = [8 * 10 * 4, 8 * 1300 * 4];
  // The CPU has 1,024 columns of the logits' gradient at work.
  const atWork = 8 * 1024 * 4;
  const kept = trainMemory(full, 8, options);
  expect(kept.activations).toBe(2 * layer + 3 * stream + logits + atWork);
  expect(kept.total).toBe(kept.parameters + kept.activations);
  // Logits over the budget are there for rows at work alone.
  const again = trainMemory(full, 8, { ...options, logitsBudgetBytes: logits - 1 });
  expect(again.activations).toBe(2 * layer + 3 * stream + atWork);
  // Recomputed: each layer's input, then the larger of a layer in its backward and of the head.
  const recomputed = trainMemory(full, 8, { ...options, recompute: true });
  expect(recomputed.activations).toBe(2 * stream + 3 * stream + logits + atWork);
  // Five of the eight tokens have a target: their hidden states and gradients are copied.
  const five = trainMemory(full, 8, { ...options, headRows: 5 });
  expect(five.activations).toBe(2 * layer + 3 * stream + 5 * (1300 * 4 + 2 * 10 * 4 + 1024 * 4));
  expect(trainMemory(full, 8, { ...options, device: "cuda" }).activations).toBe(
    2 * layer + 3 * stream + logits,
  );
});

test("memory_in_bf16_halves_activations_and_not_statistics_or_logits", () => {
  const layer = 8 * (2 * (40 + 44 + 16 + 21) + 4 * 6);
  const [stream, logits] = [8 * 10 * 2, 8 * 1300 * 4];
  const half = { ...full, dtype: "bf16" } as const;
  // Its gradient is rounded for the products, and what it gives the hidden states is summed in fp32.
  const rounded = 8 * (1024 * 2 + 10 * 4);
  expect(trainMemory(half, 8, options).activations).toBe(2 * layer + 3 * stream + logits + rounded);
  expect(trainMemory(half, 8, { ...options, logitsBudgetBytes: 0 }).activations).toBe(
    2 * layer + 3 * stream + rounded + 8 * 1024 * 4,
  );
  // A GPU holds the rounded gradient of the logits beside them, or logits and gradient of the rows at work.
  const cuda = { ...options, device: "cuda" };
  expect(trainMemory(half, 8, cuda).activations).toBe(2 * layer + 3 * stream + 1.5 * logits);
  const again = { ...cuda, logitsBudgetBytes: 0 };
  expect(trainMemory(half, 8, again).activations).toBe(2 * layer + 3 * stream + 1.5 * logits);
});

test("memory_of_an_nsa_layer_has_three_branches_their_blocks_and_phi", () => {
  // Without logits, which would take more than attention.
  const nsa = all("nsa", { numLayers: 1, head: "scalar" });
  // k and v of three branches 60, q 24, their outputs and the gated one 4·16; 2 + 12 statistics; gates 12 numbers,
  // 2 indices for each of 2 KV heads, φ's hidden layer 8·20 and its output 20, once every 2 tokens.
  const layer = 8 * (4 * (40 + 84 + 64 + 21) + 4 * 14 + 4 * 12 + 4 * 2 * 2 + (4 * 160) / 2 + (4 * 20) / 2);
  // Around attention's backward live 10 + 2·84 channels' gradients and 16 bytes of 2·10 channels of scratch.
  const backward = 8 * 4 * 178 + 16 * 8 * 20;
  expect(trainMemory(nsa, 8, options).activations).toBe(layer + 3 * 320 + backward);
});

test("hidden_layers_are_made_again_above_two_and_a_half_gibibytes", () => {
  const config = all("full", { numLayers: 5, dFf: 2 ** 14 });
  // 5 layers of 2^14 channels of 4 bytes: 2^13 tokens take 2.5 GiB.
  expect([keepsHidden(config, 2 ** 13), keepsHidden(config, 2 ** 13 + 1)]).toEqual([true, false]);
  expect(keepsHidden({ ...config, dtype: "bf16" }, 2 ** 14)).toBe(true);
});

test("an_estimate_multiplies_tokens_and_flops_per_token_at_the_document_s_length", () => {
  const size = {
    steps: 7,
    microBatches: 3,
    microBatchTokens: 20,
    seqLen: 10,
    recompute: false,
    logitsBudgetMb: 1,
  };
  const estimate = estimateTraining(of(), size);
  expect(estimate).toMatchObject({
    parameters: parameterCount(of()),
    tokens: 420,
    flops_per_token_palm: dense + 3 * key * 10,
    flops_per_token_actual: expect.closeTo(29784, 8),
    flops: expect.closeTo(420 * 29784, 4),
    attention_read_share: expect.closeTo(20.7 / 16.5, 10),
  });
  const memory = trainMemory(of(), 20, { recompute: false, logitsBudgetBytes: 2 ** 20 });
  expect(estimate.memory_bytes).toBe(memory.total);
  const half = estimateTraining(of(), { ...size, optimizer: optimizerSchema.parse({ stateDtype: "bf16" }) });
  const numel = (memory.parameters - 480) / 16;
  expect(estimate.memory_parameters_bytes! - half.memory_parameters_bytes!).toBe(4 * numel);
});

test("a_rank_holds_the_masters_and_moments_of_whole_matrices_beside_the_vectors", () => {
  // Elements by sixteens: embedding and head 2000 each, q, k and v 448, o 160, gate and up 144, down 80; three norms 48.
  const model = all("full", { vocabSize: 200, numLayers: 1 });
  const size = {
    steps: 1,
    microBatches: 1,
    microBatchTokens: 20,
    seqLen: 10,
    recompute: false,
    logitsBudgetMb: 1,
  };
  const bytes = (of: typeof model, more: Partial<TrainingSize>) => {
    const { memory_parameters_bytes: own, memory_bytes: sum } = estimateTraining(of, { ...size, ...more });
    return [own!, sum!] as const;
  };
  const less = (of: typeof model, more: Partial<TrainingSize>) => {
    const [whole, part] = [bytes(of, {}), bytes(of, more)];
    expect(whole[1] - part[1]).toBe(whole[0] - part[0]);
    return whole[0] - part[0];
  };
  const shareState = "always";
  // The largest matrix to the rank with the least: two ranks have 2000 + 448 and 2000 + 160 + 144 + 80.
  expect(less(model, { world: 2, shareState })).toBe(8 * (4880 - (2448 + 48)));
  // Of three, two have a matrix of 2000 each, however many there are beside them.
  expect(less(model, { world: 3, shareState })).toBe(8 * (4880 - (2000 + 48)));
  expect(less(model, { world: 8, shareState })).toBe(8 * (4880 - (2000 + 48)));
  // In bf16 with masters of 4 bytes a weight.
  expect(less({ ...model, dtype: "bf16" }, { world: 3, shareState })).toBe(12 * (4880 - (2000 + 48)));
  // What the trainer does not share out is whole: little, on one rank, not wanted, or adapters.
  for (const more of [{ world: 3, shareState: "auto" }, { shareState }, { world: 3, shareState: "never" }])
    expect(less(model, more as Partial<TrainingSize>)).toBe(0);
  const adapted = all("full", { vocabSize: 200, numLayers: 1, lora: { rank: 2, alpha: 4 } });
  expect(less(adapted, { world: 3, shareState })).toBe(0);
});
