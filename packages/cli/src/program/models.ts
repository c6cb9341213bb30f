// `nsa generate`, `nsa model`, `nsa tokenizer`.
import { type Command, Option } from "commander";
import { numberFrom, wholeFrom, withDevice, withPluginFiles, withRuns } from "./options.ts";

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

  const model = program.command("model").description("import and export Hugging Face weights");
  for (const [verb, usage, about] of [
    ["import", "import <from> <to>", "a Llama, Mistral, Qwen2 or Qwen3 folder becomes a checkpoint"],
    ["export", "export <from> <to>", "a checkpoint becomes a Hugging Face folder"],
    ["inspect", "inspect <from>", "architecture and size of either"],
  ] as const) {
    withPluginFiles(model.command(usage))
      .description(about)
      .action(async function (this: Command, from: string, to?: string) {
        const { loadPluginsOfCheckpoint } = await import("../plugins/load.ts");
        await loadPluginsOfCheckpoint(from, this.opts<{ plugin: string[] }>().plugin);
        const { modelCommand } = await import("../commands/model.ts");
        await modelCommand(verb, from, verb === "inspect" ? undefined : to);
      });
  }

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
