// Writes safetensors files: small ones at once, large ones in pieces whose hashes come back with them.
import { closeSync, openSync } from "node:fs";
import { explained, explainWriteError, removePartial, writeFully } from "../atomic.ts";
import { type PieceSource, type WriteOptions, writePieces } from "../pieces.ts";
import { bytesOfDtype, encodeHeader, numelOf, type SafetensorsDtype } from "./format.ts";

interface TensorHead {
  name: string;
  dtype: SafetensorsDtype;
  shape: number[];
}

/** Writes tensors in the order given. `data` is called one tensor at a time, so that only one is in host memory. */
export function writeSafetensors(
  path: string,
  tensors: Iterable<TensorHead & { data: () => ArrayBufferView }>,
  metadata: Record<string, string> = {},
): void {
  const list = [...tensors];
  const fd = explained(path, () => openSync(path, "w"));
  try {
    writeFully(fd, encodeHeader(list, metadata));
    for (const t of list) {
      const view = t.data();
      writeFully(fd, new Uint8Array(view.buffer, view.byteOffset, view.byteLength));
    }
  } catch (error) {
    removePartial(path);
    throw explainWriteError(path, error);
  } finally {
    closeSync(fd);
  }
}

/** A tensor whose bytes are copied out piece by piece. */
export interface TensorSource extends TensorHead {
  /** Fills `into` with the tensor's bytes from byte `at` on. */
  read(into: Uint8Array, at: number): void;
}

/**
 * Writes tensors of any size in the order given, with a few pieces in host memory, and syncs the file. Resolves with the SHA-256
 * of each piece of the file.
 * @param pieceBytes a multiple of 8, so that no element of a tensor is cut in two
 * @throws NsaError `disk_full` (exit 3)
 */
export function streamSafetensors(
  path: string,
  tensors: readonly TensorSource[],
  options: WriteOptions & { metadata?: Record<string, string> } = {},
): Promise<string[]> {
  const header = encodeHeader(tensors, options.metadata ?? {});
  const sources: PieceSource[] = [
    { bytes: header.length, read: (into, at) => into.set(header.subarray(at, at + into.length)) },
    ...tensors.map(({ dtype, shape, read }) => ({ bytes: numelOf(shape) * bytesOfDtype(dtype), read })),
  ];
  return writePieces(path, sources, options);
}
