// Loads a TypeScript file of a user. Whatever folder it lies in, its imports of the project's packages get the modules that this
// process runs on: a second instance of them would have registries of its own.
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";

type Modules = Readonly<Record<string, unknown>>;

let host: () => Promise<Modules> = async () => ({});

/** Gives the modules, by the names they are imported by, that users' files share with the process. */
export function shareModules(modules: () => Promise<Modules>): void {
  host = modules;
}

/** The exports of a TypeScript or JavaScript file. Throws whatever reading, parsing or running it throws. */
export async function loadModule(file: string): Promise<Record<string, unknown>> {
  const { createJiti } = await import("jiti");
  const path = resolve(file);
  const jiti = createJiti(pathToFileURL(path).href, {
    interopDefault: false,
    virtualModules: await host(),
  });
  return (await jiti.import(path)) as Record<string, unknown>;
}
