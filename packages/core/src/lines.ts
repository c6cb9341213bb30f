// Lines of a file as byte ranges, read in blocks so that memory does not grow with the file; lines of a stream of texts.
import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import { ExitCode, NsaError } from "./errors.ts";

/** Throws NsaError `path_unusable` (exit 3) where an open path is a folder: a read of it would fail without its name. */
export function refuseFolder(path: string, fd: number): void {
  if (!fstatSync(fd).isDirectory()) return;
  throw new NsaError({
    code: "path_unusable",
    what: `cannot read ${path}`,
    why: "it is a folder, and a file is needed",
    fix: "name a file, or move the folder out of its place",
    exitCode: ExitCode.data,
  });
}

/** A text without the byte order mark that some editors put in front of it. */
export const withoutMark = (text: string): string => (text.startsWith("\ufeff") ? text.slice(1) : text);

/** Lines without their newlines, each valid until the next is taken. A last line without newline counts too. Throws NsaError `path_unusable` (exit 3) for a folder. */
export function* eachLine(path: string, blockBytes = 1 << 22): Generator<Buffer> {
  const fd = openSync(path, "r");
  try {
    refuseFolder(path, fd);
    let buffer = Buffer.allocUnsafe(blockBytes);
    let kept = 0;
    for (;;) {
      const got = readSync(fd, buffer, kept, buffer.length - kept, null);
      const end = kept + got;
      let from = 0;
      for (;;) {
        const newline = buffer.indexOf(10, from);
        if (newline < 0 || newline >= end) break;
        yield buffer.subarray(from, newline);
        from = newline + 1;
      }
      if (got === 0) {
        if (end > from) yield buffer.subarray(from, end);
        return;
      }
      kept = end - from;
      if (kept === buffer.length) {
        const bigger = Buffer.allocUnsafe(buffer.length * 2);
        buffer.copy(bigger, 0, from, end);
        buffer = bigger;
      } else buffer.copy(buffer, 0, from, end);
    }
  } finally {
    closeSync(fd);
  }
}

/** Takes pieces of a text and passes on each line without its newline; what follows the last newline waits for more. */
export function lineSplitter(onLine: (line: string) => void): (piece: string) => void {
  let rest = "";
  return (piece) => {
    const lines = (rest + piece).split("\n");
    rest = lines.pop()!;
    for (const line of lines) onLine(line);
  };
}
