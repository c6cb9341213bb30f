// How to start this package's task entry in another Node process, from sources or from a bundle.
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

export interface NodeEntry {
  /** Flags for node. */
  flags: string[];
  path: string;
}

/** The entry `name` beside a module: TypeScript through tsx, or `<name>.mjs` in a bundle. */
export function nodeEntry(moduleUrl: string, name: string): NodeEntry {
  const here = dirname(fileURLToPath(moduleUrl));
  const source = join(here, `${name}.ts`);
  if (!existsSync(source)) return { flags: [], path: join(here, `${name}.mjs`) };
  const tsx = pathToFileURL(createRequire(import.meta.url).resolve("tsx")).href;
  return { flags: ["--conditions=nsa-source", "--import", tsx], path: source };
}

/** The entry of tasks, as a process of its own. */
export const taskEntry = (): NodeEntry => nodeEntry(import.meta.url, "task-main");
