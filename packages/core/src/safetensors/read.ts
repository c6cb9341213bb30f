// Reads safetensors files lazily: the header when the file is opened, tensors in pieces when somebody asks for them.
import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import { ExitCode, NsaError } from "../errors.ts";
import { PIECE_BYTES } from "../pieces.ts";
import {
  headerLengthOf,
  parseHeader,
  type SafetensorsEntry,
  type SafetensorsHeader,
  safetensorsCorrupt,
} from "./format.ts";

function cannotOpen(path: string, cause: unknown): NsaError {
  const { code, message } = cause as NodeJS.ErrnoException;
  const denied = code === "EACCES" || code === "EPERM";
  const missing = code === "ENOENT" || code === "ENOTDIR";
  return new NsaError({
    code: missing ? "file_missing" : "file_unreadable",
    what: `cannot read ${path}`,
    why: missing ? "there is no such file" : message,
    fix: missing ? "check the path" : denied ? "make the file readable" : "name a safetensors file",
    exitCode: ExitCode.data,
    cause,
  });
}

/** Elements of `bytes` as fp32 (F64 rounded, F16 and BF16 widened). */
type Convert = (bytes: DataView, n: number, out: Float32Array) => void;

/** How float tensors are read; F32 needs no conversion. */
const CONVERT: Record<string, { width: number; convert?: Convert } | undefined> = {
  F32: { width: 4 },
  F64: {
    width: 8,
    convert: (b, n, out) => {
      for (let i = 0; i < n; i++) out[i] = b.getFloat64(8 * i, true);
    },
  },
  BF16: {
    width: 2,
    convert: (b, n, out) => {
      const words = new Uint32Array(out.buffer, out.byteOffset, n);
      for (let i = 0; i < n; i++) words[i] = b.getUint16(2 * i, true) << 16;
    },
  },
  F16: {
    width: 2,
    convert: (b, n, out) => {
      for (let i = 0; i < n; i++) {
        const u = b.getUint16(2 * i, true);
        const [exponent, fraction] = [(u >> 10) & 31, u & 1023];
        const sign = u >> 15 ? -1 : 1;
        if (exponent === 31) out[i] = fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY;
        else if (exponent === 0) out[i] = sign * fraction * 2 ** -24;
        else out[i] = sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
      }
    },
  },
};

/** An open file. Host memory holds one piece at a time, whatever the size of the file or of a tensor. */
export class SafetensorsReader {
  readonly entries: ReadonlyMap<string, SafetensorsEntry>;
  readonly metadata: Record<string, string>;
  /** The piece as it lies in the file, and its elements; made for the largest piece so far. */
  private raw = new Uint8Array(0);
  private values = new Float32Array(0);

  private constructor(
    readonly path: string,
    private readonly fd: number,
    { entries, metadata }: SafetensorsHeader,
  ) {
    this.entries = entries;
    this.metadata = metadata;
  }

  /** Opens a file and validates its header. Throws NsaError `file_missing`, `file_unreadable`, `safetensors_corrupt` (exit 3). */
  static open(path: string): SafetensorsReader {
    let fd: number;
    try {
      fd = openSync(path, "r");
    } catch (cause) {
      throw cannotOpen(path, cause);
    }
    try {
      const stat = fstatSync(fd);
      if (!stat.isFile()) throw cannotOpen(path, new Error("it is not a file"));
      const first = Buffer.alloc(8);
      const length = headerLengthOf(path, first.subarray(0, readSync(fd, first, 0, 8, 0)), stat.size);
      const json = Buffer.alloc(length);
      readFully(path, fd, json, 8);
      return new SafetensorsReader(path, fd, parseHeader(path, json, stat.size));
    } catch (error) {
      closeSync(fd);
      throw error;
    }
  }

  /** Throws NsaError `tensor_missing` (exit 3). */
  entry(name: string): SafetensorsEntry {
    const entry = this.entries.get(name);
    if (entry) return entry;
    throw new NsaError({
      code: "tensor_missing",
      what: `${this.path} has no tensor ${name}`,
      why: "its header does not name it",
      fix: "use the file that belongs to the model",
      exitCode: ExitCode.data,
    });
  }

  /** All bytes of a tensor in memory of their own. Meant for small tensors; throws as {@link readInto}. */
  bytes(name: string): Uint8Array {
    const out = new Uint8Array(this.entry(name).bytes);
    this.readInto(name, out, 0);
    return out;
  }

  /** Fills `out` from byte `at` of the tensor. Throws NsaError `safetensors_corrupt` where the file has become shorter. */
  readInto(name: string, out: Uint8Array, at: number): void {
    const entry = this.entry(name);
    if (at + out.length > entry.bytes) throw new Error(`${name}: a read past its end`);
    readFully(this.path, this.fd, out, entry.start + at);
  }

  /**
   * Gives the elements of a float tensor as fp32, piece by piece in order: `at` is the index of the first element. The array is
   * used again for the next piece.
   * @param pieceBytes bytes read from the file at a time, at least one element
   * @throws NsaError `tensor_dtype_unsupported` (exit 4)
   */
  forEachPiece(
    name: string,
    onPiece: (values: Float32Array, at: number) => void,
    pieceBytes: number = PIECE_BYTES,
  ): void {
    const { dtype, shape, bytes } = this.entry(name);
    const served = CONVERT[dtype];
    if (!served) {
      throw new NsaError({
        code: "tensor_dtype_unsupported",
        what: `tensor ${name} of ${this.path} has dtype ${dtype}, shape [${shape}]`,
        why: `weights are read from ${Object.keys(CONVERT).join(", ")}; ${dtype} is not available`,
        fix: "convert the model to BF16 or F32 first",
        exitCode: ExitCode.unavailable,
      });
    }
    const { width, convert } = served;
    const total = bytes / width;
    const most = Math.min(total, Math.max(1, Math.floor(pieceBytes / width)));
    if (this.values.length < most) this.values = new Float32Array(most);
    if (convert && this.raw.length < most * width) this.raw = new Uint8Array(most * width);
    for (let at = 0; at < total; at += most) {
      const values = this.values.subarray(0, Math.min(most, total - at));
      const raw = convert
        ? this.raw.subarray(0, values.length * width)
        : new Uint8Array(values.buffer, 0, values.byteLength);
      this.readInto(name, raw, at * width);
      convert?.(new DataView(raw.buffer, 0, raw.length), values.length, values);
      onPiece(values, at);
    }
  }

  /** All elements of a small float tensor as fp32. Throws as {@link forEachPiece}. */
  floats(name: string): Float32Array {
    const out = new Float32Array(this.entry(name).shape.reduce((a, b) => a * b, 1));
    this.forEachPiece(name, (values, at) => out.set(values, at));
    return out;
  }

  close(): void {
    closeSync(this.fd);
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/** Reads exactly `out.length` bytes; one call of the system moves at most 2 GiB. */
function readFully(path: string, fd: number, out: Uint8Array, position: number): void {
  for (let at = 0; at < out.length; ) {
    const n = readSync(fd, out, at, Math.min(out.length - at, PIECE_BYTES), position + at);
    if (n === 0) throw safetensorsCorrupt(path, "it ends before its tensors do (truncated?)");
    at += n;
  }
}
