// Text files that people name: recipes, templates, settings. They are small, so an endless device or a wrong file is found by size.
import { closeSync, openSync, readSync } from "node:fs";
import { ExitCode, NsaError } from "./errors.ts";

const PIECE = 1 << 16;

/**
 * The text of a file, a pipe or a device, of at most `maxBytes`. Throws NsaError `file_too_large` (exit 2), and what opening throws.
 */
export function readText(path: string, maxBytes: number = 16 * 2 ** 20): string {
  const fd = openSync(path, "r");
  try {
    const parts: Buffer[] = [];
    for (let size = 0; ; ) {
      const piece = Buffer.allocUnsafe(PIECE);
      const n = readSync(fd, piece, 0, PIECE, null);
      if (n === 0) return Buffer.concat(parts).toString("utf8");
      size += n;
      if (size > maxBytes) {
        throw new NsaError({
          code: "file_too_large",
          what: `cannot read ${path}`,
          why: `it has more than ${maxBytes} bytes, which no file of this kind has`,
          fix: "check the path",
          exitCode: ExitCode.usage,
        });
      }
      parts.push(piece.subarray(0, n));
    }
  } finally {
    closeSync(fd);
  }
}
