// `nsa rollouts` and `nsa replay`: what a GRPO run has recorded.
import { type Command, Option } from "commander";
import { anyNumber, collect, wholeFrom, withDevice, withRuns } from "./options.ts";

export function registerRollouts(program: Command): void {
  withRuns(program.command("rollouts <run>"))
    .description(
      "look through a GRPO run's outputs: each question's side by side, with rewards and advantages",
    )
    .option("--step <n>", "outputs of this step only", wholeFrom(1))
    .option("--question <text>", "questions with this name, or that contain this text")
    .option(
      "--min-reward <x>",
      "questions with an output of at least this reward; with --json these outputs alone",
      anyNumber,
    )
    .option(
      "--max-reward <x>",
      "questions with an output of at most this reward; with --json these outputs alone",
      anyNumber,
    )
    .option("--label", "keys write verdicts and preferences to labels.jsonl in the run's folder")
    .addOption(
      new Option(
        "--labels <kind>",
        "print the labels in force instead, one JSON object each: data of `nsa reward` and `nsa dpo`",
      ).choices(["verdict", "preference"]),
    )
    .option("--json", "one JSON object per output on stdout")
    .action(async (run: string, options: object) => {
      const { showRollouts } = await import("../commands/rollouts.ts");
      await showRollouts(run, options as never);
    });

  withDevice(withRuns(program.command("replay <run>")))
    .description(
      "make a recorded step's update again from disk, equal bit for bit; compare it with another reward",
    )
    .requiredOption("--step <n>", "the step", wholeFrom(1))
    .option(
      "--set-reward <id=number>",
      "another weight of a reward by its label, or another reward of an output by its number; may be repeated",
      collect,
      [],
    )
    .option("--json", "one JSON object on stdout")
    .action(async (run: string, options: object) => {
      const { replayRun } = await import("../commands/replay.ts");
      await replayRun(run, options as never);
    });
}
