// Shares of replayed history over many draws, and the reservoir that history is kept in, against counts made by hand.
import { expect, test } from "vitest";
import { Reservoir, withReplay } from "../src/stages/reward/replay.ts";

const draws = (fresh: number, history: number, share: number, count: number) => {
  const source = withReplay(
    Array.from({ length: fresh }, (_, i) => `f${i}`),
    Array.from({ length: history }, (_, i) => `h${i}`),
    share,
    3,
  );
  return Array.from({ length: count }, () => source.next().value as { item: string; replayed: boolean });
};

test("ten_per_cent_of_a_thousand_draws_are_history_each_tenth_one", () => {
  const all = draws(37, 11, 0.1, 1000);
  const places = all.flatMap(({ replayed }, i) => (replayed ? [i] : []));
  expect(places).toEqual(Array.from({ length: 100 }, (_, i) => 10 * i + 9));
  for (const { item, replayed } of all) expect(item[0]).toBe(replayed ? "h" : "f");
  // 900 fresh draws over 37 items: each 24 times, and 12 of them once more; 100 over 11: each 9 times, one once more.
  const counts = (kind: string) => {
    const by = new Map<string, number>();
    for (const { item } of all) if (item[0] === kind) by.set(item, (by.get(item) ?? 0) + 1);
    return [...by.values()].sort((a, b) => a - b);
  };
  expect(counts("f")).toEqual([...Array(25).fill(24), ...Array(12).fill(25)]);
  expect(counts("h")).toEqual([...Array(10).fill(9), 10]);
});

test("shares_of_none_all_and_a_third_and_an_absent_side", () => {
  const replays = (...args: Parameters<typeof draws>) =>
    draws(...args).filter(({ replayed }) => replayed).length;
  expect(replays(5, 5, 0, 100)).toBe(0);
  expect(replays(5, 5, 1, 100)).toBe(100);
  expect(replays(5, 5, 1 / 3, 100)).toBe(33);
  expect(replays(5, 0, 0.5, 10)).toBe(0);
  expect(replays(0, 5, 0.1, 10)).toBe(10);
});

test("a_reservoir_holds_every_item_with_the_same_chance_and_goes_on_where_it_was_saved", () => {
  const hits = Array<number>(20).fill(0);
  for (let seed = 0; seed < 2000; seed++) {
    const reservoir = new Reservoir<number>(5, seed);
    for (let i = 0; i < 20; i++) reservoir.add(i);
    expect(reservoir.items).toHaveLength(5);
    for (const i of reservoir.items) hits[i]!++;
  }
  // A quarter of 2,000, within five deviations of √(2000 · ¼ · ¾) = 19.4.
  for (const n of hits) expect(Math.abs(n - 500)).toBeLessThan(97);
  const whole = new Reservoir<number>(5, 7);
  for (let i = 0; i < 20; i++) whole.add(i);
  const first = new Reservoir<number>(5, 7);
  for (let i = 0; i < 12; i++) first.add(i);
  const second = new Reservoir<number>(5, 7, first.seen, first.items);
  for (let i = 12; i < 20; i++) second.add(i);
  expect(second.items).toEqual(whole.items);
  expect(second.seen).toBe(20);
});
