// Loads the plugins that a recipe, a checkpoint or the command line names, before anything asks for their members.
import {
  ExitCode,
  findCheckpoint,
  loadCheckpointPlugins,
  loadPlugins,
  NsaError,
  previewConfig,
} from "@nsa/core";
import { checkpointsAmong } from "../commands/recipe-checkpoints.ts";
import { hostPlugins } from "./host.ts";

/** Throws as `loadPlugins`. */
export async function loadPluginFiles(files: readonly string[] = []): Promise<void> {
  hostPlugins();
  await loadPlugins(files);
}

/** Plugins of a checkpoint, after those of `--plugin`; those that are missing or changed are named on stderr. */
export async function loadPluginsOfCheckpoint(dir: string, files: readonly string[] = []): Promise<void> {
  await loadPluginFiles(files);
  for (const remark of await loadCheckpointPlugins(dir)) console.error(`warning: ${remark}`);
}

/** The folder of the checkpoint that a command names, with its plugins loaded. Throws as `findCheckpoint` and `loadPlugins`. */
export async function openedCheckpoint(
  which: string,
  { runs, plugin }: { runs: string; plugin: readonly string[] },
): Promise<string> {
  const dir = findCheckpoint(runs, which);
  await loadPluginsOfCheckpoint(dir, plugin);
  return dir;
}

export interface RecipeUse {
  set?: readonly string[];
  /** The recipe is that of a run which goes on. */
  resumed?: boolean;
  /** Folder of the runs that it may name. */
  runs?: string;
}

/** Plugins of a recipe, and of the checkpoints that it names. Throws NsaError `config_*` (exit 2) and as `loadPlugins`. */
export async function loadPluginsOfRecipe(
  file: string | null,
  { set = [], resumed, runs = "runs" }: RecipeUse = {},
): Promise<void> {
  const { plugins, texts } = previewConfig(file, { set });
  try {
    await loadPluginFiles(plugins);
  } catch (error) {
    if (!resumed || !(error instanceof NsaError) || error.code !== "plugin_missing") throw error;
    const { code, what, why } = error;
    const fix = "put the file back in its place, or name it as it is now: --set plugins=[FILE]";
    throw new NsaError({ code, what, why, fix, exitCode: ExitCode.unavailable, cause: error });
  }
  for (const checkpoint of checkpointsAmong(texts, runs)) await loadPluginsOfCheckpoint(checkpoint);
}

/** Whether plugins were named in this command: then a changed file is what the user wants. */
export const namesPlugins = (set: readonly string[] = []) =>
  set.some((text) => /^([\w-]+\.)?plugins(\.\d+)?=/.test(text));
