// One trainer process a run folder: a killed command may leave its trainer saving while the next one starts.
//
// A lock is a file `.lock-<n>` that names its owner, linked into place whole. Whoever finds the newest lock free, or its owner ended,
// takes the next number, which one process alone can do; the newest lock is never removed, so that no number is taken twice. A holder that
// stood still and was taken for ended finds a newer lock before it writes, and ends.
import {
  existsSync,
  linkSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { setImmediate, setTimeout } from "node:timers/promises";
import { Worker } from "node:worker_threads";
import { ExitCode, explainWriteError, guardFolder, NsaError } from "@nsa/core";
import { z } from "zod";

const POLL_MS = 50;
/** A trainer whose command has ended saves after its step and ends. */
const PATIENCE_MS = 120_000;
/** An owner marks its lock so often; one of another machine that has not for ten times as long has ended. */
const BEAT_MS = 20_000;
/** A lock without an owner is one that was made a moment ago, or left by a file system without links. */
const UNWRITTEN_MS = 2000;

const LOCK = /^\.lock-(\d{6})$/;
/** The lock of versions in which locks had no numbers. */
const OLD_LOCK = "trainer.pid";

const ownerSchema = z.strictObject({
  pid: z.number().int(),
  /** When the process began, in ticks since the machine did; "" where the system does not tell. */
  started: z.string(),
  host: z.string(),
  /** The machine's start and the process's namespace: ids mean nothing in another. */
  space: z.string(),
});
type Owner = z.output<typeof ownerSchema>;

const tryRead = (read: () => string): string => {
  try {
    return read();
  } catch {
    return "";
  }
};

/** Field 22 of /proc/<pid>/stat. */
const startOf = (pid: number): string =>
  tryRead(() => {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    return stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19]!;
  });

