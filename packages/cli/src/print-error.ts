// Three lines for a user: what, why, fix; the stack only with --debug.
import { ExitCode, explainWriteError, NsaError } from "@nsa/core";

const FILE_ERRORS: Record<string, string> = {
  EACCES: "you may not",
  EPERM: "you may not",
  EROFS: "the file system is read-only",
  ENOENT: "there is no such file or folder",
  ENOTDIR: "a file stands where a folder is needed",
  EISDIR: "it is a folder",
  EEXIST: "it is there already",
  ENAMETOOLONG: "the name is too long",
  EMFILE: "too many files are open",
};

/** Paths that cannot be used are the user's to mend. */
function asFileError(error: unknown): unknown {
  const { code, syscall, path } = (error ?? {}) as NodeJS.ErrnoException;
  if (!(error instanceof Error) || !code || !FILE_ERRORS[code]) return error;
  // Reads of a folder that was opened as a file fail without its name.
  if (!path && code === "EISDIR")
    return new NsaError({
      code: "path_unusable",
      what: "a folder stands where a file is needed",
      why: `it was to be read or written as a file (${code}, ${syscall}); --debug shows by what`,
      fix: "move the folder out of the file's place",
      exitCode: ExitCode.data,
      cause: error,
    });
  if (!path) return error;
  // What Node says of making folders below a read-only one.
  const why =
    syscall === "mkdir" && code === "ENOENT" ? "a folder above it cannot be written" : FILE_ERRORS[code];
  return new NsaError({
    code: "path_unusable",
    what: `cannot use ${path}`,
    why: `${why} (${code}, ${syscall})`,
    fix: "name another path, or see to its rights and its disk",
    exitCode: ExitCode.data,
    cause: error,
  });
}

/** Prints to stderr and returns the exit code. */
export function printError(thrown: unknown, debug: boolean): number {
  const full = explainWriteError((thrown as NodeJS.ErrnoException | null)?.path ?? "its output", thrown);
  const error = asFileError(full);
  if (error instanceof NsaError) {
    console.error(`error: ${error.what}\n  why: ${error.why}\n  fix: ${error.fix}`);
    if (debug) console.error(error.stack);
    return error.exitCode;
  }
  const message = error instanceof Error ? error.message : String(error);
  console.error(
    `error: ${message}\n  why: this is a bug in nsa\n  fix: run again with --debug and report what it prints`,
  );
  if (debug && error instanceof Error) console.error(error.stack);
  return ExitCode.bug;
}
