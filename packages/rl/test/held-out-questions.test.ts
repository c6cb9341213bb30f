// Questions that no reward model is trained on.
import { expect, test } from "vitest";
import { isHeldOut, splitQuestions } from "../src/stages/reward/held-out-questions.ts";

const questions = Array.from({ length: 1000 }, (_, i) => `${i},7,3`);

test("a_share_of_questions_is_held_out_whatever_else_is_asked", () => {
  const { learned, heldOut } = splitQuestions(questions, 0.1);
  // A binomial number: 100 ± 3 deviations of 9.5.
  expect([heldOut.length > 71, heldOut.length < 129]).toEqual([true, true]);
  expect([...learned, ...heldOut].sort()).toEqual([...questions].sort());
  expect(heldOut).toEqual(questions.filter((question) => isHeldOut(question, 0.1)));
  // Those of a part are the same, in the order given.
  const part = questions.slice(200, 600).reverse();
  expect(splitQuestions(part, 0.1).heldOut).toEqual(part.filter((question) => isHeldOut(question, 0.1)));
  // A larger share holds out all of a smaller one.
  const more = new Set(splitQuestions(questions, 0.3).heldOut);
  expect(heldOut.every((question) => more.has(question))).toBe(true);
});

test("few_questions_leave_one_on_each_side", () => {
  for (let i = 0; i + 2 <= 200; i += 2) {
    const two = questions.slice(i, i + 2);
    for (const share of [0.01, 0.3, 0.5])
      expect(splitQuestions(two, share).heldOut, `${two} ${share}`).toHaveLength(1);
    expect(splitQuestions(two, 0).heldOut).toEqual([]);
  }
  expect(splitQuestions(["7"], 0.5)).toEqual({ learned: ["7"], heldOut: [] });
});
