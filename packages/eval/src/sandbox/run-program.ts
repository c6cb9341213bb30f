// Runs a Python program that nobody has read: locked in by bubblewrap or Pyodide, within limits, its output cut.
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Readable, Writable } from "node:stream";
import { ExitCode, NsaError } from "@nsa/core";
import { bubblewrapArguments, bubblewrapState, unprivileged } from "./bubblewrap.ts";
import {
  defaultLimits,
  type ProgramLimits,
  type ProgramOptions,
  type ProgramResult,
  type SandboxBackend,
} from "./limits.ts";
import { pyodideArguments, pyodideState, STANDARD_LIBRARY_ONLY } from "./pyodide.ts";

const SIGXCPU = 24;
const SIGKILL = 9;
/** Pyodide takes about a second and a half to load; a busy machine many times that. */
const PYODIDE_START_MS = 60_000;

/**
 * How programs will be run: bubblewrap where it works, else without a sandbox if that was allowed, else Pyodide.
 * Throws NsaError `sandbox_missing` (exit 4) when none of these can be.
 */
export function requireSandbox(
  options: Pick<ProgramOptions, "unsafeExec" | "backend"> = {},
): Exclude<SandboxBackend, "auto"> | "none" {
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

interface Started {
  command: string;
  args: string[];
  stdin?: string;
  /** Contents for the descriptors from 3 on. */
  inputs: string[];
  /** The program starts when something comes from descriptor 3; until then this much time is added. */
  startMs?: number;
  user: { uid?: number; gid?: number };
  env?: Record<string, string>;
  cwd?: string;
  cleanUp(): void;
}

type Files = Readonly<Record<string, string>>;

function lockedIn(limits: ProgramLimits, files: Files): Started {
  return {
    command: "bwrap",
    args: bubblewrapArguments(limits, Object.keys(files)),
    inputs: Object.values(files),
    user: unprivileged(),
    cleanUp: () => {},
  };
}

function inPyodide(limits: ProgramLimits, files: Files): Started {
  return {
    command: process.execPath,
    args: pyodideArguments(limits),
    stdin: JSON.stringify({ files, memoryMb: limits.memoryMb }),
    inputs: [],
    startMs: PYODIDE_START_MS,
    user: {},
    env: {},
    cleanUp: () => {},
  };
}

function unlocked(limits: ProgramLimits, files: Files): Started {
  const cwd = mkdtempSync(join(tmpdir(), "nsa-program-"));
  for (const [name, text] of Object.entries(files)) writeFileSync(join(cwd, name), text);
  const shell = `ulimit -t ${limits.cpuSeconds} -v ${limits.memoryMb * 1024}; exec python3 -u -B main.py`;
  const cleanUp = () => rmSync(cwd, { recursive: true, force: true });
  return { command: "/bin/sh", args: ["-c", shell], inputs: [], user: {}, cwd, cleanUp };
}

const ways = { bubblewrap: lockedIn, pyodide: inPyodide, none: unlocked };

/** Text of a stream up to a limit; `full` is called once beyond it. */
function gather(stream: Readable, limit: number, full: () => void): () => string {
  const chunks: Buffer[] = [];
  let size = 0;
  stream.on("data", (chunk: Buffer) => {
    if (size < limit) chunks.push(chunk.subarray(0, limit - size));
    size += chunk.length;
    if (size > limit) full();
  });
  stream.on("error", () => {});
  return () => Buffer.concat(chunks).toString("utf8");
}

/**
 * Runs Python code and returns what it wrote and how it ended; a program never makes this throw.
 * Throws NsaError `sandbox_missing` (exit 4) where programs cannot be locked in and `unsafeExec` is not set.
 */
export async function runProgram(code: string, options: ProgramOptions = {}): Promise<ProgramResult> {
  const way = requireSandbox(options);
  const limits = { ...defaultLimits, ...options.limits };
  const start = ways[way](limits, { ...options.files, "main.py": code });
  const { command, args, stdin, inputs, startMs, user, env, cwd, cleanUp } = start;
  const started = performance.now();
  return await new Promise<ProgramResult>((resolve) => {
    const extra = startMs === undefined ? inputs.map(() => "pipe" as const) : (["pipe"] as const);
    const child = spawn(command, args, {
      stdio: [stdin === undefined ? "ignore" : "pipe", "pipe", "pipe", ...extra],
      detached: true,
      cwd: cwd ?? "/",
      ...(env ? { env } : {}),
      ...user,
    });
    let stopped: "timeout" | "output" | undefined;
    const stop = (reason: "timeout" | "output") => {
      stopped ??= reason;
      try {
        if (child.pid) process.kill(-child.pid, "SIGKILL");
      } catch {
        // It has ended by itself.
      }
    };
    let timer = setTimeout(() => stop("timeout"), limits.timeoutMs + (startMs ?? 0));
    const streams = child.stdio as unknown as [
      Writable | null,
      Readable,
      Readable,
      ...(Writable & Readable)[],
    ];
    const [input, out, err, ...rest] = streams;
    const stdout = gather(out, limits.outputBytes, () => stop("output"));
    const stderr = gather(err, limits.outputBytes, () => stop("output"));
    input?.on("error", () => {});
    input?.end(stdin);
    for (const [i, stream] of rest.entries()) {
      stream.on("error", () => {});
      if (startMs === undefined) stream.end(inputs[i]);
    }
    if (startMs !== undefined) {
      rest[0]?.once("data", () => {
        clearTimeout(timer);
        timer = setTimeout(() => stop("timeout"), Math.min(limits.timeoutMs, 1000 * limits.cpuSeconds));
      });
    }
    const end = (exit: number | null, signal: string | null, failure?: string) => {
      clearTimeout(timer);
      cleanUp();
      const texts = { stdout: stdout(), stderr: stderr() };
      const ended = describeEnd(exit, signal, stopped, texts.stderr, limits, failure);
      if (way === "pyodide" && ended.why.startsWith("ModuleNotFoundError"))
        ended.why += `: ${STANDARD_LIBRARY_ONLY}`;
      resolve({ ...texts, ...ended, milliseconds: performance.now() - started });
    };
    child.on("error", (error) => end(null, null, error.message));
    child.on("close", (exit, signal) => end(exit, signal));
  });
}

function describeEnd(
  exit: number | null,
  signal: string | null,
  stopped: "timeout" | "output" | undefined,
  stderr: string,
  limits: ProgramLimits,
  failure?: string,
): Pick<ProgramResult, "status" | "why"> {
  if (failure) return { status: "error", why: failure };
  if (stopped === "timeout") return { status: "timeout", why: `stopped after ${limits.timeoutMs} ms` };
  if (stopped === "output")
    return { status: "output", why: `it wrote more than ${limits.outputBytes} bytes` };
  if (exit === 0) return { status: "ok", why: "it ended" };
  const cpu = exit === 128 + SIGXCPU || exit === 128 + SIGKILL || signal === "SIGXCPU";
  if (cpu) return { status: "timeout", why: `it used more than ${limits.cpuSeconds} s of the processor` };
  const last = stderr.trim().split("\n").at(-1) ?? "";
  if (/MemoryError|Cannot allocate memory/.test(stderr)) return { status: "memory", why: last };
  return { status: "error", why: last || `exit code ${exit}` };
}
