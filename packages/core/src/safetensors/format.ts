// The safetensors container: an 8-byte header length, a JSON header, then the tensors' bytes (little-endian).
//
// The header is validated as the format's own reader does it: at most 100 MB, tensors that follow one another without a gap or an
// overlap and end with the file. A dtype that is not served is an error only for the tensor that is read, not for the file.
import { z } from "zod";
import { firstComplaint } from "../config/plain-words.ts";
import { ExitCode, NsaError } from "../errors.ts";

/** Dtypes that are written here. */
export type SafetensorsDtype = "F64" | "F32" | "F16" | "BF16" | "I64" | "I32" | "U64" | "U32" | "U16" | "U8";

/** Bits of an element, by the dtypes of the format; those of later versions are let through unchecked. */
const BITS: Record<string, number | undefined> = {
  F64: 64,
  F32: 32,
  F16: 16,
  BF16: 16,
  I64: 64,
  I32: 32,
  I16: 16,
  I8: 8,
  U64: 64,
  U32: 32,
  U16: 16,
  U8: 8,
  BOOL: 8,
  F8_E4M3: 8,
  F8_E5M2: 8,
  F8_E8M0: 8,
  F6_E2M3: 6,
  F6_E3M2: 6,
  F4: 4,
  C64: 64,
};

/** The longest header that the format allows, bytes. */
const MAX_HEADER_BYTES = 100_000_000;

/** One tensor of a file. */
export interface SafetensorsEntry {
  dtype: string;
  shape: number[];
  /** Position of the first byte in the file. */
  start: number;
  bytes: number;
}

export interface SafetensorsHeader {
  /** In the order of the header. */
  entries: Map<string, SafetensorsEntry>;
  metadata: Record<string, string>;
}

/** NsaError `safetensors_corrupt` (exit 3). */
export function safetensorsCorrupt(path: string, why: string, cause?: unknown): NsaError {
  return new NsaError({
    code: "safetensors_corrupt",
    what: `${path} is not a valid safetensors file`,
    why,
    fix: "use an earlier checkpoint or fetch the file again",
    exitCode: ExitCode.data,
    cause,
  });
}

export function bytesOfDtype(dtype: SafetensorsDtype): number {
  return BITS[dtype]! / 8;
}

export function numelOf(shape: readonly number[]): number {
  return shape.reduce((a, b) => a * b, 1);
}

const countSchema = z.number().int().min(0).max(Number.MAX_SAFE_INTEGER);
const entrySchema = z.strictObject({
  dtype: z.string(),
  shape: z.array(countSchema),
  data_offsets: z.tuple([countSchema, countSchema]),
});
const metadataSchema = z.record(z.string(), z.string()).nullish();

/** The length of the JSON header from the first 8 bytes. Throws `safetensors_corrupt`. */
export function headerLengthOf(path: string, first: Uint8Array, fileBytes: number): number {
  if (first.length < 8) throw safetensorsCorrupt(path, "it is shorter than a safetensors header");
  const length = new DataView(first.buffer, first.byteOffset, 8).getBigUint64(0, true);
  if (length > BigInt(MAX_HEADER_BYTES)) {
    throw safetensorsCorrupt(
      path,
      `its header would have ${length} bytes; the format allows ${MAX_HEADER_BYTES}`,
    );
  }
  if (Number(length) > fileBytes - 8) {
    throw safetensorsCorrupt(path, "the header runs past the end of the file (truncated?)");
  }
  return Number(length);
}

function parseEntry(path: string, name: string, value: unknown, base: number): SafetensorsEntry {
  const parsed = entrySchema.safeParse(value);
  if (!parsed.success) {
    const issue = firstComplaint(parsed.error, value);
    throw safetensorsCorrupt(
      path,
      `tensor ${name}: ${issue.path === "" ? "" : `${issue.path}: `}${issue.why}`,
    );
  }
  const { dtype, shape, data_offsets } = parsed.data;
  const [start, end] = data_offsets;
  if (end < start) throw safetensorsCorrupt(path, `tensor ${name} ends before it begins`);
  const bits = BITS[dtype];
  // A product that is no longer exact exceeds every file.
  if (bits !== undefined && (end - start) * 8 !== numelOf(shape) * bits) {
    throw safetensorsCorrupt(path, `the size of tensor ${name} does not fit its shape`);
  }
  return { dtype, shape, start: base + start, bytes: end - start };
}

/** Parses and validates a JSON header. Throws `safetensors_corrupt`. */
export function parseHeader(path: string, json: Uint8Array, fileBytes: number): SafetensorsHeader {
  let raw: unknown;
  try {
    raw = json[0] === 0x7b ? JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(json)) : undefined;
  } catch (cause) {
    throw safetensorsCorrupt(path, "the header is not JSON", cause);
  }
  if (raw === undefined) throw safetensorsCorrupt(path, "the header is not a JSON object");
  const base = 8 + json.length;
  const entries = new Map<string, SafetensorsEntry>();
  let metadata: Record<string, string> = {};
  for (const [name, value] of Object.entries(raw as object)) {
    if (name === "__metadata__") {
      const parsed = metadataSchema.safeParse(value);
      if (!parsed.success) throw safetensorsCorrupt(path, "__metadata__ is not a map of strings");
      metadata = parsed.data ?? {};
    } else entries.set(name, parseEntry(path, name, value, base));
  }
  checkContiguous(path, entries, base, fileBytes);
  return { entries, metadata };
}

/** Every byte behind the header belongs to exactly one tensor. */
function checkContiguous(
  path: string,
  entries: ReadonlyMap<string, SafetensorsEntry>,
  base: number,
  fileBytes: number,
): void {
  const sorted = [...entries].sort(([, a], [, b]) => a.start - b.start || a.bytes - b.bytes);
  let end = base;
  for (const [name, { start, bytes }] of sorted) {
    if (start < end) throw safetensorsCorrupt(path, `tensor ${name} overlaps the one before it`);
    if (start > end)
      throw safetensorsCorrupt(path, `${start - end} bytes before tensor ${name} belong to no tensor`);
    end += bytes;
    if (end > fileBytes)
      throw safetensorsCorrupt(path, `tensor ${name} runs past the end of the file (truncated?)`);
  }
  if (end !== fileBytes)
    throw safetensorsCorrupt(path, `${fileBytes - end} bytes after the last tensor belong to no tensor`);
}

/** The bytes in front of the tensors: length and JSON header, padded so that tensors start at a multiple of 8 bytes. */
export function encodeHeader(
  tensors: readonly { name: string; dtype: SafetensorsDtype; shape: readonly number[] }[],
  metadata: Record<string, string>,
): Uint8Array {
  const header: Record<string, unknown> = { __metadata__: metadata };
  let end = 0;
  for (const { name, dtype, shape } of tensors) {
    const start = end;
    end += numelOf(shape) * bytesOfDtype(dtype);
    header[name] = { dtype, shape, data_offsets: [start, end] };
  }
  const json = Buffer.from(JSON.stringify(header));
  const padded = Math.ceil(json.length / 8) * 8;
  const bytes = Buffer.alloc(8 + padded, " ");
  bytes.writeBigUInt64LE(BigInt(padded));
  json.copy(bytes, 8);
  return bytes;
}
