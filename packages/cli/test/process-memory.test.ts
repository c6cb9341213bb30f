// The memory of a process by the estimate of its stage, by hand.
import { expect, test } from "vitest";
import { processBytes } from "../src/commands/process-memory.ts";

const MIB = 2 ** 20;

test.each([
  // 170 MiB for the program; 8 bytes a weight for the moments of 3 Mi weights that are written, at most four pieces of 32 MiB.
  ["training", { memory_bytes: 100 * MIB, parameters: 3 * MIB }, { train: {} }, 294],
  ["training_by_steps", { memory_bytes: 100 * MIB, parameters: 3 * MIB }, { steps: 2, adapter: null }, 294],
  ["training_a_large_model", { memory_bytes: 9000 * MIB, parameters: 700 * MIB }, { train: {} }, 9298],
  [
    "training_adapters",
    { memory_bytes: 100 * MIB, parameters: 3 * MIB },
    { initFrom: "a", train: {}, adapter: {} },
    282,
  ],
  // What it starts from is read as well: 12 MiB.
  [
    "training_from_a_checkpoint",
    { memory_bytes: 100 * MIB, parameters: 3 * MIB },
    { init: {}, steps: 2 },
    306,
  ],
  // 125 MiB for the program, and the larger of what sampling takes and of weights with 12 MiB of a checkpoint's 4 bytes a weight.
  ["sampling", { memory_bytes: 40 * MIB, memory_parameters_bytes: 12 * MIB, parameters: 3 * MIB }, {}, 165],
  ["loading", { memory_bytes: 20 * MIB, memory_parameters_bytes: 12 * MIB, parameters: 3 * MIB }, {}, 149],
  [
    "loading_a_large_model",
    { memory_bytes: 900 * MIB, memory_parameters_bytes: 800 * MIB, parameters: 200 * MIB },
    {},
    1053,
  ],
])("a_process_%s", (_, estimate, config, expected) => {
  expect(processBytes(estimate, config)! / MIB).toBe(expected);
});

test("a_stage_that_names_no_memory_has_no_estimate_of_its_process", () => {
  expect(processBytes({ pages: 3 }, { train: {} })).toBeUndefined();
});
