// Packing: nothing lost or cut, the fill of each method, batches with masks and borders, exact resume.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SafetensorsReader } from "@nsa/core";
import { expect, test } from "vitest";
import {
  batchOfPack,
  choices,
  type PackExample,
  type PackMethod,
  PackSource,
  planPacks,
  positionsOf,
  writePacks,
} from "../src/index.ts";
import { folderHashes } from "./folder.ts";

const c = choices(5);
const lengths = Array.from({ length: 3000 }, () => c.int(1, 200));
const plan = (method: PackMethod, seed = 1) => planPacks(lengths, { method, capacity: 256, seed });

for (const method of ["random", "bfd", "wrapped"] as const) {
  test(`${method}_places_every_token_once_and_never_overfills`, () => {
    const p = plan(method);
    const seen = lengths.map(() => 0);
    for (let k = 0; k + 1 < p.starts.length; k++) {
      let tokens = 0;
      for (let i = p.starts[k]!; i < p.starts[k + 1]!; i++) {
        const e = p.example[i]!;
        expect(p.from[i]).toBe(method === "wrapped" ? seen[e] : 0);
        if (method !== "wrapped") expect(p.length[i]).toBe(lengths[e]);
        seen[e]! += p.length[i]!;
        tokens += p.length[i]!;
      }
      expect(tokens).toBeLessThanOrEqual(256);
      expect(tokens).toBeGreaterThan(0);
    }
    expect(seen).toEqual(lengths);
  });
}

test("best_fit_fills_more_than_random_and_wrapped_fills_all_but_the_last", () => {
  const [random, bfd, wrapped] = [plan("random"), plan("bfd"), plan("wrapped")];
  const least = Math.ceil(lengths.reduce((a, b) => a + b, 0) / 256);
  expect(wrapped.starts.length - 1).toBe(least);
  expect(bfd.fill).toBeGreaterThan(0.999);
  expect(random.fill).toBeLessThan(0.9);
});

test("best_fit_decreasing_is_the_textbook_one", () => {
  // 7 6 5 5 4 3 into packs of 10: 7+3, 6+4, 5+5.
  const p = planPacks([3, 5, 7, 4, 5, 6], { method: "bfd", capacity: 10, seed: 1 });
  const packs = Array.from({ length: p.starts.length - 1 }, (_, k) => [
    ...p.length.subarray(p.starts[k], p.starts[k + 1]),
  ]);
  expect(packs).toEqual([
    [7, 3],
    [6, 4],
    [5, 5],
  ]);
  expect(p.fill).toBe(1);
});

test("the_seed_alone_decides_and_long_or_no_examples_are_reported", () => {
  expect(plan("random", 2)).toEqual(plan("random", 2));
  expect(plan("random", 2).example).not.toEqual(plan("random", 3).example);
  expect(planPacks([5, 50, 0], { method: "bfd", capacity: 10, seed: 1 }).tooLong).toBe(1);
  expect(() => planPacks([50], { method: "random", capacity: 10, seed: 1 })).toThrow(/none of 1/);
  expect(() => planPacks([], { method: "wrapped", capacity: 10, seed: 1 })).toThrow(/none of 0/);
  expect(() => planPacks([1], { method: "bfd", capacity: 0, seed: 1 })).toThrow(/0 tokens/);
});

const examples: PackExample[] = [
  { ids: [1, 2, 3, 9], promptLength: 2 },
  { ids: [4, 5, 9], promptLength: 1 },
  { ids: [6, 7, 8, 6, 7, 9], promptLength: 3 },
];

test("a_pack_keeps_masks_positions_and_borders_and_cut_pieces_go_on_where_the_last_ended", () => {
  const whole = planPacks(examples.map(positionsOf), { method: "bfd", capacity: 5, seed: 1 });
  const batch = batchOfPack(whole, 1, examples);
  expect([...batch.tokens]).toEqual([1, 2, 3, 4, 5]);
  expect([...batch.targets]).toEqual([-1, 3, 9, 5, 9]);
  expect([...batch.lossWeight]).toEqual([0, 1, 1, 1, 1]);
  expect([...batch.positions]).toEqual([0, 1, 2, 0, 1]);
  expect([...batch.cuSeqlens]).toEqual([0, 3, 5]);
  expect([...batch.sampleIds]).toEqual([0, 1]);
  const cut = planPacks([5], { method: "wrapped", capacity: 3, seed: 1 });
  const parts = [0, 1].map((k) => batchOfPack(cut, k, [examples[2]!]));
  expect(parts.map((b) => [...b.tokens])).toEqual([
    [6, 7, 8],
    [6, 7],
  ]);
  expect(parts.map((b) => [...b.targets])).toEqual([
    [-1, -1, 6],
    [7, 9],
  ]);
});

test("an_epoch_visits_every_pack_once_and_resumes_exactly", () => {
  const all = lengths.map((n) => ({ ids: new Int32Array(n + 1), promptLength: 0 }));
  const p = plan("bfd");
  const packs = p.starts.length - 1;
  const source = () => new PackSource(p, all, { microBatches: 2, seed: 7 });
  const a = source();
  const seen = new Set<number>();
  for (let i = 0; i < packs / 2; i++) for (const b of a.next().microBatches) seen.add(b.sampleIds[0]!);
  expect(seen.size).toBeGreaterThanOrEqual(packs - 1);
  const b = source();
  b.load(JSON.parse(JSON.stringify(a.save())));
  for (let i = 0; i < 5; i++) expect(b.next()).toEqual(a.next());
});

test("packs_on_disk_hold_what_the_plan_says_in_whole_shards", () => {
  const dir = mkdtempSync(join(tmpdir(), "nsa-packs-"));
  const examples = Array.from({ length: 50 }, (_, e) => ({
    ids: Int32Array.from({ length: 5 + ((e * 7) % 20) }, (_, i) => 100 * e + i),
    promptLength: 3,
  }));
  const options = { method: "bfd", capacity: 48, seed: 2, tokenizerHash: "h", shardTokens: 200 } as const;
  const index = writePacks(examples, { ...options, out: dir });
  expect(index.shards.length).toBeGreaterThan(2);
  const plan = planPacks(examples.map(positionsOf), options);
  let pack = 0;
  for (const shard of index.shards) {
    using file = SafetensorsReader.open(join(dir, shard.file));
    const ints = (name: string) => new Int32Array(file.bytes(name).buffer);
    const [starts, borders] = [ints("pack_starts"), ints("cu_seqlens")];
    for (let p = 0; p < shard.packs; p++, pack++) {
      const batch = batchOfPack(plan, pack, examples);
      const [from, to] = [borders[starts[p]!]!, borders[starts[p + 1]!]!];
      expect(ints("tokens").subarray(from, to)).toEqual(batch.tokens);
      expect(ints("targets").subarray(from, to)).toEqual(batch.targets);
      expect(ints("positions").subarray(from, to)).toEqual(batch.positions);
      expect([...file.bytes("loss_mask").subarray(from, to)]).toEqual([...batch.lossWeight]);
      const pieces = borders.subarray(starts[p]!, starts[p + 1]! + 1).map((b) => b - from);
      expect(pieces).toEqual(batch.cuSeqlens);
    }
  }
  expect(pack).toBe(index.packs);
  expect(index.fill_histogram.reduce((a, b) => a + b, 0)).toBe(index.packs);
  const again = join(dir, "again");
  writePacks(examples, { ...options, out: again });
  expect(folderHashes(again)).toEqual(folderHashes(dir, /^\/again\//));
  rmSync(dir, { recursive: true });
});
