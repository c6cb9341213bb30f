// The command that a stopped run names: with the run, and what a resume needs again.
import { expect, test } from "vitest";
import { commandOfStage, resumeCommand } from "../src/commands/resume-command.ts";

test("the_command_names_the_run_and_the_options_that_are_not_the_defaults", () => {
  const dir = "/x/runs/grpo-sums-20260101-000000";
  expect(resumeCommand(commandOfStage("grpo"), dir, { runs: "runs", device: "auto" })).toBe(
    "nsa grpo --resume grpo-sums-20260101-000000",
  );
  expect(resumeCommand("pipeline run", dir, { runs: "my runs", device: "cuda", ranks: "2" })).toBe(
    "nsa pipeline run --resume grpo-sums-20260101-000000 --runs 'my runs' --device cuda --ranks 2",
  );
  expect(commandOfStage("tokenize")).toBe("run tokenize");
  expect(commandOfStage("of_a_plugin")).toBe("run of_a_plugin");
});
