// Three lines for a user: what, why, fix; the stack only with --debug.
import { ExitCode, NsaError } from "@nsa/core";

/** Prints to stderr and returns the exit code. */
export function printError(error: unknown, debug: boolean): number {
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
