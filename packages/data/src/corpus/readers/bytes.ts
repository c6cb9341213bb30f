// Byte streams of files, decompressed by extension: plain, .gz (many members) and .zst, in bounded memory.
import { createReadStream } from "node:fs";
import { basename } from "node:path";
import { Decompress } from "fzstd";
import { Gap, gunzipMembers, type Reopen } from "./members.ts";

async function* zstd(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array | Gap> {
  let ready: Uint8Array[] = [];
  const stream = new Decompress((chunk) => {
    ready.push(chunk.slice());
  });
  let at = 0;
  try {
    for await (const chunk of chunks) {
      stream.push(chunk);
      at += chunk.length;
      yield* ready;
      ready = [];
    }
    stream.push(new Uint8Array(0), true);
  } catch (error) {
    // What was decoded of the chunk before it broke.
    yield* ready;
    if ((error as NodeJS.ErrnoException).syscall) throw error;
    yield new Gap(`the zstd stream is damaged or cut: ${(error as Error).message}`, at);
    return;
  }
  yield* ready;
}

/** What a reader reads: a file, or a member of an archive. */
export interface Source {
  /** Name that documents and refusals carry; its endings say the compression and the format. */
  name: string;
  /** Chunks of the decompressed content, and gaps where the stream is damaged or cut. */
  parts(): AsyncIterable<Uint8Array | Gap>;
}

/** The content of a file of this name, decompressed by its ending. `reopen` begins its bytes again at an offset. */
export async function* decompressed(
  name: string,
  chunks: AsyncIterable<Uint8Array>,
  reopen?: Reopen,
): AsyncGenerator<Uint8Array | Gap> {
  if (name.endsWith(".zst")) yield* zstd(chunks);
  else if (/\.t?gz$/i.test(name)) yield* gunzipMembers(chunks, reopen);
  else yield* chunks;
}

/** Chunks of the decompressed file, and gaps where the compressed stream is damaged or cut. */
export async function* readParts(path: string): AsyncGenerator<Uint8Array | Gap> {
  const from = (start: number) =>
    createReadStream(path, { highWaterMark: 1 << 20, start }) as AsyncIterable<Uint8Array>;
  yield* decompressed(path, from(0), from);
}

export const fileSource = (path: string): Source => ({ name: basename(path), parts: () => readParts(path) });

/** The same for files that must be whole: throws at the first gap, after what came before it. */
export async function* readBytes(path: string): AsyncGenerator<Uint8Array> {
  for await (const part of readParts(path)) {
    if (part instanceof Gap) throw new Error(`${part.reason} (byte ${part.at})`);
    yield part;
  }
}

export interface Line {
  /** The line without its newline; empty when `tooLong` or `gap`. */
  bytes: Uint8Array;
  /** Byte offset in the decompressed stream. */
  offset: number;
  /** Set when the line was longer than the limit and its bytes were dropped. */
  tooLong?: number;
  /** Set where bytes of the stream are lost; what stands around it are lines of their own. */
  gap?: Gap;
}

/** Lines of a byte stream. A line over `maxBytes` is skipped without being held, and reported by its length. */
export async function* splitLines(
  chunks: AsyncIterable<Uint8Array | Gap>,
  maxBytes: number,
): AsyncGenerator<Line> {
  let parts: Uint8Array[] = [];
  let length = 0;
  let offset = 0;
  const finish = (newline: number): Line => {
    const line: Line =
      length > maxBytes
        ? { bytes: new Uint8Array(0), offset, tooLong: length }
        : { bytes: parts.length === 1 ? parts[0]! : Buffer.concat(parts), offset };
    offset += length + newline;
    parts = [];
    length = 0;
    return line;
  };
  for await (const chunk of chunks) {
    if (chunk instanceof Gap) {
      if (length > 0) yield finish(0);
      yield { bytes: new Uint8Array(0), offset, gap: chunk };
      continue;
    }
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
      yield finish(1);
      from = newline + 1;
    }
  }
  if (length > 0) yield finish(0);
}
