// WARC, WET and ARC files as a stream of raw records. Tolerant where archives differ in practice: gzip members that
// do not fall on records, `<…>` around target URIs, spaces inside URLs.

export interface ArchiveRecord {
  /** `response`, `resource`, `conversion`, `request`, `warcinfo` …; ARC records are `response`. */
  type: string;
  /** Record id, or empty. */
  id: string;
  url: string;
  contentType: string;
  /** The block: for a response the HTTP head and body. */
  block: Buffer;
  /** Byte offset of the record in the decompressed stream. */
  offset: number;
}

export type ArchiveEvent =
  | { record: ArchiveRecord }
  | { broken: { offset: number; reason: string; excerpt: string } };

const LF = 10;
const MAX_HEADER = 1 << 16;

/** A growing window over a byte stream. */
class Window {
  buffer: Buffer = Buffer.alloc(0);
  at = 0;
  /** Stream offset of buffer[0]. */
  base = 0;
  ended = false;
  constructor(private source: AsyncIterator<Uint8Array>) {}

  get offset(): number {
    return this.base + this.at;
  }
  get left(): number {
    return this.buffer.length - this.at;
  }
  /** Makes at least n bytes available unless the stream ends first. */
  async need(n: number): Promise<boolean> {
    if (this.left >= n) return true;
    const parts: Uint8Array[] = [this.buffer.subarray(this.at)];
    let have = this.left;
    while (have < n && !this.ended) {
      const next = await this.source.next();
      if (next.done) this.ended = true;
      else {
        parts.push(next.value);
        have += next.value.length;
      }
    }
    this.base += this.at;
    this.at = 0;
    this.buffer = parts.length === 1 ? Buffer.from(parts[0]!) : Buffer.concat(parts, have);
    return have >= n;
  }
  /** Skips n bytes without holding them; false when the stream ends first. */
  async skip(n: number): Promise<boolean> {
    let rest = n;
    for (;;) {
      const step = Math.min(rest, this.left);
      this.at += step;
      rest -= step;
      if (rest === 0) return true;
      if (!(await this.need(1))) return false;
    }
  }
}

/** End of the header block at `from` (after its blank line), or −1. */
function headerEnd(b: Buffer, from: number): number {
  for (let i = b.indexOf(LF, from); i >= 0; i = b.indexOf(LF, i + 1)) {
    if (b[i + 1] === LF) return i + 2;
    if (b[i + 1] === 13 && b[i + 2] === LF) return i + 3;
  }
  return -1;
}

export function parseHeaders(text: string): Map<string, string> {
  const headers = new Map<string, string>();
  let last = "";
  for (const line of text.split(/\r?\n/)) {
    if (/^[ \t]/.test(line) && last) {
      headers.set(last, `${headers.get(last)} ${line.trim()}`);
      continue;
    }
    const colon = line.indexOf(":");
    if (colon <= 0) continue;
    last = line.slice(0, colon).trim().toLowerCase();
    if (!headers.has(last)) headers.set(last, line.slice(colon + 1).trim());
  }
  return headers;
}

const ARC_LINE = /^(\S.*) (\S+) (\d{8,14}) (\S+) (\d+)\r?$/;

interface Head {
  length: number;
  type: string;
  id: string;
  url: string;
  contentType: string;
}

async function readHead(w: Window): Promise<Head | { reason: string } | undefined> {
  await w.need(5);
  if (w.buffer.toString("latin1", w.at, w.at + 5) === "WARC/") {
    let end = headerEnd(w.buffer, w.at);
    for (let n = 4096; end < 0 && n <= MAX_HEADER; n *= 2) {
      const more = await w.need(n);
      end = headerEnd(w.buffer, w.at);
      if (!more) break;
    }
    if (end < 0) return { reason: "truncated_header" };
    const headers = parseHeaders(w.buffer.toString("utf8", w.at, end));
    w.at = end;
    const length = Number(headers.get("content-length"));
    if (!Number.isSafeInteger(length) || length < 0) return { reason: "no_content_length" };
    return {
      length,
      type: headers.get("warc-type") ?? "",
      id: (headers.get("warc-record-id") ?? "").replace(/^<|>$/g, ""),
      url: (headers.get("warc-target-uri") ?? "").replace(/^<|>$/g, ""),
      contentType: headers.get("content-type") ?? "",
    };
  }
  let newline = w.buffer.indexOf(LF, w.at);
  if (newline < 0) {
    await w.need(8192);
    newline = w.buffer.indexOf(LF, w.at);
  }
  if (newline < 0) return { reason: w.left < 8192 ? "truncated_header" : "not_an_archive" };
  const match = ARC_LINE.exec(w.buffer.toString("utf8", w.at, newline));
  if (!match) return { reason: "not_an_archive" };
  w.at = newline + 1;
  const isInfo = match[1]!.startsWith("filedesc:");
  return {
    length: Number(match[5]),
    type: isInfo ? "warcinfo" : "response",
    id: "",
    url: isInfo ? "" : match[1]!,
    contentType: isInfo ? match[4]! : "application/http; msgtype=response",
  };
}

/** Moves to the next line that starts a WARC record. */
async function resync(w: Window): Promise<boolean> {
  for (;;) {
    if (!(await w.need(6))) return false;
    const found = w.buffer.indexOf("\nWARC/", w.at);
    if (found >= 0) {
      w.at = found + 1;
      return true;
    }
    w.at = Math.max(w.at, w.buffer.length - 5);
    if (!(await w.need(w.left + 1))) return false;
  }
}

const WANTED = new Set(["response", "resource", "conversion"]);

/**
 * Records whose type may hold a document; others are passed over without being held. Broken records are reported and
 * the stream picked up at the next one.
 */
export async function* readArchive(
  chunks: AsyncIterable<Uint8Array>,
  maxBytes: number,
): AsyncGenerator<ArchiveEvent> {
  const w = new Window(chunks[Symbol.asyncIterator]());
  for (;;) {
    while ((await w.need(1)) && (w.buffer[w.at] === LF || w.buffer[w.at] === 13)) w.at++;
    if (w.left === 0) return;
    const offset = w.offset;
    const excerpt = w.buffer.toString("latin1", w.at, w.at + 80);
    const head = await readHead(w);
    if (!head) return;
    if ("reason" in head) {
      yield { broken: { offset, reason: head.reason, excerpt } };
      if (!(await resync(w))) return;
      continue;
    }
    const wanted = WANTED.has(head.type);
    if (!wanted || head.length > maxBytes) {
      if (wanted) yield { broken: { offset, reason: "record_too_long", excerpt } };
      if (!(await w.skip(head.length))) {
        if (!wanted) yield { broken: { offset, reason: "truncated_record", excerpt } };
        return;
      }
      continue;
    }
    if (!(await w.need(head.length))) {
      yield { broken: { offset, reason: "truncated_record", excerpt } };
      return;
    }
    const { length, ...rest } = head;
    yield { record: { ...rest, block: w.buffer.subarray(w.at, w.at + length), offset } };
    w.at += length;
  }
}
