// Grammars of a crawl's records: WARC and JSONL.
import { gzipSync } from "node:zlib";
import type { Draw } from "../inputs.ts";
import { or, text } from "./values.ts";

export function warc(d: Draw): Buffer {
  const record = () => {
    const html = `<html><body><p>${text(d)}</p>${"<b>".repeat(d.below(20))}</body></html>`;
    const coded = d.chance(0.2) ? gzipSync(html) : Buffer.from(html);
    const http = Buffer.concat([
      Buffer.from(
        `HTTP/1.1 ${d.pick(["200 OK", "301", "x", "200"])}\r\nContent-Type: ${d.pick(["text/html", "text/plain; charset=utf-16", "image/png", 'text/html; charset="'])}\r\n${d.pick(["", "Content-Encoding: gzip\r\n", "Content-Encoding: br, x\r\n", "Transfer-Encoding: chunked\r\n"])}\r\n`,
      ),
      coded,
    ]);
    const length = d.chance(0.1) ? d.pick(["-1", "99999999999", "x", "", "1e3"]) : String(http.length);
    const head = `WARC/${d.pick(["1.0", "1.1", "0.18", "x"])}\r\nWARC-Type: ${d.pick(["response", "request", "warcinfo", "conversion", "resource", ""])}\r\nWARC-Target-URI: ${d.pick(["http://a.b/c", "", "::", "http://[", "<http://a.b/>"])}\r\nContent-Type: ${d.pick(["application/http; msgtype=response", "application/http", "text/html", "", "application/http;"])}\r\nContent-Length: ${length}\r\n${d.chance(0.1) ? "Content-Length: 3\r\n" : ""}\r\n`;
    return Buffer.concat([Buffer.from(head), http, Buffer.from(d.pick(["\r\n\r\n", "\n\n", ""]))]);
  };
  const all = Buffer.concat(d.many(4, record));
  return d.chance(0.2) ? gzipSync(all) : all;
}

export const jsonl = (d: Draw): Buffer =>
  Buffer.from(
    d
      .many(6, () =>
        JSON.stringify(
          or(d, {
            id: or(d, text(d)),
            text: or(d, text(d)),
            html: or(d, `<p>${text(d)}`),
            url: or(d, "http://a.b"),
          }),
        ),
      )
      .join(d.pick(["\n", "\r\n", "\n\n", "\r"])),
  );
