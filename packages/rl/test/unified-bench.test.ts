// What the unified bench concludes from its seeds, by hand.
import { expect, test } from "vitest";
import { differenceOverSeeds, verdictOn } from "../bench/support/differences.ts";

test("the_interval_of_a_difference_is_students_over_seeds", () => {
  // Differences 0.1, 0.2, 0.6: mean 0.3, deviation √((0.04 + 0.01 + 0.09)/2), t of two degrees of freedom 4.303.
  const got = differenceOverSeeds([0.5, 0.25, 0.125], [0.6, 0.45, 0.725]);
  const half = (4.303 * Math.sqrt(0.07)) / Math.sqrt(3);
  expect(got.mean).toBeCloseTo(0.3, 12);
  expect([got.low, got.high]).toEqual([expect.closeTo(0.3 - half, 12), expect.closeTo(0.3 + half, 12)]);
  expect(verdictOn(got)).toBe("undecided");
});

test("a_verdict_needs_an_interval_without_0_and_one_seed_decides_nothing", () => {
  const up = differenceOverSeeds([0.1, 0.2, 0.3], [0.31, 0.4, 0.49]);
  expect(up.mean).toBeCloseTo(0.2, 12);
  expect(verdictOn(up)).toBe("agrees");
  expect(verdictOn(differenceOverSeeds([0.31, 0.4, 0.49], [0.1, 0.2, 0.3]))).toBe("disagrees");
  expect(verdictOn(differenceOverSeeds([0.1], [0.9]))).toBe("undecided");
});
