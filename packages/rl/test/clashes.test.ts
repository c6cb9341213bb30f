// Preferences stated twice or both ways round are counted, and named by their first place.
import { expect, test } from "vitest";
import { clashesOf } from "../src/task/clashes.ts";

const of = (...rows: [string, string][]) =>
  clashesOf(rows.map(([better, worse], i) => ({ better, worse, place: `a.jsonl:${i + 1}` })));

test("repeated_and_contradictory_preferences_are_counted_apart", () => {
  expect(of(["x", "y"], ["x", "z"], ["z", "y"])).toEqual([]);
  expect(of(["x", "y"], ["x", "y"])).toEqual([
    "1 preference states an earlier one again (first at a.jsonl:2); all are learned from",
  ]);
  expect(of(["x", "y"], ["a", "b"], ["y", "x"], ["b", "a"], ["x", "y"])).toEqual([
    "1 preference states an earlier one again (first at a.jsonl:5); all are learned from",
    "3 preferences state the opposite of an earlier one (first at a.jsonl:3); all are learned from",
  ]);
});

test("texts_are_compared_whole_wherever_they_are_split", () => {
  expect(of(["x,y", "z"], ["x", "y,z"], ["z", "x,y"])).toHaveLength(1);
});
