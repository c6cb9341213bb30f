// Programs in pieces: by interpreters that live on where bubblewrap is, else by running the whole history as one program for each piece.
import { Interpreters, type PieceLimits, type PieceResult } from "./interpreters.ts";
import type { ProgramOptions } from "./limits.ts";
import { requireSandbox, runProgram } from "./run-program.ts";

export interface Pieces {
  /** Runs a piece behind its history; `seed` is that of `random`. A piece never makes this throw. */
  run(history: readonly string[], code: string, seed: number): Promise<PieceResult>;
  close(): void;
}

const WHOLE = `import contextlib, io, json, os, random
with open("/program/pieces.json" if os.path.exists("/program") else "pieces.json") as file:
    seed, history, code = json.load(file)
random.seed(seed)
names = {"__name__": "__main__"}
for piece in history:
    with contextlib.redirect_stdout(io.StringIO()):
        try:
            exec(compile(piece, "program", "exec"), names)
        except BaseException:
            pass
try:
    exec(compile(code, "program", "exec"), names)
except SystemExit as end:
    if end.code not in (None, 0):
        raise RuntimeError(f"SystemExit: {end.code}") from None
`;

/** Runs the history once more for each piece, in a sandbox of its own. Throws as `runProgram`. */
export function piecesByProgram(
  { timeoutMs, memoryMb, outputBytes }: PieceLimits,
  sandbox: Pick<ProgramOptions, "backend" | "unsafeExec">,
): Pieces {
  return {
    async run(history, code, seed) {
      const files = { "pieces.json": JSON.stringify([seed, history, code]) };
      const limits = { timeoutMs, memoryMb, outputBytes, cpuSeconds: Math.ceil(timeoutMs / 1000) };
      const { status, stdout, why } = await runProgram(WHOLE, { ...sandbox, files, limits });
      const known = status === "memory" ? "error" : status;
      return { status: known, output: stdout, why: status === "ok" ? "" : why };
    },
    close() {},
  };
}

/** Throws NsaError `sandbox_missing` (exit 4) where programs cannot be locked in. */
export function openPieces(
  limits: PieceLimits,
  parallel: number,
  sandbox: Pick<ProgramOptions, "backend" | "unsafeExec"> = {},
): Pieces {
  return requireSandbox(sandbox) === "bubblewrap"
    ? new Interpreters(limits, parallel)
    : piecesByProgram(limits, sandbox);
}
