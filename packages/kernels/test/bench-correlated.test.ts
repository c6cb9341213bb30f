// The correlated queries of a benchmark against their recurrence, and its count of shared blocks.
import { afterAll, expect, test } from "vitest";
import { correlate, rhoOf, union } from "../bench/support/correlated.ts";
import { Device } from "../src/index.ts";

const device = Device.open("cpu");
afterAll(() => device.close());

test("correlated_queries_are_the_autoregression", () => {
  const noise = [1, 10, -2, 20, 0.5, -7, 3, 4, -1, 0, 2, -3, 5, 8];
  for (const rho of [0, 0.3, 0.6]) {
    const x = device.from(noise, [7, 2], "f32");
    correlate(x, rho);
    const want = noise.slice(0, 2);
    for (let i = 2; i < 14; i++) want[i] = rho * want[i - 2]! + Math.sqrt(1 - rho * rho) * noise[i]!;
    // Terms below 1e-3 may be left out.
    for (const [i, value] of x.read().entries()) expect(Math.abs(value - want[i]!)).toBeLessThan(0.02);
    x.free();
  }
});

test("union_counts_blocks_of_four_neighbours_in_the_second_half", () => {
  // Two groups, two blocks a query; eight queries, of which the last four count.
  const first = Array.from({ length: 16 }, () => 99);
  const idx = [0, 1, 5, -1, 0, 2, 5, -1, 0, 3, 6, -1, 0, 1, 7, -1];
  // Group 0: {0, 1, 2, 3} of 2 a query; group 1: {5, 6, 7} of 1 a query.
  expect(union([...first, ...idx], 2, 2)).toBeCloseTo(7 / 3, 12);
});

test("rho_is_where_the_union_is_the_wanted_one", () => {
  expect(rhoOf(1.8, (rho) => 3 - 2 * rho)).toBeCloseTo(0.6, 2);
  expect(rhoOf(5, (rho) => 3 - 2 * rho)).toBe(0);
});
