// Starts one process of the sandbox and follows it to its end: limits of time and output, what it wrote, how it ended.
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Duplex, Readable, Writable } from "node:stream";
import { bubblewrapArguments, bubblewrapPath } from "./bubblewrap.ts";
import { launch } from "./launch.ts";
import type { ProgramLimits, ProgramResult } from "./limits.ts";
import { PYODIDE_MB, pyodideCommand, STANDARD_LIBRARY_ONLY } from "./pyodide.ts";
import { systemCallFilter } from "./system-calls.ts";

/** By Python, by its allocator, by the engine that runs Pyodide. */
const OUT_OF_MEMORY = /MemoryError|Cannot allocate memory|allocation failed|heap out of memory/i;

const SIGXCPU = 24;
const SIGKILL = 9;
/** Pyodide takes about a second and a half to load; a busy machine many times that. */
const PYODIDE_START_MS = 60_000;
/** This process ends a program in time; where it is busy, the launcher does, this much later. */
const BUSY_MS = 900;

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
  /** Milliseconds that it may take beyond the limit. */
  graceMs?: number;
  /** Interpreters that it forks for others: nothing can be written, and each has the memory of a program (bubblewrap alone). */
  interpreters?: number;
}

interface Started {
  command: string[];
  stdin?: string;
  /** Contents for the descriptors from 3 on. */
  inputs: (string | Buffer)[];
  /** The program starts when something comes from descriptor 3; until then it has this much time. */
  startMs?: number;
  /** As root, it runs as nobody. */
  drop?: boolean;
  /** MiB that its runtime takes besides the program's. */
  runtimeMb?: number;
  /** All of its environment: that of this process holds keys, and bwrap's own can be read from inside. */
  env: Record<string, string>;
  cwd?: string;
  cleanUp?(): void;
}

/** The files, `main.py` made for the place of its channel where it has one. */
function filesOf({ files, main }: Work, place: string, folder: string): Files {
  return main ? { ...files, "main.py": main(place, folder) } : files;
}

function lockedIn(limits: ProgramLimits, work: Work): Started {
  const filter = systemCallFilter();
  const count = Object.keys(work.files).length + (work.main ? 1 : 0);
  const files = filesOf(work, String(3 + count + (filter ? 1 : 0)), "/program/");
  const start = work.main ? [] : ["-c", script("start.py")];
  return {
    command: [
      bubblewrapPath()!,
      ...bubblewrapArguments(
        limits,
        Object.keys(files),
        start,
        filter !== undefined,
        work.interpreters !== undefined,
      ),
    ],
    stdin: work.stdin,
    inputs: [...Object.values(files), ...(filter ? [filter] : [])],
    drop: true,
    runtimeMb: (work.interpreters ?? 0) * limits.memoryMb,
    env: {},
  };
}

function inPyodide(limits: ProgramLimits, work: Work): Started {
  const files = filesOf(work, JSON.stringify("/dev/channel"), "/program/");
  const channel = work.main !== undefined;
  return {
    command: pyodideCommand(limits),
    stdin: JSON.stringify({ files, memoryMb: limits.memoryMb, stdin: work.stdin ?? null, channel }),
    inputs: [],
    startMs: PYODIDE_START_MS,
    runtimeMb: PYODIDE_MB,
    env: {},
  };
}

function unlocked(limits: ProgramLimits, work: Work): Started {
  const cwd = mkdtempSync(join(tmpdir(), "nsa-program-"));
  const files = filesOf(work, "3", "");
  for (const [name, text] of Object.entries(files)) writeFileSync(join(cwd, name), text);
  const shell = `ulimit -t ${limits.cpuSeconds} -v ${limits.memoryMb * 1024}; exec python3 -u -B "$@" main.py`;
  const start = work.main ? [] : ["-c", script("start.py")];
  const { PATH = "/usr/bin:/bin", HOME = cwd } = process.env;
  return {
    command: ["/bin/sh", "-c", shell, "sh", ...start],
    stdin: work.stdin,
    inputs: [],
    env: { PATH, HOME, LANG: "C.UTF-8" },
    cwd,
    cleanUp: () => rmSync(cwd, { recursive: true, force: true }),
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

/** Starts the process of the work, within its limits of memory, processes and life. */
function spawnWork(way: Way, limits: ProgramLimits, work: Work) {
  const started = ways[way](limits, work);
  const { inputs, startMs, drop = false, runtimeMb = 0 } = started;
  const deadlineMs = (startMs ?? 0) + limits.timeoutMs + (work.graceMs ?? 0) + BUSY_MS;
  const { command, args, user, group } = launch(started.command, { limits, deadlineMs, runtimeMb, drop });
  const extra = [
    ...(startMs === undefined ? inputs : [""]).map(() => "pipe" as const),
    ...(work.main ? (["pipe"] as const) : []),
  ];
  const child = spawn(command, args, {
    stdio: [started.stdin === undefined ? "ignore" : "pipe", "pipe", "pipe", ...extra],
    detached: true,
    cwd: started.cwd ?? "/",
    env: started.env,
    ...user,
  });
  return { ...started, deadlineMs, group, child };
}

/** Starts the work; whatever it does, `result` comes. */
export function startProcess(way: Way, limits: ProgramLimits, work: Work): Running {
  const from = performance.now();
  const { child, group, stdin, inputs, startMs, deadlineMs, cleanUp } = spawnWork(way, limits, work);
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
      cleanUp?.();
      const milliseconds = performance.now() - from;
      if (signal === "SIGKILL" && milliseconds >= deadlineMs) stopped ??= "timeout";
      const outOfMemory = group?.outOfMemory() ?? false;
      group?.close();
      const texts = { stdout: stdout(), stderr: stderr() };
      const how = { exit, signal, stopped, failure, outOfMemory, stderr: texts.stderr };
      const ended = describeEnd(how, limits);
      if (way === "pyodide" && ended.why.startsWith("ModuleNotFoundError"))
        ended.why += `: ${STANDARD_LIBRARY_ONLY}`;
      resolve({ ...texts, ...ended, milliseconds });
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
  outOfMemory: boolean;
  stderr: string;
}

function describeEnd(
  { exit, signal, stopped, failure, outOfMemory, stderr }: End,
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
  if (outOfMemory && stopped === undefined)
    return {
      status: "memory",
      why: `its processes and files took more than ${limits.memoryMb} MiB together`,
    };
  const cpu = exit === 128 + SIGXCPU || exit === 128 + SIGKILL || signal === "SIGXCPU";
  if (cpu) return { status: "timeout", why: `it used more than ${limits.cpuSeconds} s of the processor` };
  const last = stderr.trim().split("\n").at(-1) ?? "";
  if (OUT_OF_MEMORY.test(stderr))
    return {
      status: "memory",
      why: OUT_OF_MEMORY.test(last) ? last : `it took more than ${limits.memoryMb} MiB`,
    };
  return { status: "error", why: last || `exit code ${exit}` };
}
