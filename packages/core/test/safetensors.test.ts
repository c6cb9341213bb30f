// Safetensors files: lazy reading in pieces, what a header may not say, writing in pieces with hashes, files of more than 2 GiB.
import { createHash } from "node:crypto";
import {
  chmodSync,
  closeSync,
  existsSync,
  ftruncateSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import {
  hashPieces,
  PieceHasher,
  SafetensorsReader,
  sha256OfFile,
  streamSafetensors,
  writePieces,
  writeSafetensors,
} from "../src/index.ts";

const root = mkdtempSync(join(tmpdir(), "nsa-safetensors-"));
const hasher = new PieceHasher();
afterAll(async () => {
  await hasher.close();
  rmSync(root, { recursive: true });
});

const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");
let count = 0;
/** A file with this header, and this many zero bytes behind it. */
function fileOf(header: unknown, dataBytes = 0, length?: bigint): string {
  const json = Buffer.from(typeof header === "string" ? header : JSON.stringify(header));
  const first = Buffer.alloc(8);
  first.writeBigUInt64LE(length ?? BigInt(json.length));
  const path = join(root, `file-${count++}.safetensors`);
  writeFileSync(path, Buffer.concat([first, json, Buffer.alloc(dataBytes)]));
  return path;
}
const corrupt = (why: RegExp) =>
  expect.objectContaining({ code: "safetensors_corrupt", exitCode: 3, why: expect.stringMatching(why) });
const f32 = (from: number, to: number, shape = [(to - from) / 4]) => ({
  dtype: "F32",
  shape,
  data_offsets: [from, to],
});

test.each<[string, unknown, number, RegExp, bigint?]>([
  ["a_length_of_2_to_the_63", {}, 0, /9223372036854775808 bytes; the format allows 100000000/, 2n ** 63n],
  ["a_length_past_the_end", {}, 0, /past the end/, 1000n],
  ["a_length_above_the_formats_own", {}, 0, /100000001 bytes/, 100_000_001n],
  ["no_json", "{,}", 0, /not JSON/],
  ["no_object", "[1]", 0, /not a JSON object/],
  ["blanks_in_front", " {}", 0, /not a JSON object/],
  ["overlapping_tensors", { a: f32(0, 8), b: f32(4, 12) }, 12, /b overlaps/],
  ["equal_places", { a: f32(0, 8), b: f32(0, 8) }, 8, /b overlaps/],
  ["a_gap", { a: f32(0, 8), b: f32(12, 16) }, 16, /4 bytes before tensor b/],
  ["a_gap_in_front", { a: f32(4, 8) }, 8, /4 bytes before tensor a/],
  ["bytes_left_over", { a: f32(0, 8) }, 11, /3 bytes after the last/],
  ["an_end_past_the_files", { a: f32(0, 8) }, 4, /past the end/],
  ["a_negative_begin", { a: { dtype: "F32", shape: [3], data_offsets: [-4, 8] } }, 8, /data_offsets/],
  ["an_end_before_the_begin", { a: { dtype: "F32", shape: [1], data_offsets: [8, 4] } }, 8, /ends before/],
  [
    "offsets_that_are_no_numbers",
    { a: { dtype: "F32", shape: [1], data_offsets: ["0", "4"] } },
    4,
    /data_offsets/,
  ],
  ["half_an_offset", { a: { dtype: "F32", shape: [1], data_offsets: [0.5, 4.5] } }, 8, /data_offsets/],
  ["a_size_unlike_the_shape", { a: f32(0, 8, [3]) }, 8, /does not fit its shape/],
  ["a_negative_size", { a: f32(0, 8, [-1, -2]) }, 8, /shape/],
  ["a_shape_beyond_all_numbers", { a: f32(0, 8, [2 ** 52, 2 ** 52, 2 ** 52]) }, 8, /does not fit its shape/],
  ["no_dtype", { a: { shape: [2], data_offsets: [0, 8] } }, 8, /dtype/],
  ["null_for_a_tensor", { a: null }, 0, /tensor a/],
  ["metadata_of_numbers", { __metadata__: { a: 1 } }, 0, /__metadata__/],
])("a_header_with_%s_is_refused", (_, header, bytes, why, length) => {
  expect(() => SafetensorsReader.open(fileOf(header, bytes, length))).toThrowError(corrupt(why));
});

test("a_file_that_is_empty_or_no_file_or_not_there_is_named_with_the_fix_that_helps", () => {
  const empty = join(root, "empty");
  writeFileSync(empty, "");
  expect(() => SafetensorsReader.open(empty)).toThrowError(corrupt(/shorter/));
  mkdirSync(join(root, "folder"));
  const unreadable = expect.objectContaining({ code: "file_unreadable", fix: "name a safetensors file" });
  expect(() => SafetensorsReader.open(join(root, "folder"))).toThrowError(unreadable);
  const missing = expect.objectContaining({ code: "file_missing", fix: "check the path", exitCode: 3 });
  expect(() => SafetensorsReader.open(join(root, "nowhere"))).toThrowError(missing);
  if (process.getuid?.() === 0) return;
  chmodSync(empty, 0);
  const denied = expect.objectContaining({ code: "file_unreadable", fix: "make the file readable" });
  expect(() => SafetensorsReader.open(empty)).toThrowError(denied);
});

test("metadata_that_is_null_empty_or_absent_and_tensors_out_of_order_or_of_no_size_are_read", () => {
  for (const metadata of [null, {}, undefined]) {
    const header = { __metadata__: metadata, b: f32(8, 12), none: f32(8, 8, [0, 5]), a: f32(0, 8) };
    using file = SafetensorsReader.open(fileOf(header, 12));
    expect(file.metadata).toEqual({});
    expect([...file.entries.keys()]).toEqual(["b", "none", "a"]);
    expect(file.floats("none")).toEqual(new Float32Array(0));
    expect(file.floats("b")).toEqual(new Float32Array(1));
  }
  using spaced = SafetensorsReader.open(fileOf(`${JSON.stringify({ __metadata__: { k: "v" } })}     `));
  expect(spaced.metadata).toEqual({ k: "v" });
});

test.each(["BOOL", "I8", "I16", "F8_E4M3", "F8_E5M2", "F4", "F128_FUTURE"])(
  "a_tensor_of_dtype_%s_matters_only_to_who_asks_for_it",
  (dtype) => {
    const bytes = ({ I16: 8, F4: 2 } as Record<string, number>)[dtype] ?? 4;
    const other = { dtype, shape: [4], data_offsets: [0, bytes] };
    using file = SafetensorsReader.open(fileOf({ other, weights: f32(bytes, bytes + 8) }, bytes + 8));
    expect(file.floats("weights")).toEqual(new Float32Array(2));
    const unsupported = expect.objectContaining({
      code: "tensor_dtype_unsupported",
      exitCode: 4,
      why: expect.stringContaining(dtype),
    });
    expect(() => file.floats("other")).toThrowError(unsupported);
    expect(file.bytes("other")).toEqual(new Uint8Array(bytes));
  },
);

test("floats_of_every_width_are_widened_by_hand_computed_values_at_any_piece_size", () => {
  const path = join(root, "dtypes");
  const head = <T extends ArrayBufferView>(name: string, dtype: "F64" | "F32" | "F16" | "BF16", data: T) => ({
    name,
    dtype,
    shape: [5],
    data: () => data,
  });
  writeSafetensors(path, [
    head("f64", "F64", Float64Array.of(1, -2.5, 2 ** -150, 1e300, 0.1)),
    head("f16", "F16", Uint16Array.of(0x3c00, 0xc100, 0x0001, 0x7c00, 0x2e66)),
    head("bf16", "BF16", Uint16Array.of(0x3f80, 0xc020, 0x0001, 0x7f80, 0x3dcd)),
    head("f32", "F32", Float32Array.of(1, -2.5, 2 ** -149, 3e38, 0.1)),
  ]);
  const expected = {
    f64: [1, -2.5, 0, Number.POSITIVE_INFINITY, Math.fround(0.1)],
    f16: [1, -2.5, 2 ** -24, Number.POSITIVE_INFINITY, 0.0999755859375],
    bf16: [1, -2.5, 2 ** -133, Number.POSITIVE_INFINITY, 0.10009765625],
    f32: [1, -2.5, 2 ** -149, Math.fround(3e38), Math.fround(0.1)],
  };
  using file = SafetensorsReader.open(path);
  for (const [name, values] of Object.entries(expected)) {
    // 1 and 7 bytes end inside an element, 9 behind one.
    for (const pieceBytes of [1, 7, 8, 9, 16, 1000]) {
      const found: number[] = [];
      const at: number[] = [];
      file.forEachPiece(
        name,
        (piece, from) => {
          found.push(...piece);
          at.push(from);
        },
        pieceBytes,
      );
      expect(found, `${name} in pieces of ${pieceBytes}`).toEqual(values);
      const step = Math.min(5, Math.max(1, Math.floor(pieceBytes / (file.entry(name).bytes / 5))));
      expect(at).toEqual([0, 1, 2, 3, 4].filter((i) => i % step === 0));
    }
  }
});

test("a_file_cut_after_it_was_opened_is_corrupt_not_endless", () => {
  const path = fileOf({ a: f32(0, 400) }, 400);
  using file = SafetensorsReader.open(path);
  truncateSync(path, 100);
  expect(() => file.floats("a")).toThrowError(corrupt(/ends before its tensors/));
});

/** Values that differ everywhere, the same for a tensor read in any pieces. */
const values = (n: number, seed: number) =>
  Float32Array.from({ length: n }, (_, i) => Math.sin(i * seed) * 1e3);

test.each([8, 16, 24, 64, 1 << 20])(
  "a_file_streamed_in_pieces_of_%i_bytes_is_the_file_written_at_once_and_its_hashes_are_its_pieces",
  async (pieceBytes) => {
    const data = { a: values(37, 0.7), b: values(0, 1), c: values(501, 1.3) };
    const tensors = Object.entries(data).map(([name, array]) => {
      const bytes = new Uint8Array(array.buffer);
      return {
        name,
        dtype: "F32" as const,
        shape: [array.length],
        data: () => array,
        read: (into: Uint8Array, at: number) => into.set(bytes.subarray(at, at + into.length)),
      };
    });
    const [whole, streamed] = [join(root, "whole"), join(root, `streamed-${pieceBytes}`)];
    writeSafetensors(whole, tensors, { by: "test" });
    const hashes = await streamSafetensors(streamed, tensors, {
      hasher,
      pieceBytes,
      metadata: { by: "test" },
    });
    const bytes = readFileSync(streamed);
    expect(bytes.equals(readFileSync(whole))).toBe(true);
    const pieces = Array.from({ length: Math.ceil(bytes.length / pieceBytes) }, (_, i) =>
      sha256(bytes.subarray(i * pieceBytes, (i + 1) * pieceBytes)),
    );
    expect(hashes).toEqual(pieces);
    expect(await hashPieces(streamed, { hasher, pieceBytes })).toEqual(pieces);
    expect(await sha256OfFile(streamed, 100)).toBe(sha256(bytes));
  },
);

test("large_pieces_are_hashed_by_threads_to_the_same_hashes", async () => {
  const size = 9 << 20;
  const content = Buffer.alloc(3 * size + 5);
  for (let i = 0; i < content.length; i += 997) content[i] = i % 251;
  const path = join(root, "threads");
  const source = {
    bytes: content.length,
    read: (into: Uint8Array, at: number) => into.set(content.subarray(at, at + into.length)),
  };
  const hashes = await writePieces(path, [source], { hasher, pieceBytes: size });
  expect(hashes).toEqual([0, 1, 2, 3].map((i) => sha256(content.subarray(i * size, (i + 1) * size))));
  expect(await hashPieces(path, { hasher, pieceBytes: size })).toEqual(hashes);
  expect(readFileSync(path).equals(content)).toBe(true);
});

test("an_error_of_a_source_is_thrown_and_an_empty_file_has_the_hash_of_nothing", async () => {
  const fail = {
    bytes: 64,
    read: (_: Uint8Array, at: number) => {
      if (at === 32) throw new Error("the device is gone");
    },
  };
  await expect(writePieces(join(root, "fails"), [fail], { hasher, pieceBytes: 8 })).rejects.toThrow(
    "the device is gone",
  );
  expect(await writePieces(join(root, "nothing"), [], { hasher })).toEqual([sha256(new Uint8Array())]);
  expect(existsSync(join(root, "nothing"))).toBe(true);
});

test("a_file_of_more_than_2_GiB_is_opened_read_at_its_end_and_hashed", async () => {
  // A hole: the file takes no room on the disk.
  const bytes = 2 ** 31 + 2 ** 27;
  const path = join(root, "large");
  const header = Buffer.from(JSON.stringify({ big: f32(0, bytes), last: f32(bytes, bytes + 16) }));
  const first = Buffer.alloc(8);
  first.writeBigUInt64LE(BigInt(header.length));
  const fd = openSync(path, "w");
  writeSync(fd, Buffer.concat([first, header]));
  ftruncateSync(fd, 8 + header.length + bytes);
  writeSync(fd, new Uint8Array(Float32Array.of(1, 2, 3, 4).buffer), 0, 16, 8 + header.length + bytes);
  closeSync(fd);
  const before = process.memoryUsage().rss;
  using file = SafetensorsReader.open(path);
  expect([...file.floats("last")]).toEqual([1, 2, 3, 4]);
  expect(file.entry("big").bytes).toBe(bytes);
  const end = new Uint8Array(24);
  file.readInto("big", end, bytes - 24);
  expect(end).toEqual(new Uint8Array(24));
  let seen = 0;
  file.forEachPiece("big", (piece, at) => {
    expect(at).toBe(seen);
    seen += piece.length;
  });
  expect(seen).toBe(bytes / 4);
  const hashes = await hashPieces(path, { hasher });
  const zeros = sha256(Buffer.alloc(32 << 20));
  expect(hashes).toHaveLength(Math.ceil((8 + header.length + bytes + 16) / (32 << 20)));
  expect(new Set(hashes.slice(1, -1))).toEqual(new Set([zeros]));
  expect(process.memoryUsage().rss - before).toBeLessThan(2 ** 30);
}, 120_000);
