// The recall task and the overlap of selections, which docs/results/nsa.md stands on.
import { openDevice } from "@nsa/kernels";
import { resolveModelConfig, Transformer } from "@nsa/model";
import { expect, test } from "vitest";
import { selectionOverlap } from "../bench/support/overlap.ts";
import {
  mostFacts,
  type RecallTask,
  recallBatch,
  recallLengths,
  recallVocabulary,
} from "../bench/support/recall.ts";

const task: RecallTask = { keys: 6, values: 4, fillers: 3, length: 128, from: 16, spread: 5, asking: 0.5 };
const [asks, answers] = [task.keys * task.values, task.keys * task.values + task.keys];

/** Facts of one document: position by key. */
function factsOf(tokens: Int32Array) {
  const facts = new Map<number, { at: number; value: number }>();
  tokens.forEach((id, at) => {
    if (id >= asks) return;
    const key = Math.floor(id / task.values);
    expect(facts.has(key)).toBe(false);
    facts.set(key, { at, value: id % task.values });
  });
  return facts;
}

test("every_question_has_one_fact_before_it_whose_value_is_the_target", () => {
  const lengths = recallLengths([128, 64, 32], 384);
  expect(lengths).toEqual([128, 64, 64, 32, 32, 32, 32]);
  let asked = 0;
  for (let index = 0; index < 20; index++) {
    const batch = recallBatch(task, lengths, 1, index, index % 2 ? "few" : "even");
    for (const [row, length] of lengths.entries()) {
      const from = batch.cuSeqlens[row]!;
      const tokens = batch.tokens.subarray(from, from + length);
      const facts = factsOf(tokens);
      tokens.forEach((id, t) => {
        const target = batch.targets[from + t]!;
        expect(target >= 0).toBe(id >= asks && id < answers);
        expect(batch.lossWeight[from + t]).toBe(target >= 0 ? 1 : 0);
        if (target < 0) return;
        const fact = facts.get(id - asks)!;
        expect(target).toBe(answers + fact.value);
        expect(batch.distances[from + t]).toBe(t - fact.at);
        expect(t).toBeGreaterThanOrEqual(length / 2);
        asked++;
      });
      expect(Math.max(...tokens)).toBeLessThan(recallVocabulary(task));
    }
  }
  expect(asked).toBeGreaterThan(500);
});

test("a_full_document_holds_all_keys_and_none_in_the_forced_first_block", () => {
  expect(mostFacts(task, 128)).toBe(6);
  const batch = recallBatch(task, [128, 128, 128], 5, 0, "all");
  for (let row = 0; row < 3; row++) {
    const facts = factsOf(batch.tokens.subarray(128 * row, 128 * (row + 1)));
    expect(facts.size).toBe(6);
    for (const { at } of facts.values()) {
      expect(at).toBeGreaterThanOrEqual(16);
      expect(at).toBeLessThan(64);
    }
  }
});

test("a_batch_depends_on_seed_and_index_alone", () => {
  const of = (seed: number, index: number) => recallBatch(task, [128], seed, index, "few").tokens;
  expect(of(1, 3)).toEqual(of(1, 3));
  expect(of(1, 3)).not.toEqual(of(1, 4));
  expect(of(1, 3)).not.toEqual(of(2, 3));
});

test("overlap_is_whole_for_one_query_and_for_queries_without_a_choice_of_their_own", () => {
  const device = openDevice("cpu");
  const sizes = { blockSize: 8, stride: 4, selectionBlockSize: 8, windowSize: 8 };
  const config = { dModel: 32, numHeads: 2, numKvHeads: 1, dFf: 32, vocabSize: recallVocabulary(task) };
  const overlapOf = (numSelectedBlocks: number, tile: number) => {
    const all = { ...config, ...sizes, numLayers: 2, numSelectedBlocks, maxSeqLen: 128, initStd: 0.2 };
    const model = new Transformer(device, resolveModelConfig(all));
    model.parameters.init(1);
    const overlap = selectionOverlap(model, recallBatch(task, [128, 128], 1, 0, "few"), tile);
    model.free();
    return overlap;
  };
  const single = overlapOf(5, 1);
  expect([single.common, single.union, single.chosenCommon, single.chosenUnion]).toEqual([1, 1, 1, 1]);
  // Only forced blocks: tiles of 4 lie inside one block of 8, so all four queries read the same.
  const forced = overlapOf(3, 4);
  expect([forced.common, forced.union]).toEqual([1, 0.25]);
  const chosen = overlapOf(5, 4);
  expect(chosen.common).toBeGreaterThan(chosen.chosenCommon);
  expect(chosen.union).toBeLessThan(chosen.chosenUnion);
  expect(chosen.chosenUnion).toBeLessThanOrEqual(1);
  device.close();
});
