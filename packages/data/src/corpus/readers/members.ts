// Members of a gzip stream one by one, by RFC 1952: zero padding between them is passed over, of a damaged one what can
// be decoded is given, and reading goes on at the next member. What Node's own decoder drops silently is a gap here.
import { constants, crc32, createInflateRaw, type InflateRaw, inflateRawSync } from "node:zlib";

/** A place where bytes of the stream are lost. What stands before it and after it does not belong together. */
export class Gap {
  constructor(
    readonly reason: string,
    /** Byte offset in the compressed stream. */
    readonly at: number,
  ) {}
}

/** Compressed bytes within which a member is decoded at once, and a damaged one to the byte. */
const WINDOW = 1 << 20;
/** Larger members are fed in pieces; before a damaged byte at most a fine piece is lost. */
const PIECE = 1 << 17;
const FINE_PIECE = 1 << 8;
const MOST_AT_ONCE = 1 << 26;
const TRAILER = 8;

const MAGIC = Buffer.from([0x1f, 0x8b, 8]);
const HEADER_CRC = 2;
const EXTRA = 4;
const NAME = 8;
const COMMENT = 16;
const RESERVED = 0xe0;

/** Length of the member header at `at`; 0 when there is none, −1 when it is not all there. */
export function memberHeader(b: Buffer, at: number): number {
  if (b.length - at < 10) return MAGIC.subarray(0, b.length - at).equals(b.subarray(at, at + 3)) ? -1 : 0;
  if (!b.subarray(at, at + 3).equals(MAGIC) || b[at + 3]! & RESERVED) return 0;
  const flags = b[at + 3]!;
  let end = at + 10;
  if (flags & EXTRA) {
    if (end + 2 > b.length) return -1;
    end += 2 + b.readUInt16LE(end);
  }
  for (const field of [NAME, COMMENT]) {
    if (!(flags & field)) continue;
    const zero = b.indexOf(0, end);
    if (zero < 0) return -1;
    end = zero + 1;
  }
  if (flags & HEADER_CRC) end += 2;
  return end > b.length ? -1 : end - at;
}

/** Place of the next member header from `from` on, or −1. */
function nextMember(b: Buffer, from: number): number {
  for (let i = b.indexOf(MAGIC, from); i >= 0; i = b.indexOf(MAGIC, i + 1))
    if (b.length - i < 10 || !(b[i + 3]! & RESERVED)) return i;
  return -1;
}

export interface Inflated {
  data: Buffer;
  /** Compressed bytes used. */
  used: number;
  state: "whole" | "cut" | "damaged";
}

function attempt(deflated: Buffer, most: number): Inflated {
  const options = {
    finishFlush: constants.Z_SYNC_FLUSH,
    maxOutputLength: most,
    chunkSize: 1 << 16,
    info: true,
  };
  const { buffer, engine } = inflateRawSync(deflated, options) as unknown as {
    buffer: Buffer;
    engine: { bytesWritten: number };
  };
  const used = engine.bytesWritten;
  return { data: buffer, used, state: used < deflated.length ? "whole" : "cut" };
}

/**
 * Inflates what can be inflated: of damaged data all before the damage, found by halving. A stream that ends with the
 * last byte counts as cut: what wraps deflate has a trailer. Throws RangeError for more than `most` bytes.
 */
export function inflateAll(deflated: Buffer, most = MOST_AT_ONCE): Inflated {
  try {
    return attempt(deflated, most);
  } catch (error) {
    if (error instanceof RangeError) throw error;
  }
  let [good, bad] = [0, deflated.length];
  while (bad - good > 1) {
    const middle = (good + bad) >> 1;
    try {
      attempt(deflated.subarray(0, middle), most);
      good = middle;
    } catch {
      bad = middle;
    }
  }
  const { data } = attempt(deflated.subarray(0, good), most);
  return { data, used: good, state: "damaged" };
}

