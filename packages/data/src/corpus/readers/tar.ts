// Members of a tar archive one by one: ustar, GNU's long names and binary sizes, pax headers, archives behind one another.
//
// A header is 512 bytes with a sum of its own, so that behind damage the next one is found: block by block while the blocks are
// in place, by its magic where bytes are lost. Directories, links and devices are passed over, sparse files reported.
import type { Gap } from "./members.ts";
import { Window } from "./window.ts";

const BLOCK = 512;
const MAGIC = Buffer.from("ustar");
const MAGIC_AT = 257;
/** Longest extended header; names are shorter by far. */
const MAX_EXTENSION = 1 << 20;
const PIECE = 1 << 18;

export interface TarMember {
  name: string;
  size: number;
  /** Offset of its content in the decompressed archive. */
  offset: number;
  /** Its content; what of it was not read is skipped when the next member is asked for. */
  parts(): AsyncGenerator<Uint8Array | Gap>;
}

export type TarEvent =
  | { member: TarMember }
  | { broken: { offset: number; reason: string; excerpt: string } };

interface Header {
  name: string;
  size: number;
  type: string;
}

/** Text up to its first NUL. */
function field(block: Buffer, from: number, length: number): string {
  const bytes = block.subarray(from, from + length);
  const end = bytes.indexOf(0);
  return bytes.toString("utf8", 0, end < 0 ? length : end);
}

/** Octal digits, or a binary number where the first bit is set; NaN for others. */
function numberAt(block: Buffer, from: number, length: number): number {
  if (block[from]! & 0x80) {
    let value = block[from]! & 0x7f;
    for (let i = 1; i < length; i++) value = value * 256 + block[from + i]!;
    return Number.isSafeInteger(value) ? value : Number.NaN;
  }
  const digits = field(block, from, length).trim();
  return digits === "" ? 0 : /^[0-7]+$/.test(digits) ? Number.parseInt(digits, 8) : Number.NaN;
}

const SUM_AT = 148;
const SUM_LENGTH = 8;

/** Whether the sum is that of the bytes, taken without or with a sign, with blanks in its own place. */
function sumFits(block: Buffer): boolean {
  const written = numberAt(block, SUM_AT, SUM_LENGTH);
  let unsigned = 0;
  let signed = 0;
  for (let i = 0; i < BLOCK; i++) {
    const byte = i >= SUM_AT && i < SUM_AT + SUM_LENGTH ? 32 : block[i]!;
    unsigned += byte;
    signed += byte > 127 ? byte - 256 : byte;
  }
  return written === unsigned || written === signed;
}

/** The header in a block; undefined for what is none. */
export function tarHeader(block: Buffer): Header | undefined {
  if (block.length < BLOCK || block[0] === 0 || !sumFits(block)) return undefined;
  const size = numberAt(block, 124, 12);
  if (Number.isNaN(size)) return undefined;
  const ustar = block.toString("latin1", MAGIC_AT, MAGIC_AT + 6) === "ustar\0";
  const prefix = ustar ? field(block, 345, 155) : "";
  const name = field(block, 0, 100);
  return { name: prefix ? `${prefix}/${name}` : name, size, type: String.fromCharCode(block[156]!) };
}

/** Keys and values of a pax header: `length key=value` lines, the length with itself. */
function paxRecords(bytes: Buffer): Map<string, string> {
  const records = new Map<string, string>();
  for (let at = 0; at < bytes.length; ) {
    const blank = bytes.indexOf(32, at);
    const length = Number(bytes.toString("latin1", at, blank));
    if (blank < 0 || !Number.isSafeInteger(length) || length <= blank - at) break;
    const line = bytes.toString("utf8", blank + 1, at + length - 1);
    const equals = line.indexOf("=");
    if (equals > 0) records.set(line.slice(0, equals), line.slice(equals + 1));
    at += length;
  }
  return records;
}

const padded = (size: number) => Math.ceil(size / BLOCK) * BLOCK;
const isZero = (block: Buffer) => block.every((byte) => byte === 0);

class TarReader {
  /** What extended headers say of the next member. */
  private next = new Map<string, string>();
  /** The gap that the member's reader was given. */
  private reported: Gap | undefined;
  /** Bytes up to the next header. */
  private behind = 0;

  constructor(private readonly w: Window) {}

