// Sampled outputs as micro-batches: every array written out for outputs of different lengths.
import { expect, test } from "vitest";
import {
  outputsOf,
  type PolicySample,
  policyBatch,
  policyStep,
  splitByTokens,
} from "../src/stages/grpo/batch.ts";

const outputs: PolicySample[] = [
  {
    prompt: [10, 11, 12],
    ids: [13, 14],
    weight: 0.5,
    advantage: Float32Array.of(2, -1),
    oldLogp: [-0.25, -0.5],
    refLogp: [-0.75, -1],
    samplerLogp: [-1.25, -1.5],
    id: 7,
  },
  { prompt: [20], ids: [21], weight: 1, advantage: Float32Array.of(-3), samplerLogp: [-2], id: 4 },
  {
    prompt: [30, 31],
    ids: [32, 33, 34],
    weight: 0.25,
    advantage: Float32Array.of(1, 4, 5),
    oldLogp: [-3, -4, -5],
    samplerLogp: [-6, -7, -8],
    id: 9,
  },
];

test("targets_weights_and_columns_stand_where_the_output_s_tokens_are_predicted", () => {
  const b = policyBatch(outputs);
  const rows = (values: ArrayLike<number>) => Array.from(values);
  expect({ ...b, columns: undefined }).toEqual({
    tokens: Int32Array.of(10, 11, 12, 13, 20, 30, 31, 32, 33),
    targets: Int32Array.of(-1, -1, 13, 14, 21, -1, 32, 33, 34),
    lossWeight: Float32Array.of(0, 0, 0.5, 0.5, 1, 0, 0.25, 0.25, 0.25),
    positions: Int32Array.of(0, 1, 2, 3, 0, 0, 1, 2, 3),
    cuSeqlens: Int32Array.of(0, 4, 5, 9),
    sampleIds: Float64Array.of(7, 4, 9),
    columns: undefined,
  });
  const { advantage, old_logp, ref_logp, sampler_logp } = b.columns!;
  expect(rows(advantage!)).toEqual([0, 0, 2, -1, -3, 0, 1, 4, 5]);
  expect(rows(old_logp!)).toEqual([0, 0, -0.25, -0.5, 0, 0, -3, -4, -5]);
  expect(rows(ref_logp!)).toEqual([0, 0, -0.75, -1, 0, 0, 0, 0, 0]);
  expect(rows(sampler_logp!)).toEqual([0, 0, -1.25, -1.5, -2, 0, -6, -7, -8]);
  // Back to the outputs: the values at their tokens alone.
  expect(outputsOf(b, [0, 1, 2, 3, 4, 5, 6, 7, 8])).toEqual([[2, 3], [4], [6, 7, 8]]);
});

test("micro_batches_fill_up_to_the_budget_in_order_and_a_longer_output_is_alone", () => {
  // Positions 4, 1 and 4.
  const ids = (budget: number) => splitByTokens(outputs, budget).map((group) => group.map((s) => s.id));
  expect(ids(9)).toEqual([[7, 4, 9]]);
  expect(ids(8)).toEqual([[7, 4], [9]]);
  expect(ids(5)).toEqual([[7, 4], [9]]);
  expect(ids(4)).toEqual([[7], [4], [9]]);
  expect(ids(1)).toEqual([[7], [4], [9]]);
  const step = policyStep(outputs, 5, 2.5);
  expect(step.weightSum).toBe(2.5);
  expect(step.microBatches.map((b) => [...b.sampleIds])).toEqual([[7, 4], [9]]);
  expect(policyStep(outputs, 5, 0).weightSum).toBeGreaterThan(0);
});
