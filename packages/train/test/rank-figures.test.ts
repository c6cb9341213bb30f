// Figures over ranks, by hand: each rank calls with its own and all get the same.
import { singleRank } from "@nsa/kernels";
import { expect, test } from "vitest";
import { figuresOverRanks } from "../src/rank-figures.ts";

/** Runs the calls of all ranks in step: a call waits until every rank has made it, then all get the sums. */
function together(own: Record<string, number>[]): Record<string, number>[] {
  // Calls depend on the sums before them alone, so each rank is run again from the start with the sums known so far.
  const sums: number[][] = [];
  for (;;) {
    const asked: number[][] = [];
    const results = own.map((figures, rank) => {
      let call = 0;
      const allReduceNumbers = (values: number[]) => {
        if (call < sums.length) return sums[call++]!;
        asked[rank] = values;
        throw new Error("waits");
      };
      try {
        return figuresOverRanks({ ...singleRank, rank, world: own.length, allReduceNumbers }, figures);
      } catch (error) {
        if ((error as Error).message !== "waits") throw error;
        return undefined;
      }
    });
    if (asked.length === 0) return results as Record<string, number>[];
    expect(new Set(asked.map((values) => values.length)).size, "ranks make the same call").toBe(1);
    sums.push(asked[0]!.map((_, i) => asked.reduce((n, values) => n + values[i]!, 0)));
  }
}

test("sums_are_over_ranks_and_maxima_over_those_that_have_one", () => {
  const got = together([
    { "dpo/accuracy": 0.25, ratio_max: -3, é: 1 },
    { ratio_max: -1.5, "dpo/accuracy": 0.125 },
    {},
  ]);
  const all = { "dpo/accuracy": 0.375, ratio_max: -1.5, é: 1 };
  expect(got).toEqual([all, all, all]);
});

test("without_figures_or_other_ranks_nothing_changes", () => {
  expect(together([{}, {}])).toEqual([{}, {}]);
  expect(figuresOverRanks(singleRank, { a: 2 })).toEqual({ a: 2 });
});