  async *events(): AsyncGenerator<TarEvent> {
    const { w } = this;
    for (;;) {
      const skipped = await w.skip(this.behind);
      this.behind = 0;
      const offset = w.offset;
      if (!skipped || !(await w.need(BLOCK))) {
        if (w.gap) {
          if (w.gap !== this.reported)
            yield broken(offset, "stream_broken", `${w.gap.reason} (byte ${w.gap.at})`);
          w.cross();
          this.next.clear();
          if (await this.search(1)) continue;
          if (w.gap) continue;
          return;
        }
        if (!skipped || w.left > 0) yield broken(offset, "stream_broken", "the tar archive is cut");
        return;
      }
      const block = w.buffer.subarray(w.at, w.at + BLOCK);
      if (isZero(block)) {
        w.at += BLOCK;
        continue;
      }
      const header = tarHeader(block);
      if (!header) {
        yield broken(offset, "tar_damaged", block.toString("latin1", 0, 80));
        this.next.clear();
        w.at += BLOCK;
        if (!(await this.search(BLOCK)) && !w.gap) return;
        continue;
      }
      w.at += BLOCK;
      this.behind = padded(header.size);
      yield* this.entry(header, offset);
    }
  }

  private async *entry(header: Header, offset: number): AsyncGenerator<TarEvent> {
    const { w } = this;
    if ("LKxgX".includes(header.type)) {
      if (header.size > MAX_EXTENSION || !(await w.need(header.size))) {
        yield broken(offset, "tar_damaged", `an extended header of ${header.size} bytes`);
        return;
      }
      const content = w.buffer.subarray(w.at, w.at + header.size);
      if (header.type === "L") this.next.set("path", content.toString("utf8").replace(/\0.*$/s, ""));
      if ("xX".includes(header.type)) for (const [k, v] of paxRecords(content)) this.next.set(k, v);
      return;
    }
    const extended = this.next;
    this.next = new Map();
    const name = extended.get("path") ?? header.name;
    const stated = extended.get("size");
    const size = stated !== undefined && /^\d+$/.test(stated) ? Number(stated) : header.size;
    this.behind = padded(size);
    const sparse = header.type === "S" || [...extended.keys()].some((key) => key.startsWith("GNU.sparse"));
    if (sparse) yield broken(offset, "tar_sparse", name);
    else if ("0\x007".includes(header.type) && !name.endsWith("/"))
      yield { member: { name, size, offset: offset + BLOCK, parts: () => this.content(size) } };
  }

  private async *content(size: number): AsyncGenerator<Uint8Array | Gap> {
    const { w } = this;
    let rest = size;
    while (rest > 0) {
      if (w.left === 0 && !(await w.need(1))) {
        // The loss is the member's; `events` finds the next header behind it.
        if (w.gap) {
          this.reported = w.gap;
          yield w.gap;
        }
        return;
      }
      const piece = Math.min(rest, w.left, PIECE);
      const bytes = Buffer.from(w.buffer.subarray(w.at, w.at + piece));
      w.at += piece;
      rest -= piece;
      this.behind -= piece;
      yield bytes;
    }
  }

  /** Moves to the next block that is a header, in steps of so many bytes; false where none follows before a gap or the end. */
  private async search(step: number): Promise<boolean> {
    const { w } = this;
    for (;;) {
      if (!(await w.need(BLOCK))) {
        w.at = w.buffer.length;
        return false;
      }
      if (step === 1) {
        // Out of place, only headers with the magic are looked for.
        const found = w.buffer.indexOf(MAGIC, w.at + MAGIC_AT);
        const start = found < 0 ? w.buffer.length - MAGIC_AT - MAGIC.length : found - MAGIC_AT;
        w.at = Math.max(w.at, start);
        if (found < 0) {
          if (!(await w.need(w.left + BLOCK))) w.at = w.buffer.length;
          continue;
        }
        if (!(await w.need(BLOCK))) continue;
      }
      if (tarHeader(w.buffer.subarray(w.at, w.at + BLOCK))) return true;
      w.at += step;
    }
  }
}

const broken = (offset: number, reason: string, excerpt: string): TarEvent => ({
  broken: { offset, reason, excerpt },
});

/** Members of an archive, in order, and what is damaged between them. */
export async function* readTar(chunks: AsyncIterable<Uint8Array | Gap>): AsyncGenerator<TarEvent> {
  const source = chunks[Symbol.asyncIterator]();
  try {
    yield* new TarReader(new Window(source)).events();
  } finally {
    await source.return?.();
  }
}
