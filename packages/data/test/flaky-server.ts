// A web server on this machine for tests: ranges, If-Range and 416 as servers have them, and whatever a test makes of a request.
import { createHash } from "node:crypto";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, beforeEach } from "vitest";

/** What the server does with the n-th request for a file. */
export type Behave = (request: IncomingMessage, reply: ServerResponse, n: number, file: File) => boolean;
export interface File {
  content: Buffer;
  headers: Record<string, string>;
}

export const files = new Map<string, File>();
export const asked: { path: string; range: string; ifRange: string }[] = [];
/** Settings of a test: `behave` answers a request itself and returns true, or leaves it. */
export const web: { at: string; behave: Behave } = { at: "", behave: () => false };

export const hashOf = (bytes: Buffer) => createHash("sha256").update(bytes).digest("hex").slice(0, 12);
export function serve(path: string, content: Buffer | string, headers?: Record<string, string>): File {
  const bytes = Buffer.from(content);
  const file = { content: bytes, headers: headers ?? { etag: `"${hashOf(bytes)}"` } };
  files.set(path, file);
  return file;
}

/** Answers as a web server does: ranges, If-Range, 416. */
export function answer(request: IncomingMessage, reply: ServerResponse, { content, headers }: File): void {
  const range = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? "");
  const condition = request.headers["if-range"];
  const fits =
    condition === undefined || condition === headers.etag || condition === headers["last-modified"];
  if (!range || !fits) {
    reply.writeHead(200, { ...headers, "content-length": content.length }).end(content);
    return;
  }
  const [from, to] = [
    Number(range[1]),
    range[2] === "" ? content.length - 1 : Math.min(Number(range[2]), content.length - 1),
  ];
  if (from >= content.length) {
    reply.writeHead(416, { ...headers, "content-range": `bytes */${content.length}` }).end();
    return;
  }
  const part = content.subarray(from, to + 1);
  reply.writeHead(206, {
    ...headers,
    "content-length": part.length,
    "content-range": `bytes ${from}-${to}/${content.length}`,
  });
  reply.end(part);
}

const server = createServer((request, reply) => {
  const path = request.url!;
  const n = asked.filter((r) => r.path === path).length;
  asked.push({
    path,
    range: request.headers.range ?? "",
    ifRange: String(request.headers["if-range"] ?? ""),
  });
  const file = files.get(path);
  if (!file) reply.writeHead(404).end();
  else if (!web.behave(request, reply, n, file)) answer(request, reply, file);
});
beforeAll(async () => {
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  web.at = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterAll(() => {
  server.closeAllConnections();
  server.close();
});
beforeEach(() => {
  files.clear();
  asked.length = 0;
  web.behave = () => false;
});
/** Sends the head of an answer and so many bytes, and cuts the connection. */
export const cut = (
  request: IncomingMessage,
  reply: ServerResponse,
  { content: all, headers }: File,
  bytes: number,
) => {
  const from = Number(/^bytes=(\d+)-/.exec(request.headers.range ?? "")?.[1] ?? 0);
  const head = from > 0 ? { "content-range": `bytes ${from}-${all.length - 1}/${all.length}` } : {};
  reply.writeHead(from > 0 ? 206 : 200, { ...headers, ...head, "content-length": all.length - from });
  reply.write(all.subarray(from, from + bytes), () => reply.destroy());
  return true;
};
