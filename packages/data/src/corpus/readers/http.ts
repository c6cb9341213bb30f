// The HTTP message inside a response record: status, headers, and the body with transfer and content codings undone.
import { decodeBody } from "./codings.ts";
import { parseHeaders } from "./warc.ts";

export interface HttpMessage {
  status: number;
  headers: Map<string, string>;
  body: Buffer;
}

export interface HttpOptions {
  /** The crawler says that it cut the message. */
  cut?: boolean;
  /** Most bytes that the body may decode to; 256 MiB by default. */
  most?: number;
}

/** A header that is a list, which may be spread over several lines. */
function listOf(head: string, headers: Map<string, string>, name: string): string {
  const lines = head.split(/\r?\n/).filter((line) => line.toLowerCase().startsWith(`${name}:`));
  return lines.length > 1
    ? lines.map((line) => line.slice(name.length + 1)).join(",")
    : (headers.get(name) ?? "");
}

/** Throws when the body's codings are unknown or cannot be undone; undefined when the block is no HTTP response. */
export function parseHttp(block: Buffer, options: HttpOptions = {}): HttpMessage | undefined {
  const { cut = false, most = 1 << 28 } = options;
  const crlf = block.indexOf("\r\n\r\n");
  const lf = block.indexOf("\n\n");
  const end = crlf >= 0 && (lf < 0 || crlf < lf) ? crlf + 4 : lf >= 0 ? lf + 2 : -1;
  const head = block.toString("latin1", 0, end < 0 ? block.length : end);
  const status = /^HTTP\/\d(?:\.\d)? (\d{3})/.exec(head)?.[1];
  if (!status) return undefined;
  const headers = parseHeaders(head);
  const body = decodeBody(end < 0 ? Buffer.alloc(0) : block.subarray(end), {
    transfer: listOf(head, headers, "transfer-encoding"),
    content: listOf(head, headers, "content-encoding"),
    cut,
    most,
  });
  return { status: Number(status), headers, body };
}
