// Transfer and content codings of an HTTP body by their grammars: lists undone from the last to the first, what is not
// known refused, what is cut or damaged kept as far as it can be decoded.
import { brotliDecompressSync, constants, inflateSync } from "node:zlib";
import { labelToName } from "@exodus/bytes/encoding.js";
import { Decompress } from "fzstd";
import { inflateAll, memberHeader } from "./members.ts";

/** Tokens of a comma-separated header, lower-case, without parameters. */
export function codingsOf(header: string): string[] {
  return header
    .split(",")
    .map((token) =>
      token
        .split(";")[0]!
        .trim()
        .toLowerCase()
        .replace(/^"(.*)"$/, "$1"),
    )
    .filter((token) => token !== "");
}

interface Chunks {
  body: Buffer;
  /** How the chunks end: with the last one, without it, within one, or with what is no chunk. */
  end: "last" | "none" | "cut" | "bad";
  /** Chunks that are whole, and the bytes in them. */
  whole: number;
  bytes: number;
}

const CHUNK_LINE = /^([0-9a-f]{1,8})[\t ]*(?:;[^\r\n]*)?$/i;

/** What may stand behind the last chunk. */
const TRAILER = /^(?:[!#$%&'*+.^_`|~0-9a-z-]+:[^\r\n]*\r?\n)*\s*$/i;
/** Bytes that a plain text joined under an old header would hardly add up to by chance. */
const CHUNK_EVIDENCE = 16;

function readChunks(body: Buffer): Chunks {
  const parts: Buffer[] = [];
  let at = 0;
  let bytes = 0;
  const result = (end: Chunks["end"]): Chunks => ({
    body: Buffer.concat(parts),
    end,
    whole: parts.length - (end === "cut" ? 1 : 0),
    bytes,
  });
  for (;;) {
    if (at >= body.length) return result("none");
    const lf = body.subarray(at, at + 1024).indexOf(10);
    const line = lf < 0 ? "" : body.toString("latin1", at, at + lf).replace(/\r$/, "");
    const size = CHUNK_LINE.exec(line)?.[1];
    if (lf < 0 && /^[0-9a-f]{0,8}\r?$/i.test(body.toString("latin1", at, at + 16))) return result("none");
    if (size === undefined) return result("bad");
    const from = at + lf + 1;
    const length = Number.parseInt(size, 16);
    if (length === 0)
      return result(
        TRAILER.test(body.toString("latin1", from, from + 8192)) || bytes >= CHUNK_EVIDENCE ? "last" : "bad",
      );
    parts.push(body.subarray(from, from + length));
    if (from + length > body.length) return result("cut");
    bytes += length;
    at = from + length;
    if (at >= body.length) return result("none");
    if (body[at] === 13) at++;
    if (body[at] !== 10) return at >= body.length ? result("none") : result("bad");
    at++;
  }
}

/**
 * The body without its chunks. Many crawlers store it joined under the old header: then it is as it stands. `begins`
 * recognises a body that is right once it is joined, where its chunks do not add up.
 */
function unchunk(body: Buffer, cut: boolean, begins: (body: Buffer) => boolean): Buffer {
  const read = readChunks(body);
  if (read.end === "last") return read.body;
  const added = read.whole > 0 && read.bytes >= CHUNK_EVIDENCE;
  if ((read.end === "none" && added) || (read.end === "cut" && (cut || added))) return read.body;
  return read.body.length > 0 && begins(read.body) && !begins(body) ? read.body : body;
}

const isGzip = (b: Buffer) => b[0] === 0x1f && b[1] === 0x8b;
const isZstd = (b: Buffer) => b.length >= 4 && b.readUInt32LE(0) === 0xfd2fb528;

/** Whether bytes are text under the header of a coding that was undone before they were stored. */
function readsAsText(body: Buffer): boolean {
  return !/[\0-\x08\x0e-\x1a\x1c-\x1f]/.test(body.toString("latin1", 0, 1024));
}

const TOO_MANY = "the body decodes to more bytes than are allowed";

function gunzip(body: Buffer, most: number): Buffer {
  const parts: Buffer[] = [];
  let at = 0;
  let bytes = 0;
  for (;;) {
    const header = memberHeader(body, at);
    if (header <= 0) break;
    // zlib takes no limit of 0, and the last members may be empty.
    const { data, used, state } = inflateAll(body.subarray(at + header), Math.max(1, most - bytes));
    parts.push(data);
    bytes += data.length;
    if (bytes > most) throw new RangeError(TOO_MANY);
    at += header + used + 8;
    if (state !== "whole") break;
    while (body[at] === 0) at++;
  }
  return Buffer.concat(parts);
}

function inflate(body: Buffer, most: number): Buffer {
  const zlib = (body[0]! & 0x0f) === 8 && body.length > 1 && body.readUInt16BE(0) % 31 === 0;
  if (!zlib) {
    // Raw data carries no mark: what breaks off is none.
    const { data, state } = inflateAll(body, most);
    if (state === "damaged") throw new Error("the body is no deflate");
    return data;
  }
  try {
    return inflateSync(body, { finishFlush: constants.Z_SYNC_FLUSH, maxOutputLength: most });
  } catch (error) {
    if (error instanceof RangeError) throw error;
    return inflateAll(body.subarray(2), most).data;
  }
}

/** Brotli, cut at the end or damaged: as far as it goes, found by halving. */
function unbrotli(body: Buffer, most: number): Buffer {
  const attempt = (bytes: number) =>
    brotliDecompressSync(body.subarray(0, bytes), {
      finishFlush: constants.BROTLI_OPERATION_FLUSH,
      maxOutputLength: most,
    });
  let [good, bad] = [0, body.length + 1];
  let last: Buffer = Buffer.alloc(0);
  for (let n = body.length; ; n = (good + bad) >> 1) {
    try {
      last = attempt(n);
      good = n;
    } catch (error) {
      if (error instanceof RangeError) throw error;
      bad = n;
    }
    if (bad - good <= 1) break;
  }
  if (last.length === 0) throw new Error("the body is no br");
  return last;
}

/** Zstandard frames as far as they can be decoded. */
function unzstd(body: Buffer, most: number): Buffer {
  const parts: Uint8Array[] = [];
  let bytes = 0;
  const stream = new Decompress((part) => {
    parts.push(part.slice());
    bytes += part.length;
    if (bytes > most) throw new RangeError(TOO_MANY);
  });
  try {
    stream.push(body, true);
  } catch (error) {
    if (error instanceof RangeError || bytes === 0) throw error;
  }
  return Buffer.concat(parts);
}

type Decoder = (body: Buffer, most: number) => Buffer;
const DECODERS: Record<string, { decode: Decoder; begins?: (body: Buffer) => boolean }> = {
  gzip: { decode: gunzip, begins: isGzip },
  deflate: { decode: inflate },
  br: { decode: unbrotli },
  zstd: { decode: unzstd, begins: isZstd },
};
const ALIASES: Record<string, string> = { "x-gzip": "gzip", "x-deflate": "deflate", "x-br": "br" };
/** What servers write where no coding is meant. */
const NEUTRAL = new Set(["identity", "none", "binary", "8bit", "7bit", "text/html", "text/plain"]);

const decoderOf = (coding: string) => DECODERS[ALIASES[coding] ?? coding];

function undo(body: Buffer, coding: string, most: number): Buffer {
  if (body.length === 0 || NEUTRAL.has(coding) || labelToName(coding) !== null) return body;
  const decoder = decoderOf(coding);
  if (!decoder) throw new Error(`content coding ${coding} is not known`);
  if (decoder.begins && !decoder.begins(body)) {
    if (readsAsText(body)) return body;
    throw new Error(`the body is no ${coding}`);
  }
  try {
    const decoded = decoder.decode(body, most);
    if (decoded.length > 0 || !readsAsText(body)) return decoded;
  } catch (error) {
    if (error instanceof RangeError || !readsAsText(body)) throw error;
  }
  return body;
}

export interface Codings {
  transfer: string;
  content: string;
  /** The crawler says that it cut the body. */
  cut: boolean;
  /** Most bytes that a body may decode to. */
  most: number;
}

/** The body with its codings undone, the last first. Throws for unknown codings and bodies that cannot be decoded. */
export function decodeBody(body: Buffer, { transfer, content, cut, most }: Codings): Buffer {
  let decoded = body;
  const contents = codingsOf(content).reverse();
  const transfers = codingsOf(transfer).reverse();
  const inner = transfers.includes("chunked")
    ? [...transfers.slice(transfers.indexOf("chunked") + 1), ...contents]
    : contents;
  const begins = decoderOf(inner.find((c) => decoderOf(c)) ?? "")?.begins ?? (() => false);
  for (const coding of transfers) {
    if (coding === "chunked") decoded = unchunk(decoded, cut, begins);
    else decoded = undo(decoded, coding, most);
  }
  for (const coding of contents) decoded = undo(decoded, coding, most);
  return decoded;
}
