// Reading a part of a file whole: a call of the system may give less than was asked for, and a file may have been cut since it was measured.
import { readSync } from "node:fs";
import { ExitCode, NsaError } from "./errors.ts";

/** Fills `into` with the bytes of the open file from `position` on; `path` names it. Throws NsaError `file_cut` (exit 3). */
export function readAt(fd: number, into: Uint8Array, position: number, path: string): void {
  for (let at = 0; at < into.length; ) {
    const n = readSync(fd, into, at, into.length - at, position + at);
    if (n === 0)
      throw new NsaError({
        code: "file_cut",
        what: path,
        why: `it ends at byte ${position + at}, and bytes ${position} to ${position + into.length} were to be read`,
        fix: "it was cut or replaced since it was written: remove it and run the step again",
        exitCode: ExitCode.data,
      });
    at += n;
  }
}
