// Floating-point operations of a profiled step, op by op, counted by hand for documents of 3 and 5 tokens.
import { Device } from "@nsa/kernels";
import { matmulParameters, resolveModelConfig, Transformer } from "@nsa/model";
import { expect, test } from "vitest";
import { crossEntropy, Trainer } from "../src/index.ts";

const ids = Int32Array.of(1, 2, 3, 4, 5, 6, 7, 8);
const batch = {
  tokens: ids,
  targets: ids,
  lossWeight: new Float32Array(8).fill(1),
  positions: Int32Array.of(0, 1, 2, 0, 1, 2, 3, 4),
  cuSeqlens: Int32Array.of(0, 3, 8),
  sampleIds: Float64Array.of(0, 1),
};

/** FLOPs by op of the second step of a layer with 4 query and 2 KV heads of 6 and 4 channels. */
function profile(attention: string) {
  const config = resolveModelConfig({
    ...{ attention, vocabSize: 13, dModel: 10, numLayers: 1, dFf: 7, maxSeqLen: 20, tieEmbeddings: false },
    ...{ numHeads: 4, numKvHeads: 2, headDim: 6, valueHeadDim: 4, windowSize: 3 },
    ...{ blockSize: 4, stride: 2, selectionBlockSize: 4, numSelectedBlocks: 2, numLocalBlocks: 1 },
  });
  const device = Device.open("cpu", { threads: 1 });
  const trainer = new Trainer(new Transformer(device, config), 3);
  const step = { microBatches: [batch], weightSum: 8 };
  trainer.step(step, crossEntropy);
  const stop = device.profile();
  trainer.step(step, crossEntropy);
  const rows = stop();
  device.close();
  const of = (op: string) => rows.find((row) => row.op === op);
  return { flops: (op: string) => of(op)?.flops, bytes: (op: string) => of(op)?.bytes, config };
}

/** A pair of a query and a key: 2·4·(6 + 4) forward; the backward makes the scores again, five matmuls for two. */
const pair = 80;

test("a_dense_layer_costs_six_flops_a_weight_and_pair_by_pair_attention", () => {
  const { flops, bytes, config } = profile("full");
  // The head's gradients are taken in its forward: 6·8·10·13.
  expect(flops("lm_head_fwd")).toBe(6240);
  expect(flops("gemm")! + 6240).toBe(6 * 8 * matmulParameters(config));
  // 1 + 2 + 3 and 1 + … + 5 visible keys.
  expect([flops("flash_fwd"), flops("flash_bwd")]).toEqual([21 * pair, 2.5 * 21 * pair]);
  // q and o of 4 heads, k and v of 2, in fp32.
  expect([bytes("flash_fwd"), bytes("flash_bwd")]).toEqual([4 * 8 * (4 + 2) * 10, 2 * 1920]);
});

test("a_window_of_three_sees_three_keys_at_most", () => {
  const { flops } = profile("window");
  expect([flops("flash_fwd"), flops("flash_bwd")]).toEqual([18 * pair, 2.5 * 18 * pair]);
});

test("an_nsa_layer_costs_its_window_compressed_and_selected_pairs_and_phi", () => {
  const { flops, config } = profile("nsa");
  // The window's 18 pairs, and the one block of 4 tokens, which the last 2 tokens of the longer document see.
  expect([flops("flash_fwd"), flops("flash_bwd")]).toEqual([20 * pair, 2.5 * 20 * pair]);
  // Two blocks of 4 hold all of 5 tokens.
  expect([flops("nsa_selected_fwd"), flops("nsa_selected_bwd")]).toEqual([21 * pair, 2.5 * 21 * pair]);
  expect(flops("nsa_select")).toBe(2 * 2 * 4 * 6);
  // φ of one block in two KV heads.
  const phi = 6 * 2 * (24 * 24 + 24 * 6 + 16 * 16 + 16 * 4);
  expect(flops("gemm")! + 6240 - phi).toBe(6 * 8 * matmulParameters(config));
});
