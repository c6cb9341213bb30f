// The subcommands of `nsa model` for checkpoints of adapters: merging, and where their base lies.
import type { Command } from "commander";
import { withPluginFiles } from "./options.ts";

export function registerAdapters(model: Command): void {
  const plugins = async (dir: string, { plugin }: { plugin: string[] }) => {
    const { loadPluginsOfCheckpoint } = await import("../plugins/load.ts");
    await loadPluginsOfCheckpoint(dir, plugin);
  };
  withPluginFiles(model.command("merge <checkpoint> <to>"))
    .description("add the adapters to the weights of their base: a whole checkpoint")
    .action(async (checkpoint: string, to: string, options: { plugin: string[] }) => {
      await plugins(checkpoint, options);
      await (await import("../commands/adapters.ts")).mergeCommand(checkpoint, to);
    });
  withPluginFiles(model.command("unmerge <whole> <checkpoint> <to>"))
    .description("take the adapters of a checkpoint out of whole weights again, up to rounding")
    .action(async (whole: string, checkpoint: string, to: string, options: { plugin: string[] }) => {
      await plugins(checkpoint, options);
      await (await import("../commands/adapters.ts")).unmergeCommand(whole, checkpoint, to);
    });
  withPluginFiles(model.command("rebase <checkpoint> <base>"))
    .description("note where the base of a checkpoint of adapters lies now; it must have the same weights")
    .action(async (checkpoint: string, base: string, options: { plugin: string[] }) => {
      await plugins(checkpoint, options);
      await (await import("../commands/adapters.ts")).rebaseCommand(checkpoint, base);
    });
}
