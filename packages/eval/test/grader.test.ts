// The grader on answers that others' parsers credit wrongly.
import { expect, test } from "vitest";
import { grade, sameAnswer } from "../src/index.ts";

test("equal_numbers_are_equal_in_every_form", () => {
  for (const [a, b] of [
    ["1,234", "1234"],
    ["0.50", "1/2"],
    ["\\frac{3}{6}", "1/2"],
    ["-\\frac{1}{2}", "-0.5"],
    ["50\\%", "0.5"],
    ["$18", "18"],
    ["18.", "18.0"],
    ["\u22123", "-3"],
  ]) {
    expect(sameAnswer(a!, b!), `${a} ${b}`).toBe(true);
  }
  for (const [a, b] of [
    ["1/3", "0.333"],
    ["4 or 5", "4"],
    ["4, 5", "4"],
    ["", ""],
    ["1/0", "1/0x"],
    ["9^{9^9}", "9"],
  ]) {
    expect(sameAnswer(a!, b!), `${a} ${b}`).toBe(false);
  }
});

test("only_the_final_answer_after_the_thought_counts", () => {
  const verdict = (s: string) => grade(s, "42").verdict;
  expect(verdict("<think>x</think> <answer>42</answer>")).toBe("correct");
  expect(verdict("so the answer is 42.")).toBe("correct");
  expect(verdict("12 * 3 = 36\n#### 42")).toBe("correct");
  expect(verdict("\\boxed{41} wait \\boxed{42}")).toBe("correct");
  expect(verdict("<think>\\boxed{42}")).toBe("unparsed");
  expect(verdict("<think>\\boxed{42}</think> I do not know")).toBe("unparsed");
  expect(verdict("<think>\\boxed{42}</think> \\boxed{7}")).toBe("wrong");
  expect(verdict("<think>42 it is</think> <answer>41</answer>")).toBe("wrong");
  expect(verdict("<answer>41</answer> <answer>42</answer>")).toBe("unparsed");
  expect(verdict("<think>a</think> <answer>41 or 42 or 43</answer>")).toBe("wrong");
  expect(verdict("")).toBe("unparsed");
});

test("huge_numbers_are_answered_at_once", () => {
  const start = performance.now();
  expect(grade(`<answer>${"9".repeat(100_000)}</answer>`, "2003^{2002^{2001}}").verdict).toBe("wrong");
  expect(performance.now() - start).toBeLessThan(200);
});
