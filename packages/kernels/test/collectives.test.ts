// Every collective over pipes by hand-computed values: worlds of one to four, unequal lengths, groups, and ranks that end or disagree.
import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { Device, makeRankPipes, shareLengths, singleRank } from "../src/index.ts";
import type { Call } from "./collectives-main.ts";
import { outcomes, ramp, run, start } from "./collectives-run.ts";

test("every_operation_by_hand_in_worlds_of_one_to_four", async () => {
  for (const world of [1, 2, 3, 4]) {
    const values = ramp(world);
    // Σ_r (10·r + i + 1) = 10·world·(world − 1)/2 + world·(i + 1).
    const sum = [1, 2, 3, 4, 5].map((x) => 5 * world * (world - 1) + world * x);
    const lengths = { 1: [5], 2: [3, 2], 3: [2, 2, 1], 4: [2, 1, 1, 1] }[world]!;
    const starts = lengths.map((_, i) => lengths.slice(0, i).reduce((a, b) => a + b, 0));
    const got = await run(world, [
      { op: "allReduce", values },
      { op: "allReduce", values, dtype: "f64" },
      { op: "allReduceNumbers", values },
      { op: "reduceScatter", values },
      { op: "reduceTo", values, root: world - 1 },
      { op: "barrier" },
      { op: "broadcast", values, root: world - 1, dtype: "i32" },
      { op: "allGather", values, dtype: "bf16" },
    ]);
    for (const [rank, found] of got.entries()) {
      const part = sum.slice(starts[rank], starts[rank]! + lengths[rank]!);
      const own = [rank === world - 1 ? sum : null, rank === 0 ? sum.slice(0, 2) : null];
      const wanted = [sum, sum, sum, part, own, "passed", values[world - 1], values.flat()];
      expect(found, `rank ${rank} of ${world}`).toEqual(wanted);
    }
  }
}, 120_000);

test("parts_may_have_any_lengths_and_none", async () => {
  const lengths = [4, 0, 1];
  const values = ramp(3);
  const parts = [[1, 2, 3, 4], [], [9]];
  const got = await run(3, [
    { op: "reduceScatter", values, lengths },
    { op: "allGather", values: parts, lengths, dtype: "i32" },
    { op: "allReduce", values: [[], [], []] },
  ]);
  // 1 + 11 + 21 = 33, and three more for each place.
  expect(got.map((g) => g[0])).toEqual([[33, 36, 39, 42], [], [45]]);
  for (const [, gathered, empty] of got) expect([gathered, empty]).toEqual([[1, 2, 3, 4, 9], []]);
}, 60_000);

test("bytes_of_any_length_are_gathered_in_ascending_order_of_ranks", async () => {
  const values = [[7, 8, 9], [], [1]];
  const got = await run(3, [
    { op: "gatherBytes", values },
    { op: "gatherBytes", values, group: [2, 0] },
  ]);
  const pair = [[7, 8, 9], [1]];
  expect(got).toEqual([
    [values, pair],
    [values, null],
    [values, pair],
  ]);
}, 60_000);

test("groups_work_apart_in_any_order_of_their_names_and_leave_the_others_alone", async () => {
  const values = ramp(4, 4);
  const got = await run(4, [
    { op: "allReduce", values, group: [3, 1] },
    { op: "allReduce", values, group: [0, 2] },
    { op: "reduceScatter", values, group: [2, 1, 3], lengths: [1, 1, 2] },
    { op: "allGather", values, group: [3, 2] },
    { op: "broadcast", values, group: [1, 2, 3], root: 2 },
    { op: "barrier", group: [1, 2] },
    { op: "allReduceNumbers", values, group: [2] },
    { op: "allReduce", values },
  ]);
  // Ranks 1 and 3: 11 + 31 = 42; 0 and 2: 1 + 21 = 22; 1, 2 and 3: 11 + 21 + 31 = 63; all: 64.
  const [pair, even, all] = [
    [42, 44, 46, 48],
    [22, 24, 26, 28],
    [64, 68, 72, 76],
  ];
  const both = [21, 22, 23, 24, 31, 32, 33, 34];
  const third = [21, 22, 23, 24];
  expect(got).toEqual([
    [null, even, null, null, null, null, null, all],
    [pair, null, [63], null, third, "passed", null, all],
    [null, even, [66], both, third, "passed", third, all],
    [pair, null, [69, 72], both, third, null, null, all],
  ]);
}, 60_000);

test("sums_are_taken_in_ascending_order_with_the_same_bits_on_every_rank_and_by_either_operation", async () => {
  // (1e8 + 1) − 1e8 is 0 in f32, and (1e8 − 1e8) + 1 is 1.
  const values = [
    [1e8, 1e8, 1],
    [1, -1e8, 1e8],
    [-1e8, 1, -1e8],
  ];
  const got = await run(3, [
    { op: "allReduce", values },
    { op: "reduceScatter", values },
    { op: "allReduce", values, group: [1, 2, 0] },
  ]);
  for (const [rank, [all, part, grouped]] of got.entries())
    expect([all, part, grouped]).toEqual([[0, 1, 0], [[0], [1], [0]][rank], [0, 1, 0]]);
}, 60_000);

