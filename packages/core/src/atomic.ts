// Files and folders that appear whole or not at all: temporary name, fsync, rename, fsync of the parent.
import {
  closeSync,
  existsSync,
  fsyncSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readSync,
  renameSync,
  rmSync,
  writeSync,
} from "node:fs";
import { basename, dirname, join } from "node:path";
import { ExitCode, NsaError } from "./errors.ts";
import { checkHeld } from "./held-folder.ts";

const diskFull = new Set(["ENOSPC", "EDQUOT", "EFBIG"]);

/** Turns a full disk into a clear error; other errors pass through. */
export function explainWriteError(path: string, error: unknown): unknown {
  const code = (error as NodeJS.ErrnoException | null)?.code;
  if (code === undefined || !diskFull.has(code)) return error;
  return new NsaError({
    code: "disk_full",
    what: `cannot write ${path}`,
    why: `the disk is full or a quota is used up (${code}); what was saved before is intact`,
    fix: "free some space, then continue with --resume latest",
    exitCode: ExitCode.data,
    cause: error,
  });
}

/**
 * Runs what writes to `path`; a full disk becomes NsaError `disk_full` (exit 3). Whoever writes without {@link atomicWriteFile} and its
 * like goes through this. In a folder whose lock another process has taken nothing is written.
 */
export function withWriteErrors<T>(path: string, write: () => T): T {
  checkHeld(path);
  try {
    return write();
  } catch (error) {
    throw explainWriteError(path, error);
  }
}

/** Removes what a failed write has left; devices and pipes stay. */
export function removePartial(path: string): void {
  if (lstatSync(path, { throwIfNoEntry: false })?.isFile()) rmSync(path, { force: true });
}

/** Makes a file, or the names in a folder, outlive a power cut. */
export function fsyncPath(path: string): void {
  const fd = openSync(path, "r");
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

/** A folder and everything in it. */
export function fsyncTree(dir: string): void {
  for (const entry of readdirSync(dir, { withFileTypes: true })) {
    const path = join(dir, entry.name);
    if (entry.isDirectory()) fsyncTree(path);
    else fsyncPath(path);
  }
  fsyncPath(dir);
}

/** One call of the system moves at most 2 GiB. */
const MAX_WRITE = 1 << 28;

/** Writes all bytes at the file's position. */
export function writeFully(fd: number, bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length; )
    at += writeSync(fd, bytes, at, Math.min(bytes.length - at, MAX_WRITE));
}

/** Writes a file atomically and durably. Throws `disk_full` (exit 3) and leaves the old file intact. */
export function atomicWriteFile(path: string, data: string | Uint8Array): void {
  atomicWrite(path, (fd) => writeFully(fd, typeof data === "string" ? Buffer.from(data) : data));
}

/** Writes the contents of files one after another into one, as {@link atomicWriteFile} does. */
export function atomicConcat(path: string, parts: readonly string[]): void {
  const buffer = Buffer.allocUnsafe(1 << 20);
  atomicWrite(path, (to) => {
    for (const part of parts) {
      const from = openSync(part, "r");
      try {
        for (;;) {
          const n = readSync(from, buffer, 0, buffer.length, null);
          if (n === 0) break;
          writeFully(to, buffer.subarray(0, n));
        }
      } finally {
        closeSync(from);
      }
    }
  });
}

function atomicWrite(path: string, fill: (fd: number) => void): void {
  checkHeld(path);
  const temporary = `${path}.tmp-${process.pid}`;
  try {
    const fd = openSync(temporary, "w");
    try {
      fill(fd);
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
    checkHeld(path);
    renameSync(temporary, path);
    fsyncPath(dirname(path));
  } catch (error) {
    rmSync(temporary, { force: true });
    throw explainWriteError(path, error);
  }
}

/**
 * Fills a folder under a temporary name, then renames it to `path`; an older folder there is replaced.
 * Throws `disk_full` (exit 3); on any error the temporary folder is removed and the old one is intact.
 */
export async function atomicWriteDir(
  path: string,
  fill: (temporary: string) => void | Promise<void>,
): Promise<void> {
  checkHeld(path);
  const [temporary, replaced] = [`${path}.tmp-${process.pid}`, `${path}.old-${process.pid}`];
  mkdirSync(dirname(path), { recursive: true });
  const name = basename(path);
  restoreReplaced(dirname(path), (original) => original === name);
  mkdirSync(temporary);
  try {
    await fill(temporary);
    fsyncTree(temporary);
    checkHeld(path);
    // A folder cannot be renamed onto a non-empty one. The old one steps aside and goes last: a kill in between leaves both, and
    // `restoreReplaced` puts the old one back.
    if (existsSync(path)) renameSync(path, replaced);
    renameSync(temporary, path);
    fsyncPath(dirname(path));
    rmSync(replaced, { recursive: true, force: true });
  } catch (error) {
    if (existsSync(replaced) && !existsSync(path)) renameSync(replaced, path);
    rmSync(temporary, { recursive: true, force: true });
    throw explainWriteError(path, error);
  }
}

/**
 * Clears what kills inside {@link atomicWriteDir} left in `dir`, of the folders that are `ours` by name: half-written ones go, and one
 * that had stepped aside for a new one comes back where there is no new one. Only for a process that alone writes them.
 */
export function restoreReplaced(dir: string, ours: (name: string) => boolean): void {
  for (const entry of readdirSync(dir)) {
    const match = /^(.+)\.(tmp|old)-\d+$/.exec(entry);
    if (!match || !ours(match[1]!)) continue;
    const [path, original] = [join(dir, entry), join(dir, match[1]!)];
    if (match[2] === "old" && !existsSync(original)) renameSync(path, original);
    else rmSync(path, { recursive: true, force: true });
  }
}

/** Whether a process of this machine has the id. */
function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

/**
 * Removes the files that killed processes left half-written in a folder and below. Those of processes that run are spared where
 * others may be writing there, too (`shared`).
 */
export function clearTemporaries(dir: string, { shared = false } = {}): void {
  if (!existsSync(dir)) return;
  for (const entry of readdirSync(dir, { recursive: true, withFileTypes: true })) {
    const writer = entry.isFile() && /\.tmp-(\d+)/.exec(entry.name)?.[1];
    if (!writer || (shared && isRunning(Number(writer)))) continue;
    rmSync(join(entry.parentPath, entry.name), { force: true });
  }
}
