// Braille plots and the figures beside them.
import { expect, test } from "vitest";
import { count, duration, figure, percent } from "../src/view/format.ts";
import { braillePlot } from "../src/view/plot.ts";

const line = (ys: number[]) => ys.map((y, x) => ({ x, y }));

test("a_rising_line_goes_from_the_lower_left_dot_to_the_upper_right_one", () => {
  const plot = braillePlot(line([0, 1, 2, 3]), 2, 1)!;
  // Dots 7 and 6+… of the first cell joined by strokes, then up to the top of the second.
  expect(plot.lines).toEqual([
    String.fromCharCode(0x2800 + 0x40 + 0x80 + 0x20, 0x2800 + 0x04 + 0x02 + 0x10 + 0x08),
  ]);
  expect([plot.low, plot.high]).toEqual([0, 3]);
});

test("a_flat_line_has_one_dot_in_every_column", () => {
  const plot = braillePlot(line([5, 5, 5, 5, 5, 5]), 3, 2)!;
  const dots = plot.lines
    .join("")
    .split("")
    .map((c) => c.charCodeAt(0) - 0x2800);
  expect(dots.filter((bits) => bits !== 0)).toHaveLength(3);
  expect(plot.low).toBe(plot.high);
});

test("gaps_between_points_are_bridged_by_straight_lines", () => {
  const [dense, sparse] = [line([0, 1, 2, 3, 4, 5, 6, 7]), [0, 7].map((y) => ({ x: y, y }))];
  expect(braillePlot(sparse, 4, 2)!.lines).toEqual(braillePlot(dense, 4, 2)!.lines);
});

test("infinite_and_missing_values_leave_the_scale_to_the_others", () => {
  const plot = braillePlot(line([1, Number.NaN, 2, Number.POSITIVE_INFINITY, 3]), 4, 2)!;
  expect([plot.low, plot.high]).toEqual([1, 3]);
  expect(braillePlot(line([1, Number.NaN]), 4, 2)).toBeUndefined();
});

test.each([
  [figure(0.000_12), "1.20e-4"],
  [figure(2.345_67), "2.346"],
  [figure(0), "0"],
  [figure(Number.NaN), "NaN"],
  [count(1_436_848), "1.437M"],
  [count(512), "512"],
  [count(0), "0"],
  [percent(0.1234), "12.3 %"],
  [duration(7.4), "7s"],
  [duration(185), "3m 05s"],
  [duration(7620), "2h 07m"],
  [duration(270_000), "3d 03h"],
  [duration(Number.NaN), "–"],
])("%s_is_written_as_%s", (got, want) => expect(got).toBe(want));
