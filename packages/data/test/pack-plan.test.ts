// Plans, batches and files of packs, written out for six examples of different lengths.
import { createHash } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { isIntact, Rng, SafetensorsReader } from "@nsa/core";
import { expect, test } from "vitest";
import {
  batchOfPack,
  type PackExample,
  type PackMethod,
  PackSource,
  planPacks,
  writePacks,
} from "../src/index.ts";

const lengths = [3, 5, 7, 4, 6, 2];
const plan = (method: PackMethod, capacity = 10) => planPacks(lengths, { method, capacity, seed: 2 });
/** Packs as lists of pieces [example, from, length]. */
const packs = (method: PackMethod, capacity?: number) => {
  const p = plan(method, capacity);
  return [...p.starts.slice(0, -1)].map((first, k) =>
    Array.from({ length: p.starts[k + 1]! - first }, (_, i) => [
      p.example[first + i],
      p.from[first + i],
      p.length[first + i],
    ]),
  );
};

test("random_concatenates_in_random_order_until_the_next_does_not_fit", () => {
  // Lengths in this order: 4 3 | 7 | 5 2 | 6.
  expect([...new Rng(2, 15).permutation(6)]).toEqual([3, 0, 2, 1, 5, 4]);
  expect(packs("random")).toEqual([
    [
      [3, 0, 4],
      [0, 0, 3],
    ],
    [[2, 0, 7]],
    [
      [1, 0, 5],
      [5, 0, 2],
    ],
    [[4, 0, 6]],
  ]);
  expect(plan("random").fill).toBeCloseTo(27 / 40, 12);
  // 4 + 3, 7 and 5 + 2 fill packs of 7 to the last place.
  expect(packs("random", 7)).toEqual(packs("random"));
  expect(plan("random", 7).fill).toBeCloseTo(27 / 28, 12);
});

test("wrapped_cuts_where_a_pack_is_full", () => {
  expect(packs("wrapped")).toEqual([
    [
      [3, 0, 4],
      [0, 0, 3],
      [2, 0, 3],
    ],
    [
      [2, 3, 4],
      [1, 0, 5],
      [5, 0, 1],
    ],
    [
      [5, 1, 1],
      [4, 0, 6],
    ],
  ]);
  expect(plan("wrapped").fill).toBeCloseTo(27 / 30, 12);
});

test("best_fit_takes_the_longest_first_and_the_tightest_pack", () => {
  // 7 6 5 | 4 goes to the 6, 3 to the 7, 2 to the 5.
  expect(packs("bfd").map((pack) => pack.map(([e]) => e))).toEqual([
    [2, 0],
    [4, 3],
    [1, 5],
  ]);
  // Of 6 fit 6, 5, 4 + 2, 3; the 7 is too long.
  expect(packs("bfd", 6).map((pack) => pack.map(([e]) => e))).toEqual([[4], [1], [3, 5], [0]]);
  expect(plan("bfd", 6).tooLong).toBe(1);
  expect(plan("bfd", 6).fill).toBeCloseTo(20 / 24, 12);
});

test("best_fit_of_equal_examples_fills_pack_after_pack", () => {
  const { starts, fill } = planPacks([1, 1, 1, 1, 1], { method: "bfd", capacity: 2, seed: 3 });
  expect([...starts]).toEqual([0, 2, 4, 5]);
  expect(fill).toBeCloseTo(5 / 6, 12);
  // More room than a word of the bit map holds, and a second level of it.
  const wide = planPacks([3000, 1500, 1498, 2999, 40, 1], { method: "bfd", capacity: 3000, seed: 3 });
  expect([...wide.starts]).toEqual([0, 1, 3, 5, 6]);
  expect([...wide.length]).toEqual([3000, 2999, 1, 1500, 1498, 40]);
});

/** Example e of n positions: ids 10·e, 10·e + 1 … of which the first two are the prompt. */
const examples: PackExample[] = lengths.map((n, e) => ({
  ids: Array.from({ length: n + 1 }, (_, i) => 10 * e + i),
  promptLength: 2,
}));

