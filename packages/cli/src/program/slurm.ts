// `nsa slurm`: stages as jobs of a cluster.
import type { Command } from "commander";
import { collect, exitWith, wholeFrom, withRuns, withSet } from "./options.ts";

export function registerSlurm(program: Command): void {
  const submit = program
    .command("slurm")
    .description("stages as jobs of a Slurm cluster")
    .command("submit <stage> [config]")
    .description(
      "submit a stage as a job, which saves before its time limit or when preempted, is queued again and resumes",
    )
    .option("--nodes <n>", "machines; one so far", wholeFrom(1), 1)
    .option("--gpus <n>", "GPUs; 0 computes on the CPU, one so far", wholeFrom(0), 0)
    .option(
      "--ranks <n>",
      "processes of the machine that share every step; auto: one for each GPU (default 1)",
    )
    .option("--flag <flag>", "a flag for sbatch, e.g. --flag=--partition=gpu; may be repeated", collect, []);
  withRuns(withSet(submit)).action(async (stage: string, config: string | undefined, options: object) => {
    const { submitStage } = await import("../commands/slurm.ts");
    await exitWith(submitStage(stage, config, options as never));
  });
}
