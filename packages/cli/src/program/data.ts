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
}
