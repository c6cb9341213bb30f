// HTTP messages in archives: encodings of the body, chunks, folded and repeated headers.
import { brotliCompressSync, deflateRawSync, deflateSync, gzipSync } from "node:zlib";
import { expect, test } from "vitest";
import { parseHttp } from "../src/corpus/readers/http.ts";

const text = "<p>The body of a page, żółw.</p>".repeat(9);
const message = (headers: string[], body: Buffer | string, status = "HTTP/1.1 200 OK") =>
  Buffer.concat([Buffer.from(`${[status, ...headers].join("\r\n")}\r\n\r\n`), Buffer.from(body)]);
const bodyOf = (block: Buffer) => parseHttp(block)!.body.toString();

test.each([
  ["gzip", gzipSync(text)],
  ["x-gzip", gzipSync(text)],
  ["deflate", deflateSync(text)],
  ["deflate", deflateRawSync(text)],
  ["br", brotliCompressSync(text)],
  ["identity", Buffer.from(text)],
  // Crawlers leave the old header on a body that is plain by now.
  ["gzip", Buffer.from(text)],
])("a_body_in_%s_is_read", (encoding, body) => {
  expect(bodyOf(message([`Content-Encoding: ${encoding.toUpperCase()} `], body))).toBe(text);
});

test("chunks_are_joined_with_extensions_and_before_the_encoding_is_undone", () => {
  const zipped = gzipSync(text);
  const half = Math.floor(zipped.length / 3);
  const chunk = (part: Buffer, note = "") =>
    Buffer.concat([Buffer.from(`${part.length.toString(16)}${note}\r\n`), part, Buffer.from("\r\n")]);
  const body = Buffer.concat([
    chunk(zipped.subarray(0, half)),
    chunk(zipped.subarray(half), ";name=value"),
    Buffer.from("0\r\n\r\n"),
  ]);
  const headers = ["Transfer-Encoding: chunked", "Content-Encoding: gzip"];
  expect(bodyOf(message(headers, body))).toBe(text);
  // Joined already, under the old header.
  expect(bodyOf(message(["Transfer-Encoding: chunked"], `<html>\r\n${text}`))).toBe(`<html>\r\n${text}`);
});

test("of_two_headers_of_one_name_the_first_counts_and_folded_lines_are_one", () => {
  const { headers, status } = parseHttp(
    message(
      ["Content-Type: text/html;", "\tcharset=latin2", "X-A: one", "x-a: two", "No colon here", ": empty"],
      "",
      "HTTP/1.0 404 Not: Found",
    ),
  )!;
  expect(status).toBe(404);
  expect(Object.fromEntries(headers)).toEqual({
    "content-type": "text/html; charset=latin2",
    "http/1.0 404 not": "Found",
    "x-a": "one",
  });
});

test("line_ends_may_be_single_and_blocks_that_are_no_response_are_none", () => {
  expect(bodyOf(Buffer.from("HTTP/2 200\nA: b\n\nbody\r\n\r\nrest"))).toBe("body\r\n\r\nrest");
  expect(parseHttp(Buffer.from("HTTP/1.1 200 OK\r\nA: b"))!.body).toHaveLength(0);
  expect(parseHttp(Buffer.from("GET / HTTP/1.1\r\n\r\n"))).toBeUndefined();
});