test("a_piece_that_begins_inside_an_example_has_its_targets_and_positions_from_0", () => {
  const last = batchOfPack(plan("wrapped"), 2, examples);
  expect([...last.tokens]).toEqual([51, 40, 41, 42, 43, 44, 45]);
  expect([...last.targets]).toEqual([52, -1, 42, 43, 44, 45, 46]);
  expect([...last.lossWeight]).toEqual([1, 0, 1, 1, 1, 1, 1]);
  expect([...last.positions]).toEqual([0, 0, 1, 2, 3, 4, 5]);
  expect([...last.cuSeqlens]).toEqual([0, 1, 7]);
  expect([...last.sampleIds]).toEqual([5, 4]);
  // Marks of what is learned count instead of the prompt's length.
  const marked = examples.map((x, e) => (e === 4 ? { ...x, learned: [1, 1, 0, 0, 1, 0, 1] } : x));
  expect([...batchOfPack(plan("wrapped"), 2, marked).targets]).toEqual([52, 41, -1, -1, 44, -1, 46]);
});

test("steps_take_packs_in_a_new_order_each_epoch_and_weigh_learned_tokens", () => {
  const source = new PackSource(plan("bfd"), examples, { microBatches: 2, seed: 1 });
  expect([0, 1].map((epoch) => [...new Rng(1, 16).permutation(3, epoch)])).toEqual([
    [2, 1, 0],
    [2, 0, 1],
  ]);
  const steps = [source.next(), source.next(), source.next()];
  const first = steps.map((s) => s.microBatches.map((b) => [...b.sampleIds]));
  expect(first).toEqual([
    [
      [1, 5],
      [4, 3],
    ],
    [
      [2, 0],
      [1, 5],
    ],
    [
      [2, 0],
      [4, 3],
    ],
  ]);
  // Each example has one position less that is learned than it has.
  expect(steps.map((s) => s.weightSum)).toEqual([4 + 1 + 5 + 3, 6 + 2 + 4 + 1, 6 + 2 + 5 + 3]);
});

test("the_index_counts_packs_tokens_and_histograms_and_shards_hold_whole_packs", () => {
  const out = mkdtempSync(join(tmpdir(), "nsa-pack-plan-"));
  const options = { method: "bfd", capacity: 10, seed: 2, tokenizerHash: "h", shardTokens: 20 } as const;
  const index = writePacks([...examples, { ids: new Array<number>(12).fill(7), promptLength: 0 }], {
    ...options,
    out,
  });
  expect(index).toEqual({
    format: 1,
    method: "bfd",
    capacity: 10,
    seed: 2,
    tokenizer_hash: "h",
    examples: 7,
    too_long: 1,
    packs: 3,
    tokens: 27,
    loss_tokens: 21,
    fill: 0.9,
    // Packs of 10, 10 and 7 of 10; lengths 2, 3 | 4, 5, 6, 7 | 11.
    fill_histogram: [0, 0, 0, 0, 0, 0, 0, 1, 0, 2],
    length_histogram: [0, 2, 4, 1],
    shards: [
      { file: "packs-00000.safetensors", packs: 2, tokens: 20, sha256: expect.any(String) },
      { file: "packs-00001.safetensors", packs: 1, tokens: 7, sha256: expect.any(String) },
    ],
  });
  const written = readFileSync(join(out, "index.json"));
  expect(JSON.parse(written.toString())).toMatchObject(index);
  expect(isIntact(written, JSON.parse(written.toString()))).toBe(true);
  const sha256 = (file: string) =>
    createHash("sha256")
      .update(readFileSync(join(out, file)))
      .digest("hex");
  for (const shard of index.shards) expect(shard.sha256).toBe(sha256(shard.file));
  using file = SafetensorsReader.open(join(out, "packs-00000.safetensors"));
  const ints = (name: string) => [...new Int32Array(file.bytes(name).buffer)];
  expect(ints("tokens")).toEqual([
    20, 21, 22, 23, 24, 25, 26, 0, 1, 2, 40, 41, 42, 43, 44, 45, 30, 31, 32, 33,
  ]);
  expect(ints("targets")).toEqual([
    -1, 22, 23, 24, 25, 26, 27, -1, 2, 3, -1, 42, 43, 44, 45, 46, -1, 32, 33, 34,
  ]);
  expect(ints("positions")).toEqual([0, 1, 2, 3, 4, 5, 6, 0, 1, 2, 0, 1, 2, 3, 4, 5, 0, 1, 2, 3]);
  expect([...file.bytes("loss_mask")]).toEqual([0, 1, 1, 1, 1, 1, 1, 0, 1, 1, 0, 1, 1, 1, 1, 1, 0, 1, 1, 1]);
  expect(ints("cu_seqlens")).toEqual([0, 7, 10, 16, 20]);
  expect(ints("pack_starts")).toEqual([0, 2, 4]);
  rmSync(out, { recursive: true });
});
