// Runs a Python program that nobody has read: locked in by bubblewrap or Pyodide, within limits, its output cut.
import { ExitCode, NsaError } from "@nsa/core";
import { bubblewrapState } from "./bubblewrap.ts";
import { defaultLimits, type ProgramLimits, type ProgramOptions, type ProgramResult } from "./limits.ts";
import { startProcess, type Way } from "./process.ts";
import { pyodideState } from "./pyodide.ts";

/**
 * How programs will be run: bubblewrap where it works, else without a sandbox if that was allowed, else Pyodide.
 * Throws NsaError `sandbox_missing` (exit 4) when none of these can be.
 */
export function requireSandbox(options: Pick<ProgramOptions, "unsafeExec" | "backend"> = {}): Way {
  const { backend = "auto", unsafeExec } = options;
  const states = { bubblewrap: bubblewrapState(), pyodide: pyodideState() };
  if (backend !== "pyodide" && states.bubblewrap.usable) return "bubblewrap";
  if (backend !== "pyodide" && unsafeExec) return "none";
  if (backend !== "bubblewrap" && states.pyodide.usable) return "pyodide";
  const tried = backend === "auto" ? (["bubblewrap", "pyodide"] as const) : [backend];
  throw new NsaError({
    code: "sandbox_missing",
    what: "programs that a model writes cannot be run safely here",
    why: tried.map((name) => states[name].why).join("; "),
    fix: "install bubblewrap or pyodide, or allow --unsafe-exec if you trust every program with your account",
    exitCode: ExitCode.unavailable,
  });
}

/** Time from the program's beginning: no limit of the processor reaches into Pyodide, so the clock stands in for it. */
export function timeOf(way: Way, limits: ProgramLimits): number {
  return way === "pyodide" ? Math.min(limits.timeoutMs, 1000 * limits.cpuSeconds) : limits.timeoutMs;
}

/**
 * Runs Python code and returns what it wrote and how it ended; a program never makes this throw.
 * Throws NsaError `sandbox_missing` (exit 4) where programs cannot be locked in and `unsafeExec` is not set.
 */
export async function runProgram(code: string, options: ProgramOptions = {}): Promise<ProgramResult> {
  const way = requireSandbox(options);
  const limits = { ...defaultLimits, ...options.limits };
  const work = { files: { ...options.files, "main.py": code }, stdin: options.stdin };
  const running = startProcess(way, limits, work);
  void running.begun.then(() => running.limit(timeOf(way, limits)));
  return await running.result;
}