/** Bytes of the compressed file, as far as they were read. */
class Source {
  buffer: Buffer = Buffer.alloc(0);
  /** Offset of buffer[0] in the file. */
  base = 0;
  ended = false;
  constructor(private readonly chunks: AsyncIterator<Uint8Array>) {}

  async need(bytes: number): Promise<void> {
    const parts: Uint8Array[] = [this.buffer];
    let have = this.buffer.length;
    while (have < bytes && !this.ended) {
      const next = await this.chunks.next();
      if (next.done) this.ended = true;
      else {
        parts.push(next.value);
        have += next.value.length;
      }
    }
    if (parts.length > 1) this.buffer = Buffer.concat(parts, have);
  }

  drop(bytes: number): void {
    this.buffer = this.buffer.subarray(bytes);
    this.base += bytes;
  }

  /** Closes what the bytes come from, which may not be at its end. */
  async close(): Promise<void> {
    await this.chunks.return?.();
  }
}

/**
 * Checks the trailer behind `used` bytes and drops the member. After a wrong sum the search for the next one begins at
 * `resume`: a damaged block may have run over its start.
 */
async function closeMember(
  source: Source,
  used: number,
  sum: { crc: number; length: number },
  resume: number,
): Promise<Gap | undefined> {
  await source.need(used + TRAILER);
  const at = source.base + used;
  const trailer = source.buffer.subarray(used, used + TRAILER);
  const right =
    trailer.length === TRAILER &&
    trailer.readUInt32LE(0) === sum.crc &&
    trailer.readUInt32LE(4) === sum.length % 2 ** 32;
  source.drop(right ? used + TRAILER : resume);
  if (trailer.length < TRAILER) return new Gap("the gzip stream is cut in a member's trailer", at);
  return right ? undefined : new Gap("a gzip member does not match its checksum", at);
}

/** Feeds one piece; resolves to whether the decoder took it without an error. */
function fed(inflate: InflateRaw, piece: Uint8Array): Promise<boolean> {
  return new Promise((done) => {
    const failed = () => done(false);
    inflate.once("error", failed);
    inflate.write(piece, () => {
      inflate.off("error", failed);
      done(inflate.errored === null);
    });
  });
}

function openInflate(ready: Buffer[]): InflateRaw {
  const inflate = createInflateRaw({ chunkSize: 1 << 18, flush: constants.Z_SYNC_FLUSH });
  inflate.on("error", () => undefined);
  inflate.on("data", (part: Buffer) => ready.push(part));
  return inflate;
}

/** The compressed bytes of the file from an offset on. */
export type Reopen = (from: number) => AsyncIterable<Uint8Array>;

/** What a member that begins at `start` has between its first `given` bytes and its damage in the `piece` behind them. */
async function salvage(reopen: Reopen, start: number, given: number): Promise<Buffer> {
  const ready: Buffer[] = [];
  const inflate = openInflate(ready);
  const source = new Source(reopen(start)[Symbol.asyncIterator]());
  try {
    while (source.base < given + PIECE) {
      const size = source.base < given ? Math.min(PIECE, given - source.base) : FINE_PIECE;
      await source.need(size);
      const piece = source.buffer.subarray(0, size);
      if (source.base < given) ready.length = 0;
      if (piece.length === 0 || !(await fed(inflate, piece))) break;
      if (source.base < given && source.base + piece.length >= given) ready.length = 0;
      source.drop(piece.length);
    }
  } finally {
    inflate.destroy();
    await source.close();
  }
  return Buffer.concat(ready);
}

