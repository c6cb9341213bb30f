// The portable sandbox: Python compiled to WebAssembly, in a Node process that can read Pyodide's own files and nothing
// else. Weaker than bubblewrap (one runtime's bug away from the account) and with the standard library only.
import { existsSync, realpathSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import type { ProgramLimits } from "./limits.ts";

const child = join(import.meta.dirname, "pyodide-child.mjs");

/** Pyodide's entry, or undefined where it is not installed. */
function entry(): string | undefined {
  try {
    const path = createRequire(import.meta.url).resolve("pyodide/pyodide.mjs");
    return existsSync(child) ? realpathSync(path) : undefined;
  } catch {
    return undefined;
  }
}

export function pyodideState(): { usable: boolean; why: string } {
  return entry() ? { usable: true, why: "" } : { usable: false, why: "pyodide is not installed" };
}

/** Node's name for its permission model changed in version 23. */
const permission = () =>
  process.allowedNodeEnvironmentFlags.has("--permission") ? "--permission" : "--experimental-permission";

/** Arguments of node for one program: no files but Pyodide's, no processes, workers or addons, no code from strings. */
export function pyodideArguments(limits: ProgramLimits): string[] {
  const path = entry()!;
  return [
    "--no-warnings",
    permission(),
    `--allow-fs-read=${dirname(path)}/`,
    `--allow-fs-read=${realpathSync(child)}`,
    "--disallow-code-generation-from-strings",
    `--max-old-space-size=${Math.max(64, limits.memoryMb)}`,
    child,
    path,
  ];
}

/** Added where a program wants a module that the standard library lacks. */
export const STANDARD_LIBRARY_ONLY =
  "the portable sandbox (pyodide) has Python's standard library only; install bubblewrap to use this machine's Python packages such as sympy";
