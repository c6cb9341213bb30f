// Records of archives in the forms that crawlers and proxies write: heads of records, heads of responses, and both together.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { afterAll, expect, test } from "vitest";
import { readDocuments } from "../src/index.ts";

const root = mkdtempSync(join(tmpdir(), "nsa-archives-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));

const SENTENCE = "Every prime p has a square root of minus one where p = 1 mod 4.";
const PAGE = Buffer.from(`<html><body><p>${SENTENCE}</p></body></html>`);

interface Response {
  head: string;
  body: Buffer;
}
const html = (status: string, type = "Content-Type: text/html", end = "\r\n"): Response => ({
  head: `${status}${end}${type}${end}${end}`,
  body: PAGE,
});
const chunks = (body: Buffer, extension = "", trailer = "") =>
  Buffer.concat([
    ...[0, 30, 60, 90].flatMap((at) => {
      const part = body.subarray(at, at === 90 ? undefined : at + 30);
      return part.length === 0
        ? []
        : [Buffer.from(`${part.length.toString(16)}${extension}\r\n`), part, Buffer.from("\r\n")];
    }),
    Buffer.from(`0\r\n${trailer}\r\n`),
  ]);
const coded = (lines: string, body: Buffer): Response => ({
  head: `HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n${lines}\r\n\r\n`,
  body,
});

const RESPONSES: Record<string, Response> = {
  plain: html("HTTP/1.1 200 OK"),
  "without a reason": html("HTTP/1.1 200"),
  "of version 2": html("HTTP/2 200", "content-type: text/html"),
  "with single line ends": html("HTTP/1.0 200 OK", "Content-Type: text/html", "\n"),
  "in capitals": html("HTTP/1.1 200 OK", "CONTENT-TYPE: TEXT/HTML;CHARSET=UTF-8"),
  "with a type sent twice": html("HTTP/1.1 200 OK", "Content-Type: text/html, text/html"),
  "as XHTML": html("HTTP/1.1 200 OK", "Content-Type: application/xhtml+xml"),
  "in chunks": coded("Transfer-Encoding: chunked", chunks(PAGE)),
  "in chunks with extensions and a trailer": coded(
    "Transfer-Encoding: chunked",
    chunks(PAGE, ";a=b", "X: y\r\n"),
  ),
  "gzipped in chunks": coded("Transfer-Encoding: chunked\r\nContent-Encoding: gzip", chunks(gzipSync(PAGE))),
  "gzipped for the way": coded("Transfer-Encoding: gzip, chunked", chunks(gzipSync(PAGE))),
  "decoded under its old header": coded("Transfer-Encoding: chunked\r\nContent-Encoding: gzip", PAGE),
};

/** Records around a response's block. */
const RECORDS: Record<string, (block: Buffer) => Buffer> = {};
const record =
  (version: string, end: string, name: (name: string) => string, extra = "") =>
  (block: Buffer) => {
    const fields = [
      ["WARC-Type", "response"],
      ["WARC-Target-URI", "http://a.org/x"],
      ["WARC-Date", "2024-01-01T00:00:00Z"],
      ["WARC-Record-ID", "<urn:uuid:1>"],
      ["Content-Type", "application/http; msgtype=response"],
      ["Content-Length", String(block.length)],
    ].map(([field, value]) => `${name(field!)}${value}`);
    const head = [version, ...fields, ...(extra === "" ? [] : [extra])].join(end);
    return Buffer.concat([Buffer.from(head + end + end), block, Buffer.from(end + end)]);
  };
RECORDS["version 1.0"] = record("WARC/1.0", "\r\n", (n) => `${n}: `);
RECORDS["version 1.1"] = record("WARC/1.1", "\r\n", (n) => `${n}: `);
RECORDS["version 0.18"] = record("WARC/0.18", "\r\n", (n) => `${n}: `);
RECORDS["small letters"] = record("WARC/1.0", "\r\n", (n) => `${n.toLowerCase()}: `);
RECORDS["no blanks"] = record("WARC/1.0", "\r\n", (n) => `${n}:`);
RECORDS["single line ends"] = record("WARC/1.0", "\n", (n) => `${n}: `);
RECORDS["a folded field"] = record("WARC/1.0", "\r\n", (n) => `${n}: `, "X-A: b\r\n  continued");

test.each(Object.keys(RECORDS))("responses_in_records_of_%s_are_read", async (kind) => {
  for (const [name, { head, body }] of Object.entries(RESPONSES)) {
    const one = RECORDS[kind]!(Buffer.concat([Buffer.from(head), body]));
    for (const [file, bytes] of [
      ["a.warc", Buffer.concat([one, one])],
      ["a.warc.gz", Buffer.concat([gzipSync(one), gzipSync(one)])],
    ] as const) {
      const path = join(root, file);
      writeFileSync(path, bytes);
      const texts: string[] = [];
      for await (const event of readDocuments(path, { maxRecordBytes: 1 << 20 })) {
        if ("document" in event) texts.push(event.document.text);
        else expect(event, `${kind}, ${name}`).toBeUndefined();
      }
      expect(texts, `${kind}, ${name}, ${file}`).toEqual([SENTENCE, SENTENCE]);
    }
  }
});

test("ids_and_numbers_of_any_width_keep_their_digits", async () => {
  const rows: string[] = [];
  const expected: string[] = [];
  for (let width = 15; width < 75; width++) {
    const digits = "9876543210".repeat(8).slice(0, width);
    rows.push(`{"id": ${width % 2 === 0 ? digits : `-${digits}`}, "text": "width ${width}"}`);
    expected.push(width % 2 === 0 ? digits : `-${digits}`);
  }
  const path = join(root, "wide.jsonl");
  writeFileSync(path, rows.join("\n"));
  const ids: string[] = [];
  for await (const event of readDocuments(path, { maxRecordBytes: 1000 }))
    if ("document" in event) ids.push(event.document.id);
  expect(ids).toEqual(expected);
});
