// Packing by hand-computed arrays: cut items, masks, weights, columns, and items without a single target.
import { packBatch, packTokens } from "@nsa/core";
import { expect, test } from "vitest";

test("items_are_documents_of_their_own_with_shifted_targets", () => {
  const batch = packBatch([
    { ids: [7, 8, 9, 3], sampleId: 5 },
    { ids: Int32Array.of(40, 41, 42, 43, 44, 45), from: 2, length: 2, sampleId: 1 },
  ]);
  expect([...batch.tokens]).toEqual([7, 8, 9, 42, 43]);
  expect([...batch.targets]).toEqual([8, 9, 3, 43, 44]);
  expect([...batch.lossWeight]).toEqual([1, 1, 1, 1, 1]);
  expect([...batch.positions]).toEqual([0, 1, 2, 0, 1]);
  expect([...batch.cuSeqlens]).toEqual([0, 3, 5]);
  expect([...batch.sampleIds]).toEqual([5, 1]);
  expect(batch.columns).toBeUndefined();
});

test("an_item_from_the_middle_ends_at_its_last_id_by_default", () => {
  const batch = packBatch([{ ids: [10, 11, 12, 13, 14], from: 3 }]);
  expect([...batch.tokens]).toEqual([13]);
  expect([...batch.targets]).toEqual([14]);
  expect([...batch.sampleIds]).toEqual([0]);
});

test("what_is_no_target_has_minus_one_weight_zero_and_zero_in_every_column", () => {
  const batch = packBatch([
    {
      ids: [20, 21, 22, 23, 24, 25],
      from: 1,
      length: 4,
      weight: 0.25,
      isTarget: (index) => index === 3 || index === 5,
      columns: { advantage: (index) => index * 0.5 },
    },
    { ids: [30, 31], weight: 2, columns: { old_logp: (index) => -index } },
  ]);
  expect([...batch.tokens]).toEqual([21, 22, 23, 24, 30]);
  expect([...batch.targets]).toEqual([-1, 23, -1, 25, 31]);
  expect([...batch.lossWeight]).toEqual([0, 0.25, 0, 0.25, 2]);
  expect([...batch.columns!.advantage!]).toEqual([0, 1.5, 0, 2.5, 0]);
  expect([...batch.columns!.old_logp!]).toEqual([0, 0, 0, 0, -1]);
});

test("weight_zero_scores_targets_without_training_on_them", () => {
  const batch = packBatch([{ ids: [4, 5, 6], weight: 0, isTarget: (index) => index >= 2 }]);
  expect([...batch.targets]).toEqual([-1, 6]);
  expect([...batch.lossWeight]).toEqual([0, 0]);
});

test("an_item_of_one_id_is_an_empty_document", () => {
  const batch = packBatch([{ ids: [9] }, { ids: [1, 2] }]);
  expect([...batch.cuSeqlens]).toEqual([0, 0, 1]);
  expect([...batch.targets]).toEqual([2]);
});

test("tokens_and_borders_alone_include_the_last_id", () => {
  const { tokens, cuSeqlens } = packTokens([
    { ids: [3, 4, 5], length: 3 },
    { ids: [6, 7, 8, 9], from: 1, length: 2 },
  ]);
  expect([...tokens]).toEqual([3, 4, 5, 7, 8]);
  expect([...cuSeqlens]).toEqual([0, 3, 5]);
});
