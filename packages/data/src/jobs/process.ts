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

/** The worker entry beside this module: TypeScript through tsx, or `task-main.mjs` in a bundle. */
export function taskEntry(): NodeEntry {
  const here = dirname(fileURLToPath(import.meta.url));
  const source = join(here, "task-main.ts");
  if (!existsSync(source)) return { flags: [], path: join(here, "task-main.mjs") };
  const tsx = pathToFileURL(createRequire(import.meta.url).resolve("tsx")).href;
  return { flags: ["--conditions=nsa-source", "--import", tsx], path: source };
}
