// Each reader of foreign files under inputs by grammar and by mutation, a few seconds each: `pnpm fuzz` at smoke size; and with a check left out
// of the reader, which must be found.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { NsaError } from "@nsa/core";
import { expect, test } from "vitest";
import { fuzz } from "../bench/fuzz.ts";
import { inputOf } from "../bench/support/fuzz/inputs.ts";
import { fuzzTargets } from "../bench/support/fuzz/targets.ts";

const SEED = 20261130;

test("there_are_eleven_targets", () => {
  expect(Object.keys(fuzzTargets)).toHaveLength(11);
});

test.each(Object.keys(fuzzTargets))("some_inputs_of_%s_are_read_to_their_end", async (name) => {
  const { build, read } = fuzzTargets[name]!;
  const folder = mkdtempSync(join(tmpdir(), "nsa-fuzz-test-"));
  let sound = 0;
  // Refused inputs reach only what comes before the refusal.
  for (let n = 0; n < 200 && sound < 3; n += 2) {
    try {
      await read(inputOf(build, SEED, n), folder);
      sound++;
    } catch (error) {
      expect(error).toBeInstanceOf(NsaError);
    }
  }
  rmSync(folder, { recursive: true, force: true });
  expect(sound).toBe(3);
});

test.each(Object.keys(fuzzTargets))(
  "a_check_left_out_of_the_reader_of_%s_is_found",
  async (target) => {
    const { inputs, faults } = await fuzz(target, { seconds: 60, seed: SEED, planted: true });
    expect([inputs > 0, faults]).toEqual([true, [expect.stringMatching(/raw error|has no end|processor/)]]);
  },
  240_000,
);

test.each(Object.keys(fuzzTargets))(
  "no_input_of_%s_ends_in_a_raw_error_or_without_an_end",
  async (target) => {
    const tally = await fuzz(target, { seconds: 2, seed: SEED });
    // How long an input took depends on the machine and its load: the command judges it, no test.
    expect(tally.faults.filter((fault) => !/ ms of the processor$/.test(fault))).toEqual([]);
    expect(tally.inputs).toBeGreaterThan(1);
  },
  180_000,
);
