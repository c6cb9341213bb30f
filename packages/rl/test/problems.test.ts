// Questions of a mixed task: shares are kept, splits stay apart, and every number names one problem.
import { parseConfig } from "@nsa/core";
import { expect, test } from "vitest";
import { grpoSchema } from "../src/grpo/config.ts";
import { makeProblems } from "../src/grpo/problems.ts";

const source = (seed: number) =>
  makeProblems(
    parseConfig(
      grpoSchema,
      {
        seed,
        init: { checkpoint: "none" },
        task: {
          mix: [
            { family: "addition", difficulty: 2, share: 0.9 },
            { family: "addition", difficulty: 3, share: 0.1 },
          ],
        },
      } as never,
      "test",
    ),
  );

test("parts_of_a_mix_keep_their_shares_in_every_hundred_questions", () => {
  const { train } = source(1);
  for (const from of [0, 100, 700]) {
    const parts = Array.from({ length: 100 }, (_, i) => train(from + i).part);
    expect(parts.filter((part) => part === "addition_3")).toHaveLength(10);
  }
});

test("a_problem_depends_on_its_number_alone_and_held_out_ones_not_on_the_seed", () => {
  const [late, early] = [source(1), source(1)];
  const last = late.train(50);
  const all = Array.from({ length: 51 }, (_, i) => early.train(i));
  expect(all[50]).toEqual(last);
  expect(source(2).train(50)).not.toEqual(last);
  expect(source(2).heldOut(7)).toEqual(source(1).heldOut(7));
  const held = new Set(Array.from({ length: 200 }, (_, i) => early.heldOut(i).question));
  expect(all.some((p) => held.has(p.question))).toBe(false);
});
