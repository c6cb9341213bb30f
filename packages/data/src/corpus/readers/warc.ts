// WARC, WET and ARC files as a stream of raw records. Tolerant where archives differ in practice: gzip members that
// do not fall on records, `<…>` around target URIs, blanks inside URLs and types, damage between and within records.
import type { Gap } from "./members.ts";
import { blockLength } from "./record-length.ts";
import { Window } from "./window.ts";

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
  /** The crawler says that it cut the block (WARC-Truncated). */
  cut: boolean;
}

export type ArchiveEvent =
  | { record: ArchiveRecord }
  | { broken: { offset: number; reason: string; excerpt: string } };

const LF = 10;
const MARK = Buffer.from([0xef, 0xbb, 0xbf]);
const MAX_HEADER = 1 << 16;

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

/** URL, address, date, type (which may have blanks, or be empty) with what version 2 adds, length. */
const ARC_LINE = /^(\S.*) (\S+) (\d{8,14}) (.*?) ?(\d+)\r?$/;
/** The same, strictly enough to be found among other lines. */
const ARC_START = /^[a-z][a-z0-9+.-]{1,20}:\S.* [\da-f.:]+ \d{14} (?:.* )?\d+\r?$/i;
const MAX_LINE = 8192;

interface Head {
  format: "warc" | "arc";
  length: number;
  type: string;
  id: string;
  url: string;
  contentType: string;
  cut: boolean;
}

async function readHead(w: Window): Promise<Head | { reason: string }> {
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
      format: "warc",
      length,
      type: headers.get("warc-type") ?? "",
      id: (headers.get("warc-record-id") ?? "").replace(/^<|>$/g, ""),
      url: (headers.get("warc-target-uri") ?? "").replace(/^<|>$/g, ""),
      contentType: headers.get("content-type") ?? "",
      cut: headers.has("warc-truncated"),
    };
  }
  let newline = w.buffer.indexOf(LF, w.at);
  if (newline < 0) {
    await w.need(MAX_LINE);
    newline = w.buffer.indexOf(LF, w.at);
  }
  if (newline < 0) return { reason: w.left < MAX_LINE ? "truncated_header" : "not_an_archive" };
  const match = ARC_LINE.exec(w.buffer.toString("utf8", w.at, newline));
  if (!match) return { reason: "not_an_archive" };
  w.at = newline + 1;
  const isInfo = match[1]!.startsWith("filedesc:");
  return {
    format: "arc",
    length: Number(match[5]),
    type: isInfo ? "warcinfo" : "response",
    id: "",
    url: isInfo ? "" : match[1]!,
    contentType: isInfo ? match[4]! : "application/http; msgtype=response",
    cut: false,
  };
}

/** Moves to the next line that starts a WARC or an ARC record; false where the stream or a gap ends the search. */
async function resync(w: Window): Promise<boolean> {
  for (;;) {
    const newline = w.buffer.indexOf(LF, w.at);
    if (newline < 0) {
      w.at = w.buffer.length;
      if (!(await w.need(1))) return false;
      continue;
    }
    w.at = newline + 1;
    await w.need(5);
    if (w.buffer.toString("latin1", w.at, w.at + 5) === "WARC/") return true;
    let end = w.buffer.indexOf(LF, w.at);
    if (end < 0) {
      await w.need(MAX_LINE);
      end = w.buffer.indexOf(LF, w.at);
    }
    if (end < 0 || end - w.at > MAX_LINE) continue;
    if (ARC_START.test(w.buffer.toString("latin1", w.at, end))) return true;
  }
}

/** Records that hold no document are held up to this length, to see whether it is right. */
const MAX_PASSED = 1 << 16;
const WANTED = new Set(["response", "resource", "conversion"]);

/**
 * Records whose type may hold a document; others are passed over without being held. Broken records are reported and
 * the stream picked up at the next one.
 */
export async function* readArchive(
  chunks: AsyncIterable<Uint8Array | Gap>,
  maxBytes: number,
): AsyncGenerator<ArchiveEvent> {
  const source = chunks[Symbol.asyncIterator]();
  try {
    yield* recordsOf(new Window(source), maxBytes);
  } finally {
    await source.return?.();
  }
}

async function* recordsOf(w: Window, maxBytes: number): AsyncGenerator<ArchiveEvent> {
  // A byte order mark before the first record is an editor's.
  if ((await w.need(3)) && w.buffer.subarray(w.at, w.at + 3).equals(MARK)) w.at += 3;
  for (;;) {
    while ((await w.need(1)) && (w.buffer[w.at] === LF || w.buffer[w.at] === 13 || w.buffer[w.at] === 0))
      w.at++;
    const offset = w.offset;
    if (w.left === 0) {
      if (!w.gap) return;
      yield { broken: { offset, reason: "stream_broken", excerpt: `${w.gap.reason} (byte ${w.gap.at})` } };
      w.cross();
      continue;
    }
    const excerpt = w.buffer.toString("latin1", w.at, w.at + 80);
    const event = await readRecord(w, maxBytes, offset);
    if (event === "passed") continue;
    if ("record" in event) {
      yield event;
      continue;
    }
    yield { broken: { offset, reason: event.reason, excerpt } };
    // Behind a record that is cut by a gap or the end nothing is left to search.
    if (event.reason === "truncated_record") w.at = w.buffer.length;
    else if (event.reason !== "record_too_long") await resync(w);
  }
}

type Outcome = { record: ArchiveRecord } | { reason: string } | "passed";

async function readRecord(w: Window, maxBytes: number, offset: number): Promise<Outcome> {
  const head = await readHead(w);
  if ("reason" in head) return head;
  const wanted = WANTED.has(head.type);
  const { format, length: stated, ...rest } = head;
  const length = format === "warc" ? await blockLength(w, stated, wanted ? maxBytes : MAX_PASSED) : stated;
  if (!wanted || length > maxBytes) {
    if (!(await w.skip(length))) return { reason: "truncated_record" };
    return wanted ? { reason: "record_too_long" } : "passed";
  }
  if (!(await w.need(length))) return { reason: "truncated_record" };
  const block = w.buffer.subarray(w.at, w.at + length);
  w.at += length;
  return { record: { ...rest, block, offset } };
}
