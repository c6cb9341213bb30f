// The commands of `nsa`; each loads its code only when it runs, so that --help is instant.
import { Command, type CommanderError } from "commander";

const collect = (value: string, all: string[]) => [...all, value];

function stageCommand(program: Command, name: string, about: string): void {
  program
    .command(`${name} <config>`)
    .description(about)
    .option("--set <key=value>", "override one setting, e.g. --set train.optimizer.lr=3e-4", collect, [])
    .option("--resume <run>", "go on with a run: its name, its path, or `latest`")
    .option("--device <name>", "auto, cpu or cuda", "auto")
    .option("--runs <dir>", "folder of the runs", "runs")
    .option("--dry-run", "print what it would cost and stop")
    .option("--plain", "one line per step, no screen")
    .option("--json", "one JSON object per event")
    .action(async (config: string, options: Record<string, unknown>) => {
      const { runStage } = await import("./commands/stage.ts");
      process.exitCode = await runStage(name, config, options as never);
    });
}

/** Says that a command is not there yet and exits with code 4. */
function absent(program: Command, name: string, about: string): void {
  program
    .command(name)
    .description(`${about} (not in this version)`)
    .allowUnknownOption()
    .argument("[args...]")
    .action(() => {
      console.error(
        `error: nsa ${name}\n  why: it is not built in this version\n  fix: see README.md for what there is`,
      );
      process.exitCode = 4;
    });
}

export function buildProgram(): Command {
  const program = new Command("nsa")
    .description("Native Sparse Attention, DeepSeekMath and DeepSeek-R1 as commands")
    .version("0.1.0")
    .option("--debug", "print stack traces")
    .exitOverride((error: CommanderError) => {
      process.exit(error.exitCode === 0 ? 0 : 2);
    });

  stageCommand(program, "pretrain", "train a transformer on text");
  stageCommand(program, "sft", "teach a checkpoint to answer in the formats of examples");
  stageCommand(program, "grpo", "reinforcement learning with group-relative advantages and rule rewards");

  const pipeline = program.command("pipeline").description("several stages, one after another");
  pipeline
    .command("run <config>")
    .description("run all stages; finished ones are not run again")
    .option("--device <name>", "auto, cpu or cuda", "auto")
    .option("--runs <dir>", "folder of the runs", "runs")
    .option("--resume <run>", "go on with a pipeline run: its name, its path, or `latest`")
    .option("--plain", "one line per step, no screen")
    .option("--json", "one JSON object per event")
    .action(async (config: string, options: Record<string, unknown>) => {
      const { runPipeline } = await import("./commands/pipeline.ts");
      process.exitCode = await runPipeline(config, options as never);
    });

  program
    .command("generate <checkpoint> <prompt>")
    .description("continue a text with a checkpoint")
    .option("-n, --samples <n>", "outputs", "1")
    .option("--max-tokens <n>", "longest output, tokens", "64")
    .option("--temperature <t>", "0 = greedy", "1")
    .option("--top-p <p>", "nucleus mass", "1")
    .option("--seed <n>", "of sampling", "0")
    .option("--device <name>", "auto, cpu or cuda", "auto")
    .option("--json", "one JSON object per output")
    .action(async (checkpoint: string, prompt: string, options: Record<string, unknown>) => {
      const { generate } = await import("./commands/generate.ts");
      await generate(checkpoint, prompt, options as never);
    });

  const tokenizer = program.command("tokenizer").description("byte-level BPE");
  tokenizer
    .command("train <files...>")
    .description("learn a vocabulary and write tokenizer.json")
    .requiredOption("--out <file>", "where to write")
    .option("--vocab-size <n>", "ids", "8192")
    .option("--pre-tokenizer <kind>", "gpt2 or digits", "digits")
    .action(async (files: string[], options: Record<string, unknown>) => {
      const { trainTokenizer } = await import("./commands/tokenizer.ts");
      await trainTokenizer(files, options as never);
    });
  tokenizer
    .command("encode <tokenizer> <text>")
    .description("print the ids of a text")
    .action(async (path: string, text: string) => {
      const { encodeText } = await import("./commands/tokenizer.ts");
      await encodeText(path, text);
    });

  const data = program.command("data").description("the DeepSeekMath corpus loop");
  data
    .command("build <config>")
    .description("read, filter, deduplicate, rank, discover domains, in rounds")
    .option("--set <key=value>", "override one setting", collect, [])
    .action(async (config: string, options: Record<string, unknown>) => {
      const { buildData } = await import("./commands/data.ts");
      process.exitCode = await buildData(config, options as never);
    });

  const runs = program.command("runs").description("past runs");
  runs
    .command("ls")
    .description("list them, oldest first")
    .option("--runs <dir>", "folder of the runs", "runs")
    .action(async (options: { runs: string }) => {
      const { listAll } = await import("./commands/runs.ts");
      listAll(options.runs);
    });
  runs
    .command("show <run>")
    .description("last figures of a run")
    .option("--runs <dir>", "folder of the runs", "runs")
    .action(async (run: string, options: { runs: string }) => {
      const { showRun } = await import("./commands/runs.ts");
      showRun(options.runs, run);
    });

  const config = program.command("config").description("recipes");
  config
    .command("explain <stage> [section]")
    .description("every setting with its default and meaning")
    .action(async (stage: string, section?: string) => {
      const { explain } = await import("./commands/config.ts");
      await explain(stage, section ?? "");
    });
  config
    .command("print <stage> [file]")
    .description("the resolved recipe")
    .option("--set <key=value>", "override one setting", collect, [])
    .action(async (stage: string, file: string | undefined, options: { set: string[] }) => {
      const { printConfig } = await import("./commands/config.ts");
      await printConfig(stage, file, options.set);
    });

  program
    .command("doctor")
    .description("what this machine can do, and a short self-check")
    .action(async () => {
      const { doctor } = await import("./commands/doctor.ts");
      process.exitCode = await doctor();
    });

  const model = program.command("model").description("import and export Hugging Face weights");
  for (const [verb, usage, about] of [
    ["import", "import <from> <to>", "a Llama, Qwen2 or Qwen3 folder becomes a checkpoint"],
    ["export", "export <from> <to>", "a checkpoint becomes a Hugging Face folder"],
    ["inspect", "inspect <from>", "architecture and size of either"],
  ] as const) {
    model
      .command(usage)
      .description(about)
      .action(async (from: string, to: string | undefined) => {
        const { modelCommand } = await import("./commands/model.ts");
        await modelCommand(verb, from, verb === "inspect" ? undefined : to);
      });
  }

  absent(program, "eval", "benchmarks of a checkpoint");
  absent(program, "serve", "an OpenAI-compatible server");
  absent(program, "chat", "talk to a checkpoint");
  return program;
}