/** A member too large for the window, in pieces; `source` begins at its deflated data. */
async function* largeMember(source: Source, reopen?: Reopen): AsyncGenerator<Uint8Array | Gap> {
  const ready: Buffer[] = [];
  const inflate = openInflate(ready);
  const start = source.base;
  let crc = 0;
  let length = 0;
  let given = 0;
  try {
    for (;;) {
      if (source.buffer.length === 0) await source.need(WINDOW);
      const piece = source.buffer.subarray(0, PIECE);
      if (piece.length === 0) {
        yield new Gap("the gzip stream ends within a member", source.base);
        return;
      }
      if (!(await fed(inflate, piece))) {
        if (reopen) yield await salvage(reopen, start, given);
        yield new Gap("a gzip member is damaged", source.base);
        source.drop(1);
        return;
      }
      for (const out of ready) {
        crc = crc32(out, crc);
        length += out.length;
        yield out;
      }
      ready.length = 0;
      given += piece.length;
      // The decoder takes all it is given until its data ends.
      const left = given - inflate.bytesWritten;
      if (left > 0) {
        const gap = await closeMember(source, piece.length - left, { crc, length }, piece.length - left);
        if (gap) yield gap;
        return;
      }
      source.drop(piece.length);
    }
  } finally {
    inflate.destroy();
  }
}

/** The next member, or the gap in its place. */
async function* member(
  source: Source,
  header: number,
  reopen: Reopen | undefined,
): AsyncGenerator<Uint8Array | Gap> {
  await source.need(WINDOW);
  let whole: Inflated | undefined;
  try {
    whole = inflateAll(source.buffer.subarray(header));
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
  }
  if (!whole || (whole.state === "cut" && !source.ended)) {
    source.drop(header);
    yield* largeMember(source, reopen);
    return;
  }
  if (whole.data.length > 0) yield whole.data;
  if (whole.state === "whole") {
    const sum = { crc: crc32(whole.data), length: whole.data.length };
    const gap = await closeMember(source, header + whole.used, sum, 1);
    if (gap) yield gap;
    return;
  }
  const at = source.base + header + whole.used;
  const reason = whole.state === "cut" ? "the gzip stream ends within a member" : "a gzip member is damaged";
  // What began here may have been no member, and the next one may begin within its header.
  source.drop(1);
  yield new Gap(reason, at);
}

/** Drops padding and what is no member. `broken`: what follows is the rest of a damaged member, which was reported. */
async function toMember(source: Source, broken: boolean): Promise<{ header: number } | Gap | undefined> {
  let junk = false;
  const start = source.base;
  for (;;) {
    await source.need(1 << 16);
    let zeros = 0;
    while (zeros < source.buffer.length && source.buffer[zeros] === 0) zeros++;
    source.drop(zeros);
    if (source.buffer.length === 0 && !source.ended) continue;
    if (source.buffer.length === 0) break;
    const header = memberHeader(source.buffer, 0);
    if (header > 0)
      return junk && !broken ? new Gap("bytes between gzip members are no member", start) : { header };
    if (header < 0 && source.ended) {
      source.drop(source.buffer.length);
      return new Gap("the gzip stream ends within a member's header", start);
    }
    const next = nextMember(source.buffer, 1);
    const passed = next < 0 ? Math.max(1, source.buffer.length - (source.ended ? 0 : 9)) : next;
    junk ||= !/^\s*$/.test(source.buffer.toString("latin1", 0, passed));
    source.drop(passed);
  }
  return junk && !broken ? new Gap("bytes after the gzip stream are no member", start) : undefined;
}

/** Decompressed chunks of a gzip file of any number of members, and the gaps where it is damaged. */
export async function* gunzipMembers(
  chunks: AsyncIterable<Uint8Array>,
  reopen?: Reopen,
): AsyncGenerator<Uint8Array | Gap> {
  const source = new Source(chunks[Symbol.asyncIterator]());
  let broken = false;
  try {
    for (;;) {
      const next = await toMember(source, broken);
      if (!next) return;
      broken = next instanceof Gap;
      if (next instanceof Gap) yield next;
      else
        for await (const part of member(source, next.header, reopen)) {
          broken = part instanceof Gap;
          yield part;
        }
    }
  } finally {
    await source.close();
  }
}
