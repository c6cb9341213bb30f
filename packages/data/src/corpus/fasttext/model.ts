// A supervised fastText model in memory, and its `.bin` file, byte-compatible with upstream (version 12).
import { closeSync, openSync, readSync } from "node:fs";
import { NsaError, withWriteErrors, writeFully } from "@nsa/core";
import { ARG_ORDER, type FastTextArgs, LOSS_SOFTMAX, MODEL_SUPERVISED } from "./args.ts";
import { Dictionary } from "./dictionary.ts";

const MAGIC = 793712314;
const VERSION = 12;

export interface FastTextModel {
  args: FastTextArgs;
  dictionary: Dictionary;
  /** Input matrix, [nwords + bucket, dim], row-major. */
  input: Float32Array;
  /** Output matrix, [nlabels, dim], row-major. */
  output: Float32Array;
}

/** Everything of a `.bin` but its matrices, with where they lie in the file. */
export interface FastTextHeader {
  args: FastTextArgs;
  dictionary: Dictionary;
  inputRows: number;
  /** Byte offset of the first float of the input matrix. */
  inputOffset: number;
  outputRows: number;
  outputOffset: number;
}

function bad(path: string, why: string): NsaError {
  return new NsaError({
    code: "fasttext_model_bad",
    what: `cannot read the fastText model ${path}`,
    why,
    fix: "give a supervised softmax model written by `fasttext supervised` or `nsa data filter --train` (.bin, not quantized)",
    exitCode: 3,
  });
}

/** Buffered sequential reads from a file position. */
class FileCursor {
  private block = Buffer.alloc(0);
  private at = 0;
  position = 0;
  constructor(
    private fd: number,
    private path: string,
  ) {}

  private need(n: number): void {
    while (this.block.length - this.at < n) {
      const next = Buffer.allocUnsafe(1 << 20);
      const got = readSync(this.fd, next, 0, next.length, this.position + this.block.length - this.at);
      if (got === 0) throw bad(this.path, "the file ends too early");
      this.block = Buffer.concat([this.block.subarray(this.at), next.subarray(0, got)]);
      this.at = 0;
    }
  }
  private take(n: number): number {
    this.need(n);
    const at = this.at;
    this.at += n;
    this.position += n;
    return at;
  }
  i32(): number {
    const at = this.take(4);
    return this.block.readInt32LE(at);
  }
  i64(): number {
    const at = this.take(8);
    return Number(this.block.readBigInt64LE(at));
  }
  f64(): number {
    const at = this.take(8);
    return this.block.readDoubleLE(at);
  }
  u8(): number {
    const at = this.take(1);
    return this.block[at]!;
  }
  cString(): Uint8Array {
    for (let n = 64; ; n *= 2) {
      const zero = this.block.indexOf(0, this.at);
      if (zero >= 0) {
        const from = this.at;
        this.take(zero - from + 1);
        return Uint8Array.prototype.slice.call(this.block, from, zero);
      }
      if (n > 1 << 20) throw bad(this.path, "a word without an end: the file is corrupt");
      this.need(Math.max(n, this.block.length - this.at + 1));
    }
  }
  seek(position: number): void {
    this.position = position;
    this.block = Buffer.alloc(0);
    this.at = 0;
  }
}

