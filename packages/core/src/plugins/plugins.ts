// Plugins: files whose default export is a definition (or a list of them) with the kind of its registry. The process that loads a file
// registers what it defines, so that a plugin needs nothing of the project but types.
import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { basename, dirname, join, resolve, sep } from "node:path";
import { ExitCode, NsaError } from "../errors.ts";
import { registryOf } from "../registry.ts";
import { loadModule } from "./load-module.ts";

/** The kinds of member that a plugin may define. */
export const PLUGIN_KINDS = [
  "attention",
  "mlp",
  "head",
  "optimizer",
  "advantage",
  "loss",
  "preference_loss",
  "divergence",
  "reward",
  "task",
  "schedule",
  "stage",
  "environment",
] as const;

/** A definition as a plugin exports it: a member of a registry, and the registry's kind. */
export type Plugin<K extends (typeof PLUGIN_KINDS)[number], T> = T & { kind: K };

/** A plugin as checkpoints name it. */
export interface PluginRecord {
  /** Absolute. */
  path: string;
  sha256: string;
  /** What it defines, as `kind name`. */
  members: string[];
}

const loaded = new Map<string, PluginRecord>();

/** The plugins of this process, in the order they were loaded. */
export const loadedPlugins = (): PluginRecord[] => [...loaded.values()];

function refuse(path: string, why: string, fix: string, cause?: unknown, code = "plugin_invalid"): NsaError {
  return new NsaError({ code, what: `plugin ${path}`, why, fix, exitCode: ExitCode.usage, cause });
}

const firstLines = (error: unknown) =>
  (error instanceof Error ? `${error.name}: ${error.message}` : String(error))
    .split("\n")
    .slice(0, 2)
    .join(" ");

/** Definitions of the file's default export. */
async function definitionsOf(path: string): Promise<{ kind: string; name: string }[]> {
  const example = 'write `export default { kind: "loss", name: "mine", … }`, or a list of such';
  let exports: Record<string, unknown>;
  try {
    exports = await loadModule(path);
  } catch (cause) {
    // Errors of the project's own have their say already.
    const why = cause instanceof NsaError ? cause.message : firstLines(cause);
    throw refuse(path, `it cannot be loaded: ${why}`, "correct the file", cause);
  }
  const found = exports?.default;
  if (found === undefined) throw refuse(path, "it has no default export", example);
  const list = Array.isArray(found) ? found : [found];
  if (list.length === 0) throw refuse(path, "its default export is an empty list", example);
  for (const definition of list) {
    if (typeof definition !== "object" || definition === null)
      throw refuse(path, "its default export is not a definition", example);
    const { kind, name } = definition as { kind?: unknown; name?: unknown };
    if (!PLUGIN_KINDS.includes(kind as never))
      throw refuse(
        path,
        `it has a definition of kind ${JSON.stringify(kind)}`,
        `there are ${PLUGIN_KINDS.join(", ")}`,
      );
    if (typeof name !== "string" || name === "") throw refuse(path, `its ${kind} has no name`, example);
  }
  return list as { kind: string; name: string }[];
}

function register(path: string, member: { kind: string; name: string }): void {
  const { kind } = member;
  const registry = registryOf(kind);
  if (registry === undefined) {
    throw new NsaError({
      code: "plugin_kind_unavailable",
      what: `plugin ${path}`,
      why: `nothing here takes a member of kind ${kind} ("${member.name}")`,
      fix: "leave it out of `plugins`",
      exitCode: ExitCode.unavailable,
    });
  }
  try {
    registry.adopt(member);
  } catch (cause) {
    if (!(cause instanceof NsaError)) throw cause;
    throw refuse(path, `${cause.what}: ${cause.why}`, cause.fix, cause, cause.code);
  }
}

const hashOf = (path: string) => createHash("sha256").update(readFileSync(path)).digest("hex");

/**
 * Loads plugins and registers what they define; one that is loaded already is left as it is.
 * Throws NsaError `plugin_missing`, `plugin_invalid`, `registry_*` (exit 2), `plugin_kind_unavailable` (exit 4).
 */
export async function loadPlugins(files: readonly string[]): Promise<void> {
  for (const file of files) {
    const path = resolve(file);
    if (loaded.has(path)) continue;
    if (!existsSync(path)) {
      const fix = "correct `plugins`: paths are taken from the folder of the recipe";
      throw refuse(path, "there is no such file", fix, undefined, "plugin_missing");
    }
    const sha256 = hashOf(path);
    const definitions = await definitionsOf(path);
    for (const definition of definitions) register(path, definition);
    loaded.set(path, { path, sha256, members: definitions.map(({ kind, name }) => `${kind} ${name}`) });
  }
}

/** The plugins that a checkpoint was saved with, by its state.json; none where that cannot be read. */
export function pluginsOfCheckpoint(dir: string): PluginRecord[] {
  try {
    const { plugins } = JSON.parse(readFileSync(join(dir, "state.json"), "utf8")) as {
      plugins?: PluginRecord[];
    };
    return Array.isArray(plugins) ? plugins : [];
  } catch {
    // Whoever opens the checkpoint says what is wrong with it.
    return [];
  }
}

/** Whether this process has what a checkpoint's plugin defined, be its file elsewhere now. */
const isLoaded = ({ path, sha256 }: PluginRecord) =>
  loaded.has(path) || loadedPlugins().some((plugin) => plugin.sha256 === sha256);

/** Of a checkpoint's plugins those that are loaded, or whose file is there, with other bytes than it was saved with. */
export const changedPlugins = (plugins: readonly PluginRecord[]): PluginRecord[] =>
  plugins.filter(({ path, sha256 }) => {
    if (loadedPlugins().some((plugin) => plugin.sha256 === sha256)) return false;
    return (loaded.get(path)?.sha256 ?? (existsSync(path) ? hashOf(path) : sha256)) !== sha256;
  });

/** Whether a file lies in the folder of the run that a checkpoint belongs to, or in the checkpoint itself. */
function comesWith(dir: string, path: string): boolean {
  const checkpoint = resolve(dir);
  const parent = dirname(checkpoint);
  const run = basename(parent) === "checkpoints" ? dirname(parent) : checkpoint;
  return resolve(path).startsWith(`${run}${sep}`);
}

/**
 * Loads the plugins that a checkpoint was saved with, those whose file is not there left out: only what needs their members fails. A
 * file that lies in the run itself is left out, too: a folder from elsewhere must not bring programs that opening it would run.
 * Returns remarks on files that are missing, changed or left out. Throws as {@link loadPlugins}.
 */
export async function loadCheckpointPlugins(dir: string): Promise<string[]> {
  const saved = pluginsOfCheckpoint(dir);
  const wanted = saved.filter((plugin) => !isLoaded(plugin));
  const missing = wanted.filter(({ path }) => !existsSync(path));
  const brought = wanted.filter((plugin) => !missing.includes(plugin) && comesWith(dir, plugin.path));
  const own = wanted.filter((plugin) => !missing.includes(plugin) && !brought.includes(plugin));
  await loadPlugins(own.map(({ path }) => path));
  return [
    ...brought.map(
      ({ path }) =>
        `plugin ${path} lies in the run itself and is not loaded: name it with --plugin if you trust it`,
    ),
    ...missing.map(({ path, members }) => `plugin ${path} of ${dir} is missing (${members.join(", ")})`),
    ...changedPlugins(saved).map(({ path }) => `plugin ${path} is not what ${dir} was saved with`),
  ];
}
