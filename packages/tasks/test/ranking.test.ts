// Area under the ROC curve and calibration, by hand.
import { expect, test } from "vitest";
import { calibrationError, rocAuc } from "../src/index.ts";

test("auc_is_the_share_of_pairs_in_the_right_order_with_ties_at_one_half", () => {
  // Right: 2, 5, 5; wrong: 1, 2, 7. Of nine pairs 2>1, 5>1, 5>2, 5>1, 5>2 are in order, 2=2 is a tie.
  expect(rocAuc([2, 1, 5, 2, 7, 5], [1, 0, 1, 0, 0, 1])).toBeCloseTo(5.5 / 9, 12);
  expect(rocAuc([3, 4], [0, 1])).toBe(1);
  expect(rocAuc([4, 3], [0, 1])).toBe(0);
  expect(rocAuc([1, 2], [1, 1])).toBeNaN();
});

test("a_label_of_a_quarter_is_a_quarter_of_a_right_item_and_three_of_a_wrong_one", () => {
  // Ascending 1 (0.25), 3 (1): right 1.25, wrong 0.75. Pairs: 0.25·0.75/2 within the first, 1·0.75 above it.
  expect(rocAuc([1, 3], [0.25, 1])).toBeCloseTo((0.25 * 0.375 + 0.75) / (1.25 * 0.75), 12);
});

test("calibration_error_weighs_the_gap_of_each_bin_by_its_items", () => {
  // Bins of 0.1: {0.12, 0.18} with labels 0, 1; {0.95, 1} with 1, 0: |0.3 − 1| and |1.95 − 1| over 4.
  expect(calibrationError([0.12, 0.95, 0.18, 1], [0, 1, 1, 0])).toBeCloseTo((0.7 + 0.95) / 4, 12);
  // In one bin they nearly cancel.
  expect(calibrationError([0.12, 0.95, 0.18, 1], [0, 1, 1, 0], 1)).toBeCloseTo(0.25 / 4, 12);
});
