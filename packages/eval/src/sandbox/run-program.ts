// Runs a Python program that nobody has read: locked in by bubblewrap, within limits, its output cut.
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Readable, Writable } from "node:stream";
import { ExitCode, NsaError } from "@nsa/core";
import { bubblewrapArguments, bubblewrapState, unprivileged } from "./bubblewrap.ts";
import { defaultLimits, type ProgramLimits, type ProgramOptions, type ProgramResult } from "./limits.ts";

const SIGXCPU = 24;
const SIGKILL = 9;

/** Checks that programs can be run. Throws NsaError `sandbox_missing` (exit 4). */
export function requireSandbox(options: Pick<ProgramOptions, "unsafeExec"> = {}): void {
  const { usable, why } = bubblewrapState();
  if (usable || options.unsafeExec) return;
  throw new NsaError({
    code: "sandbox_missing",
    what: "programs that a model writes cannot be run safely here",
    why,
    fix: "install bubblewrap, or allow unsafe_exec if you trust every program with your account",
    exitCode: ExitCode.unavailable,
  });
}

interface Started {
  command: string;
  args: string[];
  /** Contents for the descriptors from 3 on. */
  inputs: string[];
  user: { uid?: number; gid?: number };
  cwd?: string;
  cleanUp(): void;
}

function lockedIn(code: string, limits: ProgramLimits, files: Readonly<Record<string, string>>): Started {
  const all = { "main.py": code, ...files };
  return {
    command: "bwrap",
    args: bubblewrapArguments(limits, Object.keys(all)),
    inputs: Object.values(all),
    user: unprivileged(),
    cleanUp: () => {},
  };
}

function unlocked(code: string, limits: ProgramLimits, files: Readonly<Record<string, string>>): Started {
  const cwd = mkdtempSync(join(tmpdir(), "nsa-program-"));
  for (const [name, text] of Object.entries({ ...files, "main.py": code }))
    writeFileSync(join(cwd, name), text);
  const shell = `ulimit -t ${limits.cpuSeconds} -v ${limits.memoryMb * 1024}; exec python3 -u -B main.py`;
  const cleanUp = () => rmSync(cwd, { recursive: true, force: true });
  return { command: "/bin/sh", args: ["-c", shell], inputs: [], user: {}, cwd, cleanUp };
}

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
  requireSandbox(options);
  const limits = { ...defaultLimits, ...options.limits };
  const make = bubblewrapState().usable ? lockedIn : unlocked;
  const { command, args, inputs, user, cwd, cleanUp } = make(code, limits, options.files ?? {});
  const started = performance.now();
  return await new Promise<ProgramResult>((resolve) => {
    const stdio = ["ignore", "pipe", "pipe", ...inputs.map(() => "pipe" as const)] as const;
    const child = spawn(command, args, { stdio: [...stdio], detached: true, cwd: cwd ?? "/", ...user });
    let stopped: "timeout" | "output" | undefined;
    const stop = (reason: "timeout" | "output") => {
      stopped ??= reason;
      try {
        if (child.pid) process.kill(-child.pid, "SIGKILL");
      } catch {
        // It has ended by itself.
      }
    };
    const timer = setTimeout(() => stop("timeout"), limits.timeoutMs);
    const [, out, err, ...rest] = child.stdio as unknown as [null, Readable, Readable, ...Writable[]];
    const stdout = gather(out, limits.outputBytes, () => stop("output"));
    const stderr = gather(err, limits.outputBytes, () => stop("output"));
    for (const [i, stream] of rest.entries()) {
      stream.on("error", () => {});
      stream.end(inputs[i]);
    }
    const end = (exit: number | null, signal: string | null, failure?: string) => {
      clearTimeout(timer);
      cleanUp();
      const texts = { stdout: stdout(), stderr: stderr() };
      const ended = describeEnd(exit, signal, stopped, texts.stderr, limits, failure);
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
