// The memory of a process by the estimate of its stage, by hand.
import { expect, test } from "vitest";
import { processBytes } from "../src/commands/process-memory.ts";

const MIB = 2 ** 20;

test.each([
  // 170 MiB for the program; 8 bytes a weight for the moments of 3 Mi weights that are written.
  ["training", { memory_bytes: 100 * MIB, parameters: 3 * MIB }, { train: {} }, 294],
  ["training_by_steps", { memory_bytes: 100 * MIB, parameters: 3 * MIB }, { steps: 2, adapter: null }, 294],
  ["training_a_large_model", { memory_bytes: 9000 * MIB, parameters: 700 * MIB }, { train: {} }, 9298],
  ["training_adapters", { memory_bytes: 100 * MIB, parameters: 3 * MIB }, { train: {}, adapter: {} }, 270],
  ["sampling", { memory_bytes: 40 * MIB, parameters: 3 * MIB }, { prompts: {} }, 210],
])("a_process_%s", (_, estimate, config, expected) => {
  expect(processBytes(estimate, config)! / MIB).toBe(expected);
});

test("a_stage_that_names_no_memory_has_no_estimate_of_its_process", () => {
  expect(processBytes({ pages: 3 }, { train: {} })).toBeUndefined();
});
