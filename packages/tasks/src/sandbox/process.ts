// Starts one process of the sandbox and follows it to its end: limits of time and output, what it wrote, how it ended.
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Duplex, Readable, Writable } from "node:stream";
import { bubblewrapArguments, bubblewrapPath, unprivileged } from "./bubblewrap.ts";
import type { ProgramLimits, ProgramResult } from "./limits.ts";
import { pyodideArguments, STANDARD_LIBRARY_ONLY } from "./pyodide.ts";

const SIGXCPU = 24;
const SIGKILL = 9;
/** Pyodide takes about a second and a half to load; a busy machine many times that. */
const PYODIDE_START_MS = 60_000;

export type Way = "bubblewrap" | "pyodide" | "none";
type Files = Readonly<Record<string, string>>;

/** A file of this folder; in a bundle they lie beside the code, too. */
export const script = (name: string) => readFileSync(join(import.meta.dirname, name), "utf8");

/** What is to be run: `main.py` among the files. */
export interface Work {
  files: Files;
  stdin?: string;
  /** It talks over one more descriptor, whose place `main.py` is given as CHANNEL. */
  main?: (place: string, folder: string) => string;
}

interface Started {
  command: string;
  args: string[];
  stdin?: string;
  /** Contents for the descriptors from 3 on. */
  inputs: string[];
  /** The program starts when something comes from descriptor 3; until then it has this much time. */
  startMs?: number;
  user: { uid?: number; gid?: number };
  /** All of its environment: that of this process holds keys, and bwrap's own can be read from inside. */
  env: Record<string, string>;
  cwd?: string;
  cleanUp(): void;
}

/** The files, `main.py` made for the place of its channel where it has one. */
function filesOf({ files, main }: Work, place: string, folder: string): Files {
  return main ? { ...files, "main.py": main(place, folder) } : files;
}

function lockedIn(limits: ProgramLimits, work: Work): Started {
  const count = Object.keys(work.files).length + (work.main ? 1 : 0);
  const files = filesOf(work, String(3 + count), "/program/");
  return {
    command: bubblewrapPath()!,
    args: bubblewrapArguments(limits, Object.keys(files), work.main ? [] : ["-c", script("start.py")]),
    stdin: work.stdin,
    inputs: Object.values(files),
    user: unprivileged(),
    env: {},
    cleanUp: () => {},
  };
}

function inPyodide(limits: ProgramLimits, work: Work): Started {
  const files = filesOf(work, JSON.stringify("/dev/channel"), "/program/");
  const channel = work.main !== undefined;
  return {
    command: process.execPath,
    args: pyodideArguments(limits),
    stdin: JSON.stringify({ files, memoryMb: limits.memoryMb, stdin: work.stdin ?? null, channel }),
    inputs: [],
    startMs: PYODIDE_START_MS,
    user: {},
    env: {},
    cleanUp: () => {},
  };
}

