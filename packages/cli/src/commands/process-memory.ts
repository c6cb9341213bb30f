// The resident memory of the process that runs a stage on the CPU: its tensors, what Node and the libraries take, and the pieces in
// which checkpoints are written.
import { PIECE_BYTES } from "@nsa/core";

/** Node, the toolkit's code and the libraries of a trainer before its first tensor; measured, see `pnpm bench estimates`. */
const PROGRAM_BYTES = 170 * 2 ** 20;
/** Pieces of a file that are in memory while it is written. */
const PIECES = 4;
/** Adam's moments of one weight, the largest file of a checkpoint. */
const MOMENT_BYTES = 8;

/** Bytes of the process by the estimate of its stage; undefined where that names no memory. */
export function processBytes(
  estimate: Readonly<Record<string, number>>,
  config: unknown,
): number | undefined {
  const { memory_bytes: tensors, parameters = 0 } = estimate;
  if (tensors === undefined) return undefined;
  const { adapter, train, steps } = config as { adapter?: unknown; train?: unknown; steps?: unknown };
  const trainsAll =
    (train !== undefined || steps !== undefined) && (adapter === undefined || adapter === null);
  const saved = trainsAll ? Math.min(PIECES * PIECE_BYTES, MOMENT_BYTES * parameters) : 0;
  return tensors + PROGRAM_BYTES + saved;
}