/** Reads arguments and dictionary and finds the matrices. Throws NsaError `fasttext_model_bad` (exit 3). */
export function readHeader(path: string): FastTextHeader {
  const fd = openSync(path, "r");
  try {
    const c = new FileCursor(fd, path);
    if (c.i32() !== MAGIC) throw bad(path, "wrong magic number: this is not a fastText model");
    const version = c.i32();
    if (version > VERSION || version < 11) throw bad(path, `version ${version}, expected 11 or 12`);
    const args = {} as FastTextArgs;
    for (const name of ARG_ORDER) args[name] = c.i32();
    args.t = c.f64();
    if (args.model !== MODEL_SUPERVISED) throw bad(path, "not a supervised model");
    if (args.loss !== LOSS_SOFTMAX) throw bad(path, "its loss is not softmax, so it cannot be collapsed");
    if (version === 11) args.maxn = 0;
    if (args.maxn > 0) throw bad(path, "it uses character n-grams (maxn > 0)");
    const size = c.i32();
    c.i32();
    c.i32();
    const ntokens = c.i64();
    const pruned = c.i64();
    if (pruned >= 0) throw bad(path, "it is pruned (quantized with a cutoff)");
    const entries: { word: Uint8Array; count: number }[] = [];
    for (let i = 0; i < size; i++) {
      const word = c.cString();
      const count = c.i64();
      c.u8();
      entries.push({ word, count });
    }
    const dictionary = Dictionary.of(entries, ntokens);
    if (c.u8() !== 0) throw bad(path, "it is quantized (.ftz)");
    const inputRows = c.i64();
    if (c.i64() !== args.dim || inputRows !== dictionary.nwords + args.bucket)
      throw bad(path, "the input matrix does not fit the dictionary");
    const inputOffset = c.position;
    c.seek(inputOffset + inputRows * args.dim * 4);
    if (c.u8() !== 0) throw bad(path, "its output is quantized");
    const outputRows = c.i64();
    if (c.i64() !== args.dim || outputRows !== dictionary.nlabels)
      throw bad(path, "the output matrix does not fit the labels");
    return { args, dictionary, inputRows, inputOffset, outputRows, outputOffset: c.position };
  } finally {
    closeSync(fd);
  }
}

/** Reads `count` floats at a byte offset into `out`. */
export function readFloats(fd: number, offset: number, out: Float32Array, path: string): void {
  const bytes = new Uint8Array(out.buffer, out.byteOffset, out.byteLength);
  for (let done = 0; done < bytes.length; ) {
    const got = readSync(fd, bytes, done, Math.min(bytes.length - done, 1 << 28), offset + done);
    if (got === 0) throw bad(path, "the file ends inside a matrix");
    done += got;
  }
}

/** Reads a whole model; needs memory for the full input matrix. */
export function readModel(path: string): FastTextModel {
  const header = readHeader(path);
  const fd = openSync(path, "r");
  try {
    const input = new Float32Array(header.inputRows * header.args.dim);
    const output = new Float32Array(header.outputRows * header.args.dim);
    readFloats(fd, header.inputOffset, input, path);
    readFloats(fd, header.outputOffset, output, path);
    return { args: header.args, dictionary: header.dictionary, input, output };
  } finally {
    closeSync(fd);
  }
}

/** Bytes of everything before the input matrix. */
export function encodeHeader(args: FastTextArgs, dictionary: Dictionary): Buffer {
  const parts: Buffer[] = [];
  const head = Buffer.alloc(8 + ARG_ORDER.length * 4 + 8 + 12 + 16);
  let at = head.writeInt32LE(MAGIC, 0);
  at = head.writeInt32LE(VERSION, at);
  for (const name of ARG_ORDER) at = head.writeInt32LE(args[name], at);
  at = head.writeDoubleLE(args.t, at);
  for (const n of [dictionary.size, dictionary.nwords, dictionary.nlabels]) at = head.writeInt32LE(n, at);
  at = head.writeBigInt64LE(BigInt(dictionary.ntokens), at);
  head.writeBigInt64LE(-1n, at);
  parts.push(head);
  for (let id = 0; id < dictionary.size; id++) {
    const word = dictionary.bytesOf(id);
    const row = Buffer.alloc(word.length + 10);
    row.set(word, 0);
    row.writeBigInt64LE(BigInt(dictionary.counts[id]!), word.length + 1);
    row[word.length + 9] = dictionary.isLabel(id) ? 1 : 0;
    parts.push(row);
  }
  return Buffer.concat(parts);
}

export function matrixHead(rows: number, dim: number): Buffer {
  const head = Buffer.alloc(17);
  head.writeBigInt64LE(BigInt(rows), 1);
  head.writeBigInt64LE(BigInt(dim), 9);
  return head;
}

/** Writes a `.bin` that upstream's CLI reads. */
export function writeModel(path: string, model: FastTextModel): void {
  const { args, dictionary } = model;
  const fd = withWriteErrors(path, () => openSync(path, "w"));
  const put = (bytes: Uint8Array) => withWriteErrors(path, () => writeFully(fd, bytes));
  try {
    put(encodeHeader(args, dictionary));
    for (const matrix of [model.input, model.output]) {
      put(matrixHead(matrix.length / args.dim, args.dim));
      put(new Uint8Array(matrix.buffer, matrix.byteOffset, matrix.byteLength));
    }
  } finally {
    closeSync(fd);
  }
}
