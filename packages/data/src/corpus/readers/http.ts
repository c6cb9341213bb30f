// The HTTP message inside a response record: status, headers, and the body with transfer and content encoding undone.
import { brotliDecompressSync, gunzipSync, inflateRawSync, inflateSync } from "node:zlib";
import { parseHeaders } from "./warc.ts";

export interface HttpMessage {
  status: number;
  headers: Map<string, string>;
  body: Buffer;
}

function unchunk(body: Buffer): Buffer {
  const parts: Buffer[] = [];
  let at = 0;
  for (;;) {
    const end = body.indexOf("\r\n", at);
    if (end < 0) break;
    const size = Number.parseInt(body.toString("latin1", at, end), 16);
    // Some crawlers store the body already joined under the old header: then it is used as it stands.
    if (Number.isNaN(size)) return parts.length === 0 ? body : Buffer.concat(parts);
    if (size === 0) break;
    parts.push(body.subarray(end + 2, end + 2 + size));
    at = end + 2 + size + 2;
    if (at > body.length) break;
  }
  return Buffer.concat(parts);
}

function decode(body: Buffer, encoding: string): Buffer {
  switch (encoding) {
    case "gzip":
    case "x-gzip":
      return body[0] === 0x1f && body[1] === 0x8b ? gunzipSync(body) : body;
    case "deflate":
      return (body[0]! & 0x0f) === 8 ? inflateSync(body) : inflateRawSync(body);
    case "br":
      return brotliDecompressSync(body);
    default:
      return body;
  }
}

/** Throws what zlib throws when the content encoding is broken; undefined when the block is no HTTP response. */
export function parseHttp(block: Buffer): HttpMessage | undefined {
  const crlf = block.indexOf("\r\n\r\n");
  const lf = block.indexOf("\n\n");
  const end = crlf >= 0 && (lf < 0 || crlf < lf) ? crlf + 4 : lf >= 0 ? lf + 2 : -1;
  const head = block.toString("latin1", 0, end < 0 ? block.length : end);
  const status = /^HTTP\/\d(?:\.\d)? (\d{3})/.exec(head)?.[1];
  if (!status) return undefined;
  const headers = parseHeaders(head);
  let body = end < 0 ? Buffer.alloc(0) : block.subarray(end);
  if (/chunked/i.test(headers.get("transfer-encoding") ?? "")) body = unchunk(body);
  body = decode(body, (headers.get("content-encoding") ?? "").trim().toLowerCase());
  return { status: Number(status), headers, body };
}
