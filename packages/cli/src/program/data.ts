// `nsa data`: the corpus loop on the command line.
import type { Command } from "commander";
import { exitWith, withSet } from "./options.ts";

export function registerData(program: Command): void {
  const data = program.command("data").description("the DeepSeekMath corpus loop");
  withSet(data.command("build <config>"))
    .description("read, filter, deduplicate, rank, discover domains, in rounds")
    .option("--json", "the whole report as one JSON object")
    .action(async (config: string, options: object) => {
      const { buildData } = await import("../commands/data.ts");
      await exitWith(buildData(config, options as never));
    });

  data
    .command("tokenize <files...>")
    .description("write token shards; a rerun makes only what is missing")
    .requiredOption("--tokenizer <path>", "tokenizer.json, or a folder that holds one")
    .requiredOption("--out <dir>", "folder of the shards")
    .option("--json", "the index as one JSON object")
    .action(async (files: string[], options: object) => {
      const { tokenizeData } = await import("../commands/data-files.ts");
      await tokenizeData(files, options as never);
    });

  data
    .command("stats <files...>")
    .description("documents, refusals, lengths and domains of files, as JSON")
    .action(async (files: string[]) => {
      const { showStats } = await import("../commands/data-files.ts");
      await showStats(files);
    });
}
