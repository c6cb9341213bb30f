// Each reader of foreign files under inputs by grammar and by mutation, a few seconds each: `pnpm fuzz` at smoke size.
import { expect, test } from "vitest";
import { fuzz } from "../bench/fuzz.ts";
import { fuzzTargets } from "../bench/support/fuzz/targets.ts";

const SEED = 20261130;

test("there_are_eleven_targets", () => {
  expect(Object.keys(fuzzTargets)).toHaveLength(11);
});

test.each(Object.keys(fuzzTargets))(
  "no_input_of_%s_ends_in_a_raw_error_or_without_an_end",
  async (target) => {
    const tally = await fuzz(target, { seconds: 5, seed: SEED });
    // How long an input took depends on the machine and its load: the command judges it, no test.
    expect(tally.faults.filter((fault) => !/ ms of the processor$/.test(fault))).toEqual([]);
    expect(tally.inputs).toBeGreaterThan(1);
  },
  180_000,
);
