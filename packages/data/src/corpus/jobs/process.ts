// How to start this package's task entry in another Node process, from sources or from a bundle.
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { type ResourceLimits, Worker } from "node:worker_threads";

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

/** A thread of an entry. It takes no loader from its flags, so TypeScript is made readable inside it. */
export function startThread(
  { path, flags }: NodeEntry,
  workerData: unknown,
  resourceLimits?: ResourceLimits,
): Worker {
  if (flags.length === 0) return new Worker(path, { workerData, resourceLimits });
  // Its exports give require() another file, which does not work in a thread.
  const tsx = new URL("esm/api/index.mjs", pathToFileURL(createRequire(import.meta.url).resolve("tsx"))).href;
  const code = `import(${JSON.stringify(tsx)}).then(({ register }) => {
    register();
    return import(${JSON.stringify(pathToFileURL(path).href)});
  });`;
  const execArgv = ["--conditions=nsa-source"];
  return new Worker(code, { eval: true, workerData, execArgv, resourceLimits });
}

/** The entry of tasks, as a process of its own. */
export const taskEntry = (): NodeEntry => nodeEntry(import.meta.url, "task-main");
