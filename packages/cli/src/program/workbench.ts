// `nsa runs`, `nsa config`, `nsa doctor`.
import { Argument, type Command } from "commander";
import { exitWith, withRuns, withSet } from "./options.ts";

export function registerWorkbench(program: Command): void {
  registerRuns(program);
  registerConfig(program);
  registerMachine(program);
}

function registerRuns(program: Command): void {
  const runs = program.command("runs").description("past runs");
  withRuns(runs.command("ls"))
    .description("list them, oldest first")
    .action(async (options: { runs: string }) => {
      const { listAll } = await import("../commands/runs.ts");
      listAll(options.runs);
    });
  withRuns(runs.command("show <run>"))
    .description("last figures of a run")
    .action(async (run: string, options: { runs: string }) => {
      const { showRun } = await import("../commands/runs.ts");
      showRun(options.runs, run);
    });
  withRuns(runs.command("path <run>"))
    .description("its folder, for scripts; <run> is a name, the beginning of one, or `latest`")
    .option("--stage <stage>", "look at runs of this stage only")
    .option("--checkpoint", "its newest checkpoint instead")
    .action(async (run: string, options: { runs: string; stage?: string; checkpoint?: boolean }) => {
      const { printPath } = await import("../commands/runs.ts");
      printPath(options.runs, run, options);
    });
  withRuns(runs.command("compare <runs...>"))
    .description("settings that differ, and last figures with their differences to the first run")
    .option("--json", "one JSON object")
    .option("--out <file>", "also write an HTML page with the curves over each other")
    .action(async (which: string[], options: { runs: string; json?: boolean; out?: string }) => {
      const { compareRuns } = await import("../commands/compare.ts");
      await compareRuns(options.runs, which, options);
    });
}

function registerConfig(program: Command): void {
  const config = program.command("config").description("recipes");
  config
    .command("explain <kind> [section]")
    .description("every setting with its default and meaning")
    .action(async (stage: string, section?: string) => {
      const { explain } = await import("../commands/config.ts");
      await explain(stage, section ?? "");
    });
  withSet(config.command("print <kind> [file]"))
    .description("the resolved recipe")
    .action(async (stage: string, file: string | undefined, options: { set: string[] }) => {
      const { printConfig } = await import("../commands/config.ts");
      await printConfig(stage, file, options.set);
    });

  config
    .command("schema <kind>")
    .description("JSON Schema of a recipe, for editors")
    .action(async (kind: string) => {
      const { printSchema } = await import("../commands/config.ts");
      await printSchema(kind);
    });
}

function registerMachine(program: Command): void {
  program
    .command("doctor")
    .description("what this machine can do, and a short self-check")
    .option("--json", "one JSON list")
    .action(async (options: { json?: boolean }) => {
      const { doctor } = await import("../commands/doctor.ts");
      await exitWith(doctor(options));
    });

  program
    .command("completion")
    .description("print a completion script, e.g. source <(nsa completion bash)")
    .addArgument(new Argument("<shell>").choices(["bash", "zsh", "fish"]))
    .action(async (shell: "bash" | "zsh" | "fish") => {
      const { completionScript } = await import("../commands/completion.ts");
      process.stdout.write(completionScript(program, shell));
    });
}
