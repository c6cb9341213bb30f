// The commands of `nsa`: program/ says what each takes, commands/ does it and is loaded only when it runs.
import { Command, type CommanderError } from "commander";
import { threeLines } from "./program/complaint.ts";
import { registerData } from "./program/data.ts";
import { registerModels } from "./program/models.ts";
import { registerRollouts } from "./program/rollouts.ts";
import { registerServing } from "./program/serving.ts";
import { registerSlurm } from "./program/slurm.ts";
import { registerStages } from "./program/stages.ts";
import { registerWorkbench } from "./program/workbench.ts";

/** The whole command line. Sub-commands inherit the exit override, so it comes first. */
export function buildProgram(): Command {
  const program = new Command("nsa")
    .description("Native Sparse Attention, DeepSeekMath and DeepSeek-R1 as commands")
    .version("0.1.0")
    .option("--debug", "print stack traces")
    .configureOutput({ outputError: (text, write) => write(threeLines(text)) })
    .exitOverride((error: CommanderError) => {
      process.exit(error.exitCode === 0 ? 0 : 2);
    });
  for (const register of [
    registerStages,
    registerModels,
    registerData,
    registerRollouts,
    registerWorkbench,
    registerServing,
    registerSlurm,
  ])
    register(program);
  return program;
}
