// Checkpoints that a recipe names as commands do: `latest`, a run by its name or folder; they become the checkpoint's path when a run starts.
import { existsSync } from "node:fs";
import { join } from "node:path";
import { CHECKPOINT_KEYS, findCheckpoint, NsaError, snakeCase } from "@nsa/core";

/** Words with a meaning of their own under these keys. */
const WORDS = new Set(["", "policy", "init"]);

/** The folder of a checkpoint by what names it; as it is where it is a folder of files already, or names no run. */
export function namedCheckpoint(runs: string, which: string): string {
  try {
    return findCheckpoint(runs, which);
  } catch (error) {
    // A folder that is not there is reported by the stage that would read it.
    const unknown = error instanceof NsaError && error.code === "run_not_found" && which !== "latest";
    if (!unknown) throw error;
    return which;
  }
}

/**
 * The config with its checkpoints found. Throws NsaError `run_not_found`, `checkpoint_missing` (exit 3) for `latest` and for runs without
 * a checkpoint.
 */
export function findCheckpointsIn<T>(config: T, runs: string): T {
  const visit = (value: unknown, key: string): unknown => {
    if (typeof value === "string")
      return CHECKPOINT_KEYS.has(snakeCase(key)) && !WORDS.has(value) ? namedCheckpoint(runs, value) : value;
    if (Array.isArray(value)) return value.map((item) => visit(item, key));
    if (typeof value !== "object" || value === null) return value;
    return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, visit(item, name)]));
  };
  return visit(config, "") as T;
}

/** Checkpoints among the texts of a recipe: folders, and what names a run. */
export function checkpointsAmong(texts: readonly string[], runs: string): string[] {
  return [...new Set(texts)].flatMap((text) => {
    if (text === "") return [];
    if (existsSync(join(text, "state.json"))) return [text];
    const names = text === "latest" || /-\d{8}-\d{6}/.test(text) || existsSync(join(text, "config.yaml"));
    if (!names) return [];
    try {
      const found = findCheckpoint(runs, text);
      return existsSync(join(found, "state.json")) ? [found] : [];
    } catch (error) {
      if (error instanceof NsaError) return [];
      throw error;
    }
  });
}
