// The arrays of packed steps and the choices of a mix, written out for a few documents of different lengths.
import { type Batch, Rng } from "@nsa/core";
import { expect, test } from "vitest";
import { inMemory, MixedSource, PackedSource } from "../src/index.ts";

const END = 99;
/** 4, 2 and 7 positions; the last document has one token, so nothing to predict. */
const documents = [[10, 11, 12, 13, END], [20, 21, END], [30, 31, 32, 33, 34, 35, 36, END], [END]];
const options = { microBatchTokens: 6, microBatches: 2, maxLength: 4, seed: 2 };

const arrays = (b: Batch) => ({
  tokens: [...b.tokens],
  targets: [...b.targets],
  positions: [...b.positions],
  cuSeqlens: [...b.cuSeqlens],
  sampleIds: [...b.sampleIds],
});

test("two_steps_over_four_documents_by_hand_across_an_epoch", () => {
  const rng = new Rng(2, 11);
  expect([0, 1].map((epoch) => [...rng.permutation(4, epoch)])).toEqual([
    [2, 0, 3, 1],
    [1, 3, 2, 0],
  ]);
  const source = new PackedSource(documents, options);
  const first = source.next();
  expect(first.microBatches.map(arrays)).toEqual([
    // Document 2, cut at 4 and at the end of the batch; each piece is a document of its own.
    {
      tokens: [30, 31, 32, 33, 34, 35],
      targets: [31, 32, 33, 34, 35, 36],
      positions: [0, 1, 2, 3, 0, 1],
      cuSeqlens: [0, 4, 6],
      sampleIds: [2, 2],
    },
    {
      tokens: [36, 10, 11, 12, 13, 20],
      targets: [END, 11, 12, 13, END, 21],
      positions: [0, 0, 1, 2, 3, 0],
      cuSeqlens: [0, 1, 5, 6],
      sampleIds: [2, 0, 1],
    },
  ]);
  expect(first.weightSum).toBe(12);
  expect(first.microBatches.every((b) => b.lossWeight.every((w) => w === 1))).toBe(true);
  expect(source.save()).toEqual({ epoch: 0, index: 3, offset: 1, of: documents.length });
  // The end of document 1, then the second epoch's order.
  expect(source.next().microBatches.map(arrays)).toEqual([
    {
      tokens: [21, 20, 21, 30, 31, 32],
      targets: [END, 21, END, 31, 32, 33],
      positions: [0, 0, 1, 0, 1, 2],
      cuSeqlens: [0, 1, 3, 6],
      sampleIds: [1, 1, 2],
    },
    {
      tokens: [33, 34, 35, 36, 10, 11],
      targets: [34, 35, 36, END, 11, 12],
      positions: [0, 1, 2, 3, 0, 1],
      cuSeqlens: [0, 4, 6],
      sampleIds: [2, 0],
    },
  ]);
  expect(source.save()).toEqual({ epoch: 1, index: 3, offset: 2, of: documents.length });
  expect(source.epoch).toBe(1);
});

test("documents_of_two_tokens_have_one_position_and_of_one_none", () => {
  const { tokens, targets } = new PackedSource([[5], [7, END]], { ...options, microBatchTokens: 2 }).next()
    .microBatches[0]!;
  expect([[...tokens], [...targets]]).toEqual([
    [7, 7],
    [END, END],
  ]);
  expect(() => new PackedSource([[5], []], options)).toThrow(/two tokens/);
});

/** Part x has a document of 4 positions, y one of 2. */
const parts = [
  { name: "x", documents: inMemory([[1, 1, 1, 1, END]]) },
  { name: "y", documents: inMemory([[2, 2, END]]) },
];
const packing = { microBatchTokens: 8, microBatches: 1, maxLength: 4, seed: 5 };
const steps = (source: MixedSource, n: number) =>
  Array.from({ length: n }, () => [...source.next().microBatches[0]!.tokens].join(""));

test("each_piece_of_a_mix_comes_from_the_part_furthest_behind_and_a_stage_counts_from_its_start", () => {
  const source = new MixedSource(
    parts,
    [
      { until: 3, weights: { x: 1, y: 3 } },
      // A stage of no steps is passed over.
      { until: 3, weights: { x: 1 } },
      { until: 4, weights: { x: 2, y: 1 } },
      { until: 9, weights: { y: 5 } },
    ],
    packing,
  );
  // Tokens of x and y by pieces: (4, 0) (4, 2) (4, 4) | (4, 6) … (4, 12) | equal shares, so x: (8, 12) (8, 14) (8, 16).
  expect(steps(source, 3)).toEqual(["11112222", "22222222", "11112222"]);
  expect(source.tokensOfStage).toEqual({ x: 8, y: 16 });
  // From 0: (4, 0) (4, 2), now equal to 2 : 1, so x for the 2 that are left.
  expect(steps(source, 1)).toEqual(["11112211"]);
  expect(source.tokensOfStage).toEqual({ x: 6, y: 2 });
  expect(steps(source, 2)).toEqual(["22222222", "22222222"]);
  expect(source.tokensOfStage).toEqual({ x: 0, y: 16 });
  // The last stage has no end.
  expect(steps(source, 9).at(-1)).toBe("22222222");
});

test("sample_ids_of_a_mix_name_their_part", () => {
  const source = new MixedSource(parts, [{ until: 1, weights: { x: 1, y: 3 } }], packing);
  const { sampleIds, cuSeqlens, targets } = source.next().microBatches[0]!;
  expect([...sampleIds]).toEqual([0, 2 ** 40, 2 ** 40]);
  expect([...cuSeqlens]).toEqual([0, 4, 6, 8]);
  expect([...targets]).toEqual([1, 1, 1, END, 2, END, 2, END]);
});

test("each_part_of_a_mix_is_shuffled_by_a_stream_of_its_own", () => {
  const six = inMemory(Array.from({ length: 6 }, (_, i) => [i, END]));
  const both = ["x", "y"].map((name) => ({ name, documents: six }));
  const order = (weights: Record<string, number>) => {
    const source = new MixedSource(both, [{ until: 1, weights }], { ...packing, microBatchTokens: 6 });
    return [...source.next().microBatches[0]!.tokens];
  };
  expect(order({ x: 1 })).toEqual([...new Rng(5, 32).permutation(6)]);
  expect(order({ y: 1 })).toEqual([...new Rng(5, 33).permutation(6)]);
});
