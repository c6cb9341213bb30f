// Files of any size in pieces: written and hashed in one pass, or read and hashed, with a few pieces in host memory.
//
// A file's hashes are one SHA-256 for each piece of PIECE_BYTES (the last one is shorter): several threads can make them at once,
// which a hash over the whole file does not allow. A file of one piece has the hash that `sha256sum` prints.
import { createHash } from "node:crypto";
import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { explainWriteError, removePartial, withWriteErrors, writeFully } from "./atomic.ts";
import { refuseFolder } from "./lines.ts";
import type { PieceHasher } from "./piece-hasher.ts";

/** Bytes of a piece, 32 MiB. */
export const PIECE_BYTES = 32 << 20;

/** Pieces of one file in host memory: one is filled while others are hashed and written. */
const BUFFERS = 4;

/** Consecutive bytes of a file in the making. */
export interface PieceSource {
  bytes: number;
  /** Fills `into` with the bytes from `at` on. */
  read(into: Uint8Array, at: number): void;
}

export interface WriteOptions {
  /** Without one, nothing is hashed and no hashes come back. */
  hasher?: PieceHasher;
  /** A multiple of 8; {@link PIECE_BYTES} where it is not given. */
  pieceBytes?: number;
}

interface Buffered {
  memory: Uint8Array;
  /** Settles when the memory may be used again. */
  done: Promise<void>;
}

/** Buffers that threads can read without a copy. */
function makeBuffers(pieceBytes: number, total: number): Buffered[] {
  if (pieceBytes < 8 || pieceBytes % 8 !== 0) throw new Error("a piece has a multiple of 8 bytes");
  const size = Math.max(1, Math.min(pieceBytes, total));
  const count = Math.max(1, Math.min(BUFFERS, Math.ceil(total / pieceBytes)));
  return Array.from({ length: count }, () => ({
    memory: new Uint8Array(new SharedArrayBuffer(size)),
    done: Promise.resolve(),
  }));
}

async function writeAt(file: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  for (let at = 0; at < bytes.length; )
    at += (await file.write(bytes, at, bytes.length - at, position + at)).bytesWritten;
}

/**
 * Writes the sources one after another and syncs the file. Resolves with the hash of each piece, made from the bytes on their way
 * to the file. Throws NsaError `disk_full` (exit 3).
 */
export async function writePieces(
  path: string,
  sources: readonly PieceSource[],
  { hasher, pieceBytes = PIECE_BYTES }: WriteOptions = {},
): Promise<string[]> {
  const total = sources.reduce((n, source) => n + source.bytes, 0);
  const buffers = makeBuffers(pieceBytes, total);
  const hashes: string[] = [];
  let [pieces, used] = [0, 0];
  const current = () => buffers[pieces % buffers.length]!;
  let opened = false;
  try {
    const file = await open(path, "w");
    opened = true;
    const flush = () => {
      const buffer = current();
      const piece = buffer.memory.subarray(0, used);
      const index = pieces++;
      const put = async () => {
        const [hash] = await Promise.all([hasher?.digest(piece), writeAt(file, piece, index * pieceBytes)]);
        if (hash !== undefined) hashes[index] = hash;
      };
      buffer.done = put();
      // A failure is thrown where the buffer is waited for.
      buffer.done.catch(() => {});
      used = 0;
    };
    try {
      for (const source of sources) {
        for (let at = 0; at < source.bytes; ) {
          if (used === 0) await current().done;
          const n = Math.min(source.bytes - at, pieceBytes - used);
          source.read(current().memory.subarray(used, used + n), at);
          used += n;
          at += n;
          if (used === pieceBytes) flush();
        }
      }
      if (used > 0 || total === 0) flush();
      await Promise.all(buffers.map(({ done }) => done));
      await file.sync();
    } finally {
      await Promise.allSettled(buffers.map(({ done }) => done));
      await file.close();
    }
  } catch (error) {
    // What could not be opened is not this call's to remove.
    if (opened) removePartial(path);
    throw explainWriteError(path, error);
  }
  return hashes;
}

/** Hash of each piece of a file, as {@link writePieces} gives them. Throws what opening and reading throw. */
export async function hashPieces(
  path: string,
  { hasher, pieceBytes = PIECE_BYTES }: WriteOptions & { hasher: PieceHasher },
): Promise<string[]> {
  const file = await open(path, "r");
  try {
    const { size } = await file.stat();
    const count = Math.max(1, Math.ceil(size / pieceBytes));
    const hashes = new Array<string>(count);
    const buffers = makeBuffers(pieceBytes, size);
    let next = 0;
    const lane = async ({ memory }: Buffered) => {
      for (let i = next++; i < count; i = next++) {
        const piece = memory.subarray(0, Math.min(pieceBytes, size - i * pieceBytes));
        for (let at = 0; at < piece.length; ) {
          const { bytesRead } = await file.read(piece, at, piece.length - at, i * pieceBytes + at);
          if (bytesRead === 0) throw new Error(`${path} became shorter while it was read`);
          at += bytesRead;
        }
        hashes[i] = await hasher.digest(piece);
      }
    };
    const lanes = await Promise.allSettled(buffers.map(lane));
    for (const outcome of lanes) if (outcome.status === "rejected") throw outcome.reason;
    return hashes;
  } finally {
    await file.close();
  }
}

/** All bytes of a file, which may have more than the 2 GiB that one call of the system reads. */
export function readWhole(path: string): Buffer<ArrayBuffer> {
  const fd = openSync(path, "r");
  try {
    refuseFolder(path, fd);
    const bytes = Buffer.from(new ArrayBuffer(fstatSync(fd).size));
    for (let at = 0; at < bytes.length; ) {
      const n = readSync(fd, bytes, at, Math.min(bytes.length - at, PIECE_BYTES), at);
      if (n === 0) throw new Error(`${path} became shorter while it was read`);
      at += n;
    }
    return bytes;
  } finally {
    closeSync(fd);
  }
}

/** Writes a file of any size. Throws NsaError `disk_full` (exit 3). */
export function writeWhole(path: string, bytes: Uint8Array): void {
  const fd = withWriteErrors(path, () => openSync(path, "w"));
  try {
    writeFully(fd, bytes);
  } catch (error) {
    removePartial(path);
    throw explainWriteError(path, error);
  } finally {
    closeSync(fd);
  }
}

/** {@link sha256OfFile} for callers that cannot wait. */
export function sha256OfFileSync(path: string): string {
  const hash = createHash("sha256");
  const memory = new Uint8Array(1 << 20);
  const fd = openSync(path, "r");
  try {
    for (;;) {
      const n = readSync(fd, memory, 0, memory.length, null);
      if (n === 0) return hash.digest("hex");
      hash.update(memory.subarray(0, n));
    }
  } finally {
    closeSync(fd);
  }
}

/** SHA-256 of a whole file, hexadecimal, in pieces. */
export async function sha256OfFile(path: string, pieceBytes: number = 1 << 20): Promise<string> {
  const hash = createHash("sha256");
  const file = await open(path, "r");
  try {
    const memory = new Uint8Array(pieceBytes);
    for (;;) {
      const { bytesRead } = await file.read(memory, 0, pieceBytes, null);
      if (bytesRead === 0) return hash.digest("hex");
      hash.update(memory.subarray(0, bytesRead));
    }
  } finally {
    await file.close();
  }
}
