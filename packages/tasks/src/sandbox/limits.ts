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
  /** Wall-clock time of one call of a program that is judged by tests, milliseconds. */
  callMs: number;
  /** Bytes of all its answers to calls. */
  answerBytes: number;
}

export const defaultLimits: ProgramLimits = {
  timeoutMs: 5000,
  cpuSeconds: 4,
  memoryMb: 512,
  processes: 16,
  outputBytes: 65_536,
  callMs: 4000,
  answerBytes: 16 * 2 ** 20,
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
  /** What the program reads from stdin; nothing where it is absent. */
  stdin?: string;
  /** Runs programs with this user's rights when there is no bubblewrap: only for code that is trusted. */
  unsafeExec?: boolean;
}
