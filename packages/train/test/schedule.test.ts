// Learning-rate schedules at single steps, by hand.
import { expect, test } from "vitest";
import { lrShare, rateWarning, type Schedule, scheduleSchema } from "../src/index.ts";

const at = (config: Partial<Schedule>, total: number, ...steps: number[]) =>
  steps.map((step) => lrShare(scheduleSchema.parse(config), step, total));
const near = (...xs: number[]) => xs.map((x) => expect.closeTo(x, 9));

test("every_kind_rises_in_equal_parts_and_reaches_the_peak_at_the_last_step_of_the_warm_up", () => {
  for (const kind of ["constant", "cosine", "wsd", "multi_step"] as const)
    expect(at({ kind, warmupSteps: 8 }, 1000, 1, 2, 6, 8), kind).toEqual([0.125, 0.25, 0.75, 1]);
  expect(at({ kind: "constant" }, 100, 1, 57, 100)).toEqual([1, 1, 1]);
});

test("cosine_falls_from_the_warm_up_to_the_last_step", () => {
  // 100 steps after the warm-up: cos(π/4) at step 45, 0 at 70, −cos(π/4) at 95.
  const half = Math.SQRT1_2;
  expect(at({ kind: "cosine", warmupSteps: 20, minRatio: 0.1 }, 120, 45, 70, 95, 120)).toEqual(
    near(0.1 + 0.45 * (1 + half), 0.55, 0.1 + 0.45 * (1 - half), 0.1),
  );
  expect(at({ kind: "cosine" }, 40, 40)).toEqual(near(0.1));
  expect(at({ kind: "cosine", minRatio: 0 }, 3, 1, 2, 3)).toEqual(near(0.75, 0.25, 0));
  // One step after the warm-up is the last one.
  expect(at({ kind: "cosine", warmupSteps: 3, minRatio: 0.3 }, 4, 3, 4)).toEqual(near(1, 0.3));
  // A run that is longer than it was planned ends flat.
  expect(at({ kind: "cosine", minRatio: 0.25 }, 40, 55)).toEqual(near(0.25));
});

test("wsd_is_flat_and_then_falls_in_a_line_over_its_share", () => {
  // 80 steps after the warm-up, the last quarter is steps 81 to 100.
  const wsd = { kind: "wsd", warmupSteps: 20, minRatio: 0.2, decayShare: 0.25 } as const;
  expect(at(wsd, 100, 21, 80, 81, 90, 95, 100)).toEqual(near(1, 1, 0.96, 0.6, 0.4, 0.2));
  expect(at({ ...wsd, decayShare: 0 }, 100, 99, 100)).toEqual([1, 1]);
  // The default decay is the last fifth, down to a tenth.
  expect(at({ kind: "wsd" }, 50, 40, 45, 50)).toEqual(near(1, 0.55, 0.1));
});

test("multi_step_falls_after_80_and_90_percent_of_all_steps_whatever_their_number", () => {
  const { sqrt } = Math;
  const kind = { kind: "multi_step", warmupSteps: 3 } as const;
  for (let tenth = 1; tenth <= 700; tenth++) {
    expect(at(kind, 10 * tenth, 8 * tenth, 9 * tenth), `${10 * tenth} steps`).toEqual([1, sqrt(0.1)]);
    expect(at(kind, 10 * tenth, 8 * tenth + 1, 9 * tenth + 1)).toEqual([sqrt(0.1), 0.1]);
  }
  // 31.6 % of the peak; 17·0.8 = 13.6 and 17·0.9 = 15.3.
  expect(at({ kind: "multi_step" }, 17, 13, 14, 15, 16, 17)).toEqual(near(1, sqrt(0.1), sqrt(0.1), 0.1, 0.1));
  expect(sqrt(0.1)).toBeCloseTo(0.316, 3);
});

test("a_rate_that_a_run_never_reaches_is_named", () => {
  const warning = (config: Partial<Schedule>, lr: number, total: number) =>
    rateWarning(scheduleSchema.parse(config), lr, total);
  expect(warning({ warmupSteps: 1000 }, 1e-4, 60)).toBe(
    "train.schedule.warmup_steps 1000 is more than the 60 steps of the run: the learning rate rises to 6 % of train.optimizer.lr and no further",
  );
  expect(warning({ warmupSteps: 7, kind: "constant" }, 1e-4, 6)).toContain("rises to 86 %");
  // The last step of the run is the first at the peak; a decay to 0 is one.
  expect(warning({ warmupSteps: 60 }, 1e-4, 60)).toBeUndefined();
  expect(warning({ kind: "cosine", minRatio: 0 }, 1e-4, 60)).toBeUndefined();
  expect(warning({}, 0, 60)).toBe("train.optimizer.lr is 0: no weight will change");
});