function self(): Owner {
  const boot = tryRead(() => readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim());
  const space = `${boot} ${tryRead(() => readlinkSync("/proc/self/ns/pid"))}`;
  return { pid: process.pid, started: startOf(process.pid), host: hostname(), space };
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

/** Whether the owner of a lock has ended, by its process here or by the age of its last mark, milliseconds, which costs a file. */
function hasEnded(owner: Owner, age: () => number): boolean {
  const here = self();
  if (owner.host !== here.host || owner.space !== here.space) return age() > 10 * BEAT_MS;
  return !isRunning(owner.pid) || startOf(owner.pid) !== owner.started;
}

/** The time by the clock that dates files beside the path (a server's, where the folder is one's). */
function clockOf(path: string): number {
  const probe = `${path}.clock-${process.pid}`;
  try {
    writeFileSync(probe, "");
    return statSync(probe).mtimeMs;
  } catch {
    return Date.now();
  } finally {
    rmSync(probe, { force: true });
  }
}

/** Who holds the newest lock; null where nobody does, "unwritten" where it cannot be read yet. */
function holder(path: string): Owner | "unwritten" | null {
  const text = readFileSync(path, "utf8");
  if (text === "free\n") return null;
  const age = () => clockOf(path) - statSync(path).mtimeMs;
  const parsed = ownerSchema.safeParse(tryParse(text));
  if (!parsed.success) return age() > UNWRITTEN_MS ? null : "unwritten";
  return hasEnded(parsed.data, age) ? null : parsed.data;
}

function tryParse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

/** The process of an older version that holds the folder, or null; what a dead one left is removed. */
function oldHolder(runDir: string): Owner | null {
  const path = join(runDir, OLD_LOCK);
  const text = tryRead(() => readFileSync(path, "utf8"));
  const pid = Number(text);
  const command = tryRead(() => readFileSync(`/proc/${pid}/cmdline`, "utf8")) || "trainer-main";
  // A container that starts again gives its process the number of the one that was killed.
  if (pid > 0 && pid !== process.pid && isRunning(pid) && command.includes("trainer-main"))
    return { ...self(), pid, started: "" };
  rmSync(path, { force: true });
  return null;
}

/** Marks the lock by a write, from which the file system's own clock dates it; a thread, since a trainer is busy for minutes. */
const BEAT = `const { writeSync, openSync, closeSync } = require("node:fs");
const { path, every } = require("node:worker_threads").workerData;
setInterval(() => {
  try {
    const fd = openSync(path, "r+");
    writeSync(fd, "{", 0);
    closeSync(fd);
  } catch {}
}, every);`;

function startBeat(path: string, every: number): Worker {
  const worker = new Worker(BEAT, { eval: true, workerData: { path, every }, execArgv: [], env: {} });
  worker.unref();
  return worker;
}

/** Makes the lock, whole, unless it is there; false then. */
function make(runDir: string, path: string): boolean {
  const temporary = join(runDir, `.lock.tmp-${process.pid}`);
  const text = `${JSON.stringify(self())}\n`;
  try {
    writeFileSync(temporary, text);
    try {
      linkSync(temporary, path);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      // Without the temporary file, a holder on another machine has swept it: asked again.
      if (code === "EEXIST" || code === "ENOENT") return false;
      // A file system without links.
      writeFileSync(path, text, { flag: "wx" });
    }
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
    throw explainWriteError(runDir, error);
  } finally {
    rmSync(temporary, { force: true });
  }
}

function release(path: string): void {
  const temporary = `${path}.tmp-${process.pid}`;
  try {
    writeFileSync(temporary, "free\n");
    renameSync(temporary, path);
  } catch {
    // The folder is gone, or the disk is full: whoever comes next finds that this process has ended.
    rmSync(temporary, { force: true });
  }
}

function inUse(runDir: string, path: string, owner: Owner | "unwritten"): NsaError {
  const who =
    owner === "unwritten"
      ? "another process"
      : `process ${owner.pid}${owner.host === hostname() ? "" : ` of ${owner.host}`}`;
  return new NsaError({
    code: "run_in_use",
    what: `the run ${runDir} is being written by ${who}`,
    why: "two trainers in one folder would mix their records",
    fix: `wait for the other to end, or end it; if there is none, remove ${path}`,
    exitCode: ExitCode.usage,
  });
}

function takenOver(runDir: string): NsaError {
  return new NsaError({
    code: "run_taken_over",
    what: `another process has taken over the run ${runDir}`,
    why: "this one stood still for so long that it was taken for ended, as on a machine that was suspended; it has written nothing since",
    fix: "leave the run to the other process, which resumed it from its newest checkpoint",
    exitCode: ExitCode.data,
  });
}

const numbersIn = (runDir: string): number[] =>
  readdirSync(runDir)
    .flatMap((name) => LOCK.exec(name)?.[1] ?? [])
    .map(Number)
    .sort((a, b) => a - b);

const LEFT = /^\.lock(-\d+)?\.(clock|tmp)-(\d+)$/;

/** Removes what processes that were killed while they asked for the folder have left. */
export function sweepLeft(runDir: string): void {
  for (const name of readdirSync(runDir)) {
    const pid = Number(LEFT.exec(name)?.[3] ?? process.pid);
    if (pid !== process.pid && !isRunning(pid)) rmSync(join(runDir, name), { force: true });
  }
}

const lockPath = (runDir: string, n: number) => join(runDir, `.lock-${String(n).padStart(6, "0")}`);

/** Who holds the folder now, by which file. */
function heldBy(runDir: string, newest: number): { path: string; owner: Owner | "unwritten" } | null {
  const old = oldHolder(runDir);
  if (old) return { path: join(runDir, OLD_LOCK), owner: old };
  const path = lockPath(runDir, newest);
  const owner = newest > 0 ? holder(path) : null;
  return owner ? { path, owner } : null;
}

/** Whether lock `n` is still the newest: whoever takes the next removes this one, and then its own only for the one after it. */
const isNewest = (runDir: string, n: number) =>
  existsSync(lockPath(runDir, n)) && !existsSync(lockPath(runDir, n + 1));

/** Marks the lock and checks it before each write, until it is disposed of. */
function hold(runDir: string, n: number, beatMs: number): Disposable {
  const path = lockPath(runDir, n);
  const beat = startBeat(path, beatMs);
  const guard = guardFolder(runDir, () => {
    if (!isNewest(runDir, n)) throw takenOver(runDir);
  });
  return {
    [Symbol.dispose]() {
      guard[Symbol.dispose]();
      void beat.terminate();
      if (!isNewest(runDir, n)) return;
      // Of one that asked for the folder, and was killed, while this process held it.
      sweepLeft(runDir);
      release(path);
    },
  };
}

export interface HoldOptions {
  /** How long to wait for a trainer that is still in the folder. */
  patienceMs?: number;
  /** How often the owner marks its lock. */
  beatMs?: number;
  /** Aborted: this process no longer wants the folder. */
  signal?: AbortSignal;
  /** Gets a line when it has to wait. */
  onWait?: (text: string) => void;
}

/** So long a wait is not mentioned: a command that has just ended leaves its trainer for a moment. */
const QUIET_MS = 1000;

/**
 * Takes the folder, waiting for a trainer that is still in it; null where `signal` aborts first. Throws NsaError `run_in_use` (exit 2). Until
 * the lock is disposed of, writes of this process in the folder throw `run_taken_over` (exit 3) once another has taken it.
 */
export async function holdRun(
  runDir: string,
  { patienceMs = PATIENCE_MS, beatMs = BEAT_MS, signal, onWait }: HoldOptions = {},
): Promise<Disposable | null> {
  // A stop that came while this process did something else is read first.
  await setImmediate();
  for (let waited = 0; !signal?.aborted; ) {
    const newest = numbersIn(runDir).at(-1) ?? 0;
    let held: ReturnType<typeof heldBy>;
    try {
      held = heldBy(runDir, newest);
    } catch (error) {
      // The next holder has removed it in the meantime.
      if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
      continue;
    }
    if (held) {
      if (waited >= patienceMs) throw inUse(runDir, held.path, held.owner);
      if (waited === QUIET_MS)
        onWait?.(
          `${inUse(runDir, held.path, held.owner).what}; waiting up to ${patienceMs / 1000} s for its end`,
        );
      await setTimeout(POLL_MS);
      waited += POLL_MS;
      continue;
    }
    const path = lockPath(runDir, newest + 1);
    if (!make(runDir, path)) continue;
    // Others took this number, and the next, and removed both while this process stood still.
    if (numbersIn(runDir).at(-1) !== newest + 1) {
      rmSync(path, { force: true });
      continue;
    }
    for (const n of numbersIn(runDir)) if (n <= newest) rmSync(lockPath(runDir, n), { force: true });
    sweepLeft(runDir);
    return hold(runDir, newest + 1, beatMs);
  }
  return null;
}
