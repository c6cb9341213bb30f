// Columns of fixed-size elements, for one value a document without an object a document: a growing one, and files.
import { readWhole } from "@nsa/core";

export class ByteColumn {
  private bytes = Buffer.allocUnsafe(1 << 16);
  length = 0;

  /** Room for n more bytes: the buffer and the position to write at. */
  extend(n: number): { bytes: Buffer; at: number } {
    if (this.length + n > this.bytes.length) {
      const bigger = Buffer.allocUnsafe(Math.max(this.bytes.length * 2, this.length + n));
      this.bytes.copy(bigger, 0, 0, this.length);
      this.bytes = bigger;
    }
    const at = this.length;
    this.length += n;
    return { bytes: this.bytes, at };
  }

  view(): Buffer {
    return this.bytes.subarray(0, this.length);
  }
}

/** A file's bytes in a buffer of their own, aligned for wider elements. */
function alone(path: string): ArrayBuffer {
  return readWhole(path).buffer;
}

export const readU32 = (path: string) => new Uint32Array(alone(path));
export const readU64 = (path: string) => new BigUint64Array(alone(path));
export const readF32 = (path: string) => new Float32Array(alone(path));
