// Lines of a file as byte ranges, read in blocks so that memory does not grow with the file.
import { closeSync, openSync, readSync } from "node:fs";

/** Calls visit(bytes, start, end) for each line without its newline. A last line without newline counts too. */
export function forEachLine(
  path: string,
  visit: (bytes: Uint8Array, start: number, end: number) => void,
  blockBytes = 1 << 22,
): void {
  const fd = openSync(path, "r");
  try {
    let buffer = Buffer.allocUnsafe(blockBytes);
    let kept = 0;
    for (;;) {
      const got = readSync(fd, buffer, kept, buffer.length - kept, null);
      const end = kept + got;
      let from = 0;
      for (;;) {
        const newline = buffer.indexOf(10, from);
        if (newline < 0 || newline >= end) break;
        visit(buffer, from, newline);
        from = newline + 1;
      }
      if (got === 0) {
        if (end > from) visit(buffer, from, end);
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
