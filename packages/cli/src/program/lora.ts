// The subcommands of `nsa lora`: merging, bases, and folders of PEFT.
import type { Command } from "commander";
import { withPluginFiles } from "./options.ts";

export function registerLora(program: Command): void {
  const lora = program
    .command("lora")
    .description("checkpoints of low-rank adapters: merge them, find their base, exchange them with PEFT");
  const plugins = async (dir: string, { plugin }: { plugin: string[] }) => {
    const { loadPluginsOfCheckpoint } = await import("../plugins/load.ts");
    await loadPluginsOfCheckpoint(dir, plugin);
  };
  withPluginFiles(lora.command("merge <checkpoint> <to>"))
    .description("add the adapters to the weights of their base: a whole checkpoint")
    .action(async (checkpoint: string, to: string, options: { plugin: string[] }) => {
      await plugins(checkpoint, options);
      await (await import("../commands/lora.ts")).mergeCommand(checkpoint, to);
    });
  withPluginFiles(lora.command("unmerge <whole> <checkpoint> <to>"))
    .description("take the adapters of a checkpoint out of whole weights again, up to rounding")
    .action(async (whole: string, checkpoint: string, to: string, options: { plugin: string[] }) => {
      await plugins(checkpoint, options);
      await (await import("../commands/lora.ts")).unmergeCommand(whole, checkpoint, to);
    });
  withPluginFiles(lora.command("rebase <checkpoint> <base>"))
    .description("say where the base of a checkpoint of adapters lies now; it must have the same weights")
    .action(async (checkpoint: string, base: string, options: { plugin: string[] }) => {
      await plugins(checkpoint, options);
      await (await import("../commands/lora.ts")).rebaseCommand(checkpoint, base);
    });
  withPluginFiles(lora.command("import <folder> <to>"))
    .description("adapters of a PEFT folder become a checkpoint on a base")
    .requiredOption("--base <checkpoint>", "checkpoint of the model that they were trained on")
    .action(async (folder: string, to: string, options: { plugin: string[]; base: string }) => {
      await plugins(options.base, options);
      await (await import("../commands/lora.ts")).importCommand(folder, options.base, to);
    });
  withPluginFiles(lora.command("export <checkpoint> <folder>"))
    .description("the adapters of a checkpoint become a PEFT folder")
    .option("--base <name>", "base_model_name_or_path of the folder; by default the path of the base")
    .action(async (checkpoint: string, folder: string, options: { plugin: string[]; base?: string }) => {
      await plugins(checkpoint, options);
      await (await import("../commands/lora.ts")).exportCommand(checkpoint, folder, options);
    });
}
