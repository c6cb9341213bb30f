// Steps of prompt and completion examples, written out for four of different lengths.
import { type Batch, Rng } from "@nsa/core";
import { expect, test } from "vitest";
import { ExampleSource, packExamples } from "../src/stages/sft/source.ts";

/** Example e has ids 10·e … of which the first `promptLength` are the prompt, and n positions. */
const example = (e: number, n: number, promptLength: number, learned?: number[]) => ({
  ids: Int32Array.from({ length: n + 1 }, (_, i) => 10 * e + i),
  promptLength,
  ...(learned ? { learned: Uint8Array.from(learned) } : {}),
  format: "cot",
  prompt: "",
});
const examples = [example(0, 4, 2), example(1, 3, 3), example(2, 6, 4), example(3, 2, 2)];

const arrays = (b: Batch) => ({
  tokens: [...b.tokens],
  targets: [...b.targets],
  lossWeight: [...b.lossWeight],
  positions: [...b.positions],
  cuSeqlens: [...b.cuSeqlens],
  sampleIds: [...b.sampleIds],
});

test("examples_in_any_order_are_documents_of_their_own_with_loss_on_completions", () => {
  expect(arrays(packExamples(examples, [3, 0, 1]))).toEqual({
    tokens: [30, 31, 0, 1, 2, 3, 10, 11, 12],
    targets: [-1, 32, -1, 2, 3, 4, -1, -1, 13],
    lossWeight: [0, 1, 0, 1, 1, 1, 0, 0, 1],
    positions: [0, 1, 0, 1, 2, 3, 0, 1, 2],
    cuSeqlens: [0, 2, 6, 9],
    sampleIds: [3, 0, 1],
  });
});

test("marks_of_several_turns_count_instead_of_the_prompt", () => {
  const turns = example(4, 5, 2, [0, 0, 1, 0, 0, 1]);
  expect(arrays(packExamples([turns], [0]))).toMatchObject({
    targets: [-1, 42, -1, -1, 45],
    lossWeight: [0, 1, 0, 0, 1],
  });
});

test("examples_are_concatenated_in_random_order_until_the_next_does_not_fit", () => {
  expect([0, 1].map((epoch) => [...new Rng(2, 13).permutation(4, epoch)])).toEqual([
    [3, 1, 2, 0],
    [0, 3, 1, 2],
  ]);
  const source = new ExampleSource(examples, { microBatchTokens: 7, microBatches: 2, seed: 2 });
  const steps = [source.next(), source.next()];
  // 2 + 3 positions, 6 do not fit; 6, 4 do not; 4, and of the next epoch 4 do not; 4 + 2, 3 do not.
  expect(steps.map((s) => s.microBatches.map((b) => [...b.sampleIds]))).toEqual([
    [[3, 1], [2]],
    [[0], [0, 3]],
  ]);
  expect(source.save()).toEqual({ epoch: 1, index: 2, of: 4 });
  // Learned tokens: 1 + 1 and 3; 3 and 3 + 1.
  expect(steps.map((s) => s.weightSum)).toEqual([5, 7]);
  const exact = new ExampleSource(examples, { microBatchTokens: 5, microBatches: 1, seed: 2 });
  // Exactly full, then one that is longer than the whole budget, alone.
  expect([...exact.next().microBatches[0]!.sampleIds]).toEqual([3, 1]);
  expect([...exact.next().microBatches[0]!.sampleIds]).toEqual([2]);
});
