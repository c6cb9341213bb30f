// The safetensors container: an 8-byte header length, a JSON header, then the raw tensors (little-endian).
import { closeSync, openSync, readFileSync, writeSync } from "node:fs";
import { explainWriteError } from "./atomic.ts";
import { ExitCode, NsaError } from "./errors.ts";

export type SafetensorsDtype = "F64" | "F32" | "F16" | "BF16" | "I64" | "I32" | "U64" | "U32" | "U16" | "U8";

const bytesOf: Record<SafetensorsDtype, number> = {
  F64: 8,
  F32: 4,
  F16: 2,
  BF16: 2,
  I64: 8,
  I32: 4,
  U64: 8,
  U32: 4,
  U16: 2,
  U8: 1,
};

export interface SafetensorsEntry {
  dtype: SafetensorsDtype;
  shape: number[];
  /** Raw little-endian bytes; a view into the file's buffer when read. */
  data: Uint8Array;
}

export interface SafetensorsFile {
  tensors: Map<string, SafetensorsEntry>;
  metadata: Record<string, string>;
}

/** Writes tensors in the order given. `data` is called one tensor at a time, so that only one is in host memory. */
export function writeSafetensors(
  path: string,
  tensors: Iterable<{ name: string; dtype: SafetensorsDtype; shape: number[]; data: () => ArrayBufferView }>,
  metadata: Record<string, string> = {},
): void {
  const list = [...tensors];
  const header: Record<string, unknown> = { __metadata__: metadata };
  let end = 0;
  for (const t of list) {
    const start = end;
    end += t.shape.reduce((a, b) => a * b, 1) * bytesOf[t.dtype];
    header[t.name] = { dtype: t.dtype, shape: t.shape, data_offsets: [start, end] };
  }
  let json = JSON.stringify(header);
  // Tensors start at a multiple of 8 bytes, counting the 8 of the length; the format pads with spaces.
  json += " ".repeat((8 - (Buffer.byteLength(json) % 8)) % 8);
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(Buffer.byteLength(json)));
  try {
    const fd = openSync(path, "w");
    try {
      const put = (bytes: Uint8Array) => {
        for (let at = 0; at < bytes.length; ) at += writeSync(fd, bytes, at);
      };
      put(length);
      put(Buffer.from(json));
      for (const t of list) {
        const view = t.data();
        put(new Uint8Array(view.buffer, view.byteOffset, view.byteLength));
      }
    } finally {
      closeSync(fd);
    }
  } catch (error) {
    throw explainWriteError(path, error);
  }
}

/** Reads a whole file. Throws NsaError `safetensors_corrupt` or `file_missing` (exit 3). */
export function readSafetensors(path: string): SafetensorsFile {
  const corrupt = (why: string) =>
    new NsaError({
      code: "safetensors_corrupt",
      what: `${path} cannot be read`,
      why,
      fix: "use an earlier checkpoint or fetch the file again",
      exitCode: ExitCode.data,
    });
  let bytes: Buffer;
  try {
    bytes = readFileSync(path);
  } catch (cause) {
    throw new NsaError({
      code: "file_missing",
      what: `${path} cannot be read`,
      why: (cause as Error).message,
      fix: "check the path",
      exitCode: ExitCode.data,
      cause,
    });
  }
  if (bytes.length < 8) throw corrupt("it is shorter than a safetensors header");
  const headerLength = Number(bytes.readBigUInt64LE(0));
  if (headerLength > bytes.length - 8) throw corrupt("the header runs past the end of the file (truncated?)");
  let header: Record<string, { dtype: SafetensorsDtype; shape: number[]; data_offsets: [number, number] }>;
  try {
    header = JSON.parse(bytes.toString("utf8", 8, 8 + headerLength));
  } catch {
    throw corrupt("the header is not JSON");
  }
  const { __metadata__: metadata = {}, ...entries } = header as typeof header & {
    __metadata__?: Record<string, string>;
  };
  const base = 8 + headerLength;
  const tensors = new Map<string, SafetensorsEntry>();
  for (const [name, entry] of Object.entries(entries as typeof header)) {
    const [start, end] = entry.data_offsets ?? [-1, -1];
    const width = bytesOf[entry.dtype];
    if (width === undefined || !Array.isArray(entry.shape))
      throw corrupt(`tensor ${name} has no known dtype`);
    if (end - start !== entry.shape.reduce((a, b) => a * b, 1) * width || start < 0) {
      throw corrupt(`the size of tensor ${name} does not fit its shape`);
    }
    if (base + end > bytes.length) throw corrupt(`tensor ${name} runs past the end of the file (truncated?)`);
    tensors.set(name, {
      dtype: entry.dtype,
      shape: entry.shape,
      data: bytes.subarray(base + start, base + end),
    });
  }
  return { tensors, metadata: metadata as Record<string, string> };
}

/** The values of a float tensor as fp32 (F64 rounded, F16 and BF16 widened). */
export function floatsOf(entry: SafetensorsEntry): Float32Array {
  const { data, dtype } = entry;
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  const n = data.byteLength / bytesOf[dtype];
  const out = new Float32Array(n);
  if (dtype === "F32") new Uint8Array(out.buffer).set(data);
  else if (dtype === "F64") for (let i = 0; i < n; i++) out[i] = view.getFloat64(8 * i, true);
  else if (dtype === "BF16") {
    const words = new Uint32Array(out.buffer);
    for (let i = 0; i < n; i++) words[i] = view.getUint16(2 * i, true) << 16;
  } else if (dtype === "F16") {
    for (let i = 0; i < n; i++) {
      const u = view.getUint16(2 * i, true);
      const [exponent, fraction] = [(u >> 10) & 31, u & 1023];
      const sign = u >> 15 ? -1 : 1;
      if (exponent === 31) out[i] = fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY;
      else if (exponent === 0) out[i] = sign * fraction * 2 ** -24;
      else out[i] = sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
    }
  } else {
    throw new NsaError({
      code: "safetensors_dtype",
      what: `a tensor of dtype ${dtype} stands where floats are wanted`,
      why: "weights are F32, F64, BF16 or F16",
      fix: "convert the file first",
      exitCode: ExitCode.data,
    });
  }
  return out;
}
