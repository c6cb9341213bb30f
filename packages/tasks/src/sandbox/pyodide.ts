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

/** MiB of a process that has loaded Pyodide and run nothing. */
export const PYODIDE_MB = 192;
/** What it has mapped as writable memory beyond that, MiB. */
const MAPPED_MB = 64;
/** Seconds of the processor for loading Pyodide, at most; only a process that nobody ends any more meets this limit. */
const START_SECONDS = 60;
const PRLIMIT = "/usr/bin/prlimit";

/**
 * The command for one program: no files but Pyodide's, no processes, workers or addons, no code from strings. The writable memory of the
 * process is bounded as a whole, buffers of JavaScript outside its heap included.
 */
export function pyodideCommand(limits: ProgramLimits): string[] {
  const path = entry()!;
  const bytes = (limits.memoryMb + PYODIDE_MB + MAPPED_MB) * 2 ** 20;
  const bounded = existsSync(PRLIMIT)
    ? [PRLIMIT, `--data=${bytes}`, `--cpu=${START_SECONDS + limits.cpuSeconds}`, "--core=0"]
    : [];
  return [
    ...bounded,
    process.execPath,
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