function unlocked(limits: ProgramLimits, work: Work): Started {
  const cwd = mkdtempSync(join(tmpdir(), "nsa-program-"));
  const files = filesOf(work, "3", "");
  for (const [name, text] of Object.entries(files)) writeFileSync(join(cwd, name), text);
  const shell = `ulimit -t ${limits.cpuSeconds} -v ${limits.memoryMb * 1024}; exec python3 -u -B "$@" main.py`;
  const cleanUp = () => rmSync(cwd, { recursive: true, force: true });
  const start = work.main ? [] : ["-c", script("start.py")];
  const { PATH = "/usr/bin:/bin", HOME = cwd } = process.env;
  const env = { PATH, HOME, LANG: "C.UTF-8" };
  return {
    ...{ command: "/bin/sh", args: ["-c", shell, "sh", ...start], inputs: [], user: {}, env, cwd, cleanUp },
    stdin: work.stdin,
  };
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

/** Why this process ended it: `done` is no fault of the program. */
export type Stop = "timeout" | "call" | "output" | "answers" | "done";

export interface Running {
  /** The further descriptor, where the work has one. */
  channel?: Duplex;
  /** The program itself has begun. */
  begun: Promise<void>;
  /** Limits the time from now on. */
  limit(milliseconds: number): void;
  stop(reason: Stop): void;
  result: Promise<ProgramResult>;
}

/** Starts the work; whatever it does, `result` comes. */
export function startProcess(way: Way, limits: ProgramLimits, work: Work): Running {
  const { command, args, stdin, inputs, startMs, user, env, cwd, cleanUp } = ways[way](limits, work);
  const started = performance.now();
  const extra = [
    ...(startMs === undefined ? inputs : [""]).map(() => "pipe" as const),
    ...(work.main ? (["pipe"] as const) : []),
  ];
  const child = spawn(command, args, {
    stdio: [stdin === undefined ? "ignore" : "pipe", "pipe", "pipe", ...extra],
    detached: true,
    cwd: cwd ?? "/",
    env,
    ...user,
  });
  let stopped: Stop | undefined;
  const stop = (reason: Stop) => {
    stopped ??= reason;
    try {
      if (child.pid) process.kill(-child.pid, "SIGKILL");
    } catch {
      // It has ended by itself.
    }
  };
  let timer: NodeJS.Timeout | undefined;
  const limit = (milliseconds: number) => {
    clearTimeout(timer);
    timer = setTimeout(() => stop("timeout"), milliseconds);
  };
  const [input, out, err, ...rest] = child.stdio as unknown as [
    Writable | null,
    Readable,
    Readable,
    ...Duplex[],
  ];
  const stdout = gather(out, limits.outputBytes, () => stop("output"));
  const stderr = gather(err, limits.outputBytes, () => stop("output"));
  for (const stream of [input, ...rest]) stream?.on("error", () => {});
  input?.end(stdin);
  const channel = work.main ? rest.pop() : undefined;
  if (startMs === undefined) for (const [i, stream] of rest.entries()) stream.end(inputs[i]);
  else limit(startMs);
  const begun =
    startMs === undefined ? Promise.resolve() : new Promise<void>((r) => rest[0]!.once("data", () => r()));
  const result = new Promise<ProgramResult>((resolve) => {
    const end = (exit: number | null, signal: string | null, failure?: string) => {
      clearTimeout(timer);
      cleanUp();
      const texts = { stdout: stdout(), stderr: stderr() };
      const ended = describeEnd({ exit, signal, stopped, failure, stderr: texts.stderr }, limits);
      if (way === "pyodide" && ended.why.startsWith("ModuleNotFoundError"))
        ended.why += `: ${STANDARD_LIBRARY_ONLY}`;
      resolve({ ...texts, ...ended, milliseconds: performance.now() - started });
    };
    child.on("error", (error) => end(null, null, error.message));
    child.on("close", (exit, signal) => end(exit, signal));
  });
  return { channel, begun, limit, stop, result };
}

interface End {
  exit: number | null;
  signal: string | null;
  stopped?: Stop;
  failure?: string;
  stderr: string;
}

function describeEnd(
  { exit, signal, stopped, failure, stderr }: End,
  limits: ProgramLimits,
): Pick<ProgramResult, "status" | "why"> {
  if (failure) return { status: "error", why: failure };
  if (stopped === "timeout") return { status: "timeout", why: `stopped after ${limits.timeoutMs} ms` };
  if (stopped === "call") return { status: "timeout", why: `a call took more than ${limits.callMs} ms` };
  if (stopped === "output")
    return { status: "output", why: `it wrote more than ${limits.outputBytes} bytes` };
  if (stopped === "answers")
    return { status: "output", why: `its answers have more than ${limits.answerBytes} bytes` };
  if (exit === 0 || (stopped === "done" && exit === null)) return { status: "ok", why: "it ended" };
  const cpu = exit === 128 + SIGXCPU || exit === 128 + SIGKILL || signal === "SIGXCPU";
  if (cpu) return { status: "timeout", why: `it used more than ${limits.cpuSeconds} s of the processor` };
  const last = stderr.trim().split("\n").at(-1) ?? "";
  if (/MemoryError|Cannot allocate memory/.test(stderr)) return { status: "memory", why: last };
  return { status: "error", why: last || `exit code ${exit}` };
}
