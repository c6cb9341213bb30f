// The stages as commands (`nsa pretrain`, `nsa grpo`, `nsa eval`, …), `nsa run` and `nsa pipeline run`.
import type { Command } from "commander";
import { STAGE_TABLE } from "../commands/stage-table.ts";
import { collect, exitWith, withDevice, withOutput, withRuns, withSet } from "./options.ts";

interface RunOptions {
  set: string[];
  unsafeExec?: boolean;
}

const profiled = (command: Command) =>
  command
    .option("--profile", "time one step op by op: lines, profile.json and a table in the report")
    .option("--tune", "GPU: time several algorithms for each matmul; written to matmul-plans.json")
    .option("--plans <file>", "GPU: matmuls as in the matmul-plans.json of an earlier run");

const resumed = (command: Command) =>
  withOutput(withRuns(withDevice(withSet(command))))
    .option("--resume <run>", "go on with a run by its own recipe and --set: its name, its path, or `latest`")
    .option("--dry-run", "print what it would cost and stop");

async function start(stage: string, config: string | undefined, options: RunOptions): Promise<void> {
  const { runStage } = await import("../commands/stage.ts");
  if (options.unsafeExec) options.set.push("sandbox.unsafe_exec=true");
  await exitWith(runStage(stage, config, options as never));
}

export function registerStages(program: Command): void {
  for (const [name, { about, command: wanted }] of Object.entries(STAGE_TABLE)) {
    if (!wanted) continue;
    const command = program.command(`${name} [config]`).description(about);
    if (wanted.ranks)
      command.option(
        "--ranks <n>",
        "processes of this machine that share every step; auto: one for each GPU (default 1)",
      );
    if (wanted.programs) {
      command.option(
        "--unsafe-exec",
        "run programs that the model writes with your rights where bubblewrap is absent",
      );
    } else profiled(command);
    resumed(command).action((config: string | undefined, options: RunOptions) =>
      start(name, config, options),
    );
    if (wanted.records) registerFetch(command);
  }

  const any = program
    .command("run <stage> [config]")
    .description("any stage by name: the ones above, those of pipelines, and those of the recipe's plugins");
  resumed(profiled(any)).action(start);

  const run = program
    .command("pipeline")
    .description("several stages, one after another")
    .command("run [config]")
    .description("run all stages; finished ones are not run again")
    .option("--resume <run>", "go on with a pipeline run: its name, its path, or `latest`")
    .option("--dry-run", "check all recipes, print what they would cost and stop")
    .option(
      "--until <stage>",
      "stop after this stage, e.g. to correct the labels that it wrote; --resume continues",
    )
    .option(
      "--set <stage.key=value>",
      "override a setting of a stage, e.g. --set base.train.steps=100",
      collect,
      [],
    );
  withOutput(withRuns(withDevice(run))).action(async (config: string | undefined, options: object) => {
    const { runPipeline } = await import("../commands/pipeline.ts");
    await exitWith(runPipeline(config, options as never));
  });
}

function registerFetch(parent: Command): void {
  parent
    .command("tasks")
    .description("list the built-in tasks")
    .action(async () => {
      const { listTasks } = await import("../commands/eval-fetch.ts");
      listTasks();
    });
  parent
    .command("fetch <task>")
    .description("get a task's records from the Hugging Face hub")
    .option("--data-dir <dir>", "folder of the tasks' records", "data")
    .option("--hub <url>", "address of the hub", "https://huggingface.co")
    .action(async (task: string, options: object) => {
      const { fetchTaskData } = await import("../commands/eval-fetch.ts");
      await fetchTaskData(task, options as never);
    });
}
