// Byte streams of files, decompressed by extension: plain, .gz (many members) and .zst, in bounded memory.
import { createReadStream } from "node:fs";
import { createGunzip } from "node:zlib";
import { Decompress } from "fzstd";

async function* zstd(path: string): AsyncGenerator<Uint8Array> {
  let ready: Uint8Array[] = [];
  const stream = new Decompress((chunk) => {
    ready.push(chunk.slice());
  });
  for await (const chunk of createReadStream(path, { highWaterMark: 1 << 18 })) {
    stream.push(chunk as Uint8Array);
    yield* ready;
    ready = [];
  }
  stream.push(new Uint8Array(0), true);
  yield* ready;
}

/** Chunks of the decompressed file. A truncated stream throws after its last whole chunk. */
export async function* readBytes(path: string): AsyncGenerator<Uint8Array> {
  if (path.endsWith(".zst")) {
    yield* zstd(path);
    return;
  }
  const raw = createReadStream(path, { highWaterMark: 1 << 20 });
  if (!path.endsWith(".gz")) {
    yield* raw as AsyncIterable<Uint8Array>;
    return;
  }
  const gunzip = createGunzip({ chunkSize: 1 << 18 });
  raw.on("error", (error) => gunzip.destroy(error));
  yield* raw.pipe(gunzip) as AsyncIterable<Uint8Array>;
}

export interface Line {
  /** The line without its newline; empty when `tooLong`. */
  bytes: Uint8Array;
  /** Byte offset in the decompressed stream. */
  offset: number;
  /** Set when the line was longer than the limit and its bytes were dropped. */
  tooLong?: number;
}

/** Lines of a byte stream. A line over `maxBytes` is skipped without being held, and reported by its length. */
export async function* splitLines(chunks: AsyncIterable<Uint8Array>, maxBytes: number): AsyncGenerator<Line> {
  let parts: Uint8Array[] = [];
  let length = 0;
  let offset = 0;
  const finish = (): Line => {
    const line: Line =
      length > maxBytes
        ? { bytes: new Uint8Array(0), offset, tooLong: length }
        : { bytes: parts.length === 1 ? parts[0]! : Buffer.concat(parts), offset };
    offset += length + 1;
    parts = [];
    length = 0;
    return line;
  };
  for await (const chunk of chunks) {
    let from = 0;
    for (;;) {
      const newline = chunk.indexOf(10, from);
      const end = newline < 0 ? chunk.length : newline;
      length += end - from;
      if (length > maxBytes) {
        parts = [];
      } else if (end > from) {
        parts.push(chunk.subarray(from, end));
      }
      if (newline < 0) break;
      yield finish();
      from = newline + 1;
    }
  }
  if (length > 0) yield finish();
}