test("a_rank_that_dies_is_named_by_every_other_with_the_operation", async () => {
  for (const op of ["allReduce", "reduceScatter", "allGather", "broadcast", "barrier"] as const) {
    const values = ramp(3);
    const all = await outcomes(3, [
      { op: "allReduce", values },
      { op: "die", only: 2 },
      { op, values, root: 2 },
      { op: "barrier" },
    ]);
    expect(all[2]!.code).toBeNull();
    const word = { allReduce: "all-reduce", reduceScatter: "reduce-scatter", allGather: "all-gather" };
    for (const rank of [0, 1]) {
      expect(all[rank], `${op}, rank ${rank}`).toEqual({
        code: 1,
        out: expect.objectContaining({ code: "rank_lost", what: "rank 2 is gone" }),
      });
    }
    const reasons = all.slice(0, 2).map(({ out }) => (out as { why: string }).why);
    const name = (word as Record<string, string>)[op] ?? op;
    expect(
      reasons.some((why) => why.includes(`in ${name}`)),
      `${op}: ${reasons}`,
    ).toBe(true);
  }
}, 120_000);

test("a_rank_that_ends_before_all_have_joined_is_named_by_those_that_wait", async () => {
  const folder = mkdtempSync(join(tmpdir(), "nsa-collectives-"));
  makeRankPipes(folder, 3);
  const child = spawn(process.execPath, ["-e", ""]);
  await new Promise((resolve) => child.on("close", resolve));
  writeFileSync(join(folder, "2.joined"), String(child.pid));
  // Rank 1 never comes; rank 0 does not wait for it.
  const { code, out } = await start(0, 3, folder, []);
  expect(code).toBe(1);
  expect(out).toMatchObject({
    code: "rank_lost",
    what: "rank 2 is gone",
    why: expect.stringMatching(/in join$/),
  });
  rmSync(folder, { recursive: true });
}, 60_000);

test("ranks_of_other_recipes_or_programs_are_all_refused_with_one_error", async () => {
  const folder = mkdtempSync(join(tmpdir(), "nsa-collectives-"));
  makeRankPipes(folder, 3);
  const of = (rank: number) => ({
    NSA_TEST_IDENTITY: JSON.stringify({ stage: "sft", recipe: rank === 2 ? "b7" : "a3", code: "11" }),
  });
  const all = await Promise.all([0, 1, 2].map((rank) => start(rank, 3, folder, [], of(rank))));
  for (const { code, out } of all) {
    expect(code).toBe(1);
    expect(out).toMatchObject({ code: "ranks_differ", what: "rank 2 has another recipe than rank 0" });
    expect((out as { why: string }).why).toMatch(/^b7 and a3:/);
  }
  rmSync(folder, { recursive: true });
}, 60_000);

test("a_rank_does_not_wait_in_a_folder_that_the_run_has_removed", async () => {
  const folder = mkdtempSync(join(tmpdir(), "nsa-collectives-"));
  makeRankPipes(folder, 2);
  const waits = start(1, 2, folder, []);
  while (!existsSync(join(folder, "1.joined"))) await new Promise((resolve) => setTimeout(resolve, 20));
  rmSync(folder, { recursive: true });
  expect((await waits).out).toMatchObject({ code: "rank_lost", what: "rank 0 is gone" });
}, 60_000);

test("ranks_that_make_different_calls_are_found_out", async () => {
  const values = ramp(2);
  const disagreement = async (first: Call, second: Call) => {
    const all = await outcomes(2, (rank) => [rank === 0 ? first : second]);
    return all.map(({ out }) => out as { code: string; what: string });
  };
  const [a] = await disagreement({ op: "allReduce", values }, { op: "barrier" });
  expect(a).toMatchObject({
    code: "ranks_disagree",
    what: "rank 1 sent 8 bytes of barrier, and this rank expects 12 of all-reduce",
  });
  const [b] = await disagreement({ op: "allReduce", values }, { op: "allReduce", values: [[], [1, 2]] });
  expect(b!.what).toBe("rank 1 sent 8 bytes of all-reduce, and this rank expects 12 of all-reduce");
}, 60_000);

test("calls_that_cannot_be_right_are_refused_before_anything_is_sent", async () => {
  const values = ramp(2);
  const why = async (call: Call) => {
    const [first] = await outcomes(2, (rank) => (rank === 0 ? [call] : []));
    const { code, what, why: reason } = first!.out as Record<string, string>;
    expect(code).toBe("collective_invalid");
    return `${what}: ${reason}`;
  };
  expect(await why({ op: "allReduce", values, group: [0, 2] })).toContain(
    "2 is there twice, or is no rank of 2",
  );
  expect(await why({ op: "allReduce", values, group: [0, 0] })).toContain("0 is there twice");
  expect(await why({ op: "broadcast", values, group: [0], root: 1 })).toContain("broadcast from rank 1");
  expect(await why({ op: "reduceScatter", values, lengths: [4, 2] })).toContain(
    "parts of 4, 2 for 2 ranks and 5",
  );
}, 60_000);

test("alone_every_operation_is_the_identity_and_shares_are_even", () => {
  const device = Device.open("cpu", { threads: 1 });
  const x = device.from([3, 1, 2], [3], "f32");
  const y = device.zeros([3], "f32");
  singleRank.reduceScatter(x, y);
  expect([...y.read()]).toEqual([3, 1, 2]);
  expect(() => singleRank.allGather(x, device.zeros([2], "f32"))).toThrow("3 elements do not fit into 2");
  expect([shareLengths(7, 3), shareLengths(2, 4), shareLengths(0, 2)]).toEqual([
    [3, 2, 2],
    [1, 1, 0, 0],
    [0, 0],
  ]);
  device.close();
});
