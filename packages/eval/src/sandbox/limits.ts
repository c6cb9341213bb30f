// What a program that a model wrote may use, and what came of it.

export interface ProgramLimits {
  /** Wall-clock time, milliseconds. */
  timeoutMs: number;
  /** Time of the processor, seconds. */
  cpuSeconds: number;
  /** Address space of each process, MiB; the folder for files has as much again. Pyodide's heap needs 64. */
  memoryMb: number;
  /** Processes and threads at once. */
  processes: number;
  /** Bytes of stdout and of stderr; a program that writes more is stopped. */
  outputBytes: number;
}

export const defaultLimits: ProgramLimits = {
  timeoutMs: 5000,
  cpuSeconds: 4,
  memoryMb: 512,
  processes: 16,
  outputBytes: 65_536,
};

export type ProgramStatus = "ok" | "error" | "timeout" | "memory" | "output";

export interface ProgramResult {
  status: ProgramStatus;
  stdout: string;
  stderr: string;
  /** One line on how it ended. */
  why: string;
  milliseconds: number;
}

/** `auto`: bubblewrap where it works, else Pyodide. */
export type SandboxBackend = "auto" | "bubblewrap" | "pyodide";

/** How programs are run on this machine. */
export interface ProgramOptions {
  backend?: SandboxBackend;
  limits?: Partial<ProgramLimits>;
  /** More files, by name, beside the program. */
  files?: Readonly<Record<string, string>>;
  /** Runs programs with this user's rights when there is no bubblewrap: only for code that is trusted. */
  unsafeExec?: boolean;
}
