// `nsa generate`, `nsa model`, `nsa tokenizer`.
import { type Command, Option } from "commander";
import { registerAdapters } from "./adapters.ts";
import { numberFrom, wholeFrom, withDevice, withPluginFiles, withRuns } from "./options.ts";

interface ModelOptions {
  plugin: string[];
  base?: string;
  peft?: true;
  dtype?: "fp32" | "bf16";
}

const withDtype = (command: Command) =>
  command.addOption(
    new Option(
      "--dtype <type>",
      "what it computes in; weights that learn stay fp32 in either (default: fp32; GPUs want bf16)",
    ).choices(["fp32", "bf16"]),
  );

function registerModel(program: Command): void {
  const model = program
    .command("model")
    .description(
      "Hugging Face weights both ways; low-rank adapters: merge them, find their base, PEFT's folders",
    );
  withDtype(withPluginFiles(model.command("import <from> <to>")))
    .description(
      "a Llama, Mistral, Qwen2, Qwen3 or Phi-3 folder, or with --base a PEFT folder, becomes a checkpoint",
    )
    .option(
      "--base <checkpoint>",
      "checkpoint of the model that the adapters of a PEFT folder were trained on",
    )
    .action(async (from: string, to: string, options: ModelOptions) => {
      const { loadPluginsOfCheckpoint } = await import("../plugins/load.ts");
      await loadPluginsOfCheckpoint(options.base ?? from, options.plugin);
      await (await import("../commands/model.ts")).importCommand(from, to, options);
    });
  withDtype(withDevice(model.command("init <from> <to>")))
    .description(
      "a checkpoint of random weights in the shape of a Hugging Face folder's config.json, to measure memory and speed before its weights are there",
    )
    .option("--seed <n>", "of the weights", wholeFrom(0), 0)
    .action(async (from: string, to: string, options) => {
      await (await import("../commands/model.ts")).initCommand(from, to, options);
    });
  withPluginFiles(model.command("export <from> <to>"))
    .description(
      "a checkpoint becomes a Hugging Face folder, its adapters merged; with --peft they alone a PEFT folder",
    )
    .option("--peft", "the adapters of the checkpoint alone, as PEFT writes them")
    .option("--base <name>", "with --peft: its base_model_name_or_path; by default the path of the base")
    .action(async (from: string, to: string, options: ModelOptions) => {
      const { loadPluginsOfCheckpoint } = await import("../plugins/load.ts");
      await loadPluginsOfCheckpoint(from, options.plugin);
      await (await import("../commands/model.ts")).exportCommand(from, to, options);
    });
  withPluginFiles(model.command("inspect <from>"))
    .description("architecture and size of either")
    .action(async (from: string, options: ModelOptions) => {
      const { loadPluginsOfCheckpoint } = await import("../plugins/load.ts");
      await loadPluginsOfCheckpoint(from, options.plugin);
      await (await import("../commands/model.ts")).inspectCommand(from);
    });
  registerAdapters(model);
}

export function registerModels(program: Command): void {
  withPluginFiles(withRuns(withDevice(program.command("generate <checkpoint> <prompt>"))))
    .description("continue a text with a checkpoint, or a run's newest one (latest, or its name)")
    .option("-n, --samples <n>", "outputs", wholeFrom(1), 1)
    .option("--max-tokens <n>", "longest output, tokens", wholeFrom(1), 64)
    .option("--temperature <t>", "0 = greedy", numberFrom(0), 1)
    .option("--top-p <p>", "nucleus mass", numberFrom(0), 1)
    .option("--seed <n>", "of sampling", wholeFrom(0), 0)
    .option("--json", "one JSON object per output")
    .action(async (checkpoint: string, prompt: string, options: { runs: string; plugin: string[] }) => {
      const { openedCheckpoint } = await import("../plugins/load.ts");
      const { generate } = await import("../commands/generate.ts");
      await generate(await openedCheckpoint(checkpoint, options), prompt, options as never);
    });

  registerModel(program);

  const tokenizer = program.command("tokenizer").description("byte-level BPE");
  tokenizer
    .command("train <files...>")
    .description("learn a vocabulary and write tokenizer.json")
    .requiredOption("--out <file>", "where to write")
    .option("--vocab-size <n>", "ids", wholeFrom(257), 8192)
    .addOption(
      new Option("--pre-tokenizer <kind>", "digits: every digit is a token")
        .choices(["gpt2", "digits"])
        .default("digits"),
    )
    .action(async (files: string[], options: object) => {
      const { trainTokenizer } = await import("../commands/tokenizer.ts");
      await trainTokenizer(files, options as never);
    });
  tokenizer
    .command("encode <tokenizer> <text>")
    .description("print the ids of a text")
    .action(async (path: string, text: string) => {
      const { encodeText } = await import("../commands/tokenizer.ts");
      await encodeText(path, text);
    });
}
