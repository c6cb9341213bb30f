// The resident memory of the process that runs a stage on the CPU: its tensors, what Node and the libraries take, and the pieces in
// which checkpoints are read and written.
import { PIECE_BYTES } from "@nsa/core";

/** Node, the toolkit's code and the libraries before the first tensor, in a stage that trains and in others; measured, see `pnpm bench estimates`. */
const TRAINING_BYTES = 170 * 2 ** 20;
const INFERENCE_BYTES = 125 * 2 ** 20;
/** Pieces of a file that are in memory while it is written or hashed. */
const PIECES = 4;
/** Adam's moments of one weight, the largest file of a checkpoint, and the weight itself. */
const MOMENT_BYTES = 8;
const WEIGHT_BYTES = 4;

/** Bytes of the process by the estimate of its stage; undefined where that names no memory. */
export function processBytes(
  estimate: Readonly<Record<string, number>>,
  config: unknown,
): number | undefined {
  const { memory_bytes: tensors, memory_parameters_bytes: weights = 0, parameters = 0 } = estimate;
  if (tensors === undefined) return undefined;
  const pieces = (bytes: number) => Math.min(PIECES * PIECE_BYTES, bytes * parameters);
  const { adapter, train, steps, init, initFrom } = config as Record<string, unknown>;
  if (train === undefined && steps === undefined)
    // A checkpoint's pieces are gone when the first answer is sampled.
    return INFERENCE_BYTES + Math.max(tensors, weights + pieces(WEIGHT_BYTES));
  const read = init === undefined && initFrom === undefined ? 0 : pieces(WEIGHT_BYTES);
  const written = adapter === undefined || adapter === null ? pieces(MOMENT_BYTES) : 0;
  return TRAINING_BYTES + tensors + read + written;
}
