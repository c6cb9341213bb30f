// Bodies in their transfer and content codings, by the grammars of HTTP and by what crawlers leave behind.
import { brotliCompressSync, deflateRawSync, deflateSync, gzipSync } from "node:zlib";
import { expect, test } from "vitest";
import { parseHttp } from "../src/corpus/readers/http.ts";
import { parseRow } from "../src/corpus/readers/numbers.ts";

const text = Array.from({ length: 60 }, (_, i) => `<p>Line ${i} of żółw: ${Math.cos(i)}</p>`).join("\n");
const message = (headers: string[], body: Buffer | string) =>
  Buffer.concat([Buffer.from(`HTTP/1.1 200 OK\r\n${headers.join("\r\n")}\r\n\r\n`), Buffer.from(body)]);
const bodyOf = (headers: string[], body: Buffer | string, cut = false) =>
  parseHttp(message(headers, body), { cut })!.body;

/** One raw block: a zstd frame that stores its content. */
function zstd(content: Buffer): Buffer {
  const head = Buffer.alloc(13);
  head.writeUInt32LE(0xfd2fb528, 0);
  head[4] = 0xa0;
  head.writeUInt32LE(content.length, 5);
  head.writeUIntLE((content.length << 3) | 1, 9, 3);
  return Buffer.concat([head.subarray(0, 12), content]);
}
const CODERS: Record<string, (b: Buffer) => Buffer> = {
  gzip: (b) => gzipSync(b),
  "x-gzip": (b) => gzipSync(b),
  deflate: (b) => deflateSync(b),
  br: (b) => brotliCompressSync(b),
  zstd,
  identity: (b) => b,
};
const names = Object.keys(CODERS);
const PAIRS = names.flatMap((a) => names.map((b) => [a, b] as const));

test.each(PAIRS)("a_list_of_%s_and_%s_is_undone_from_the_last", (first, second) => {
  const body = CODERS[second]!(CODERS[first]!(Buffer.from(text)));
  for (const headers of [
    [`Content-Encoding: ${first}, ${second}`],
    [`content-encoding:${first.toUpperCase()},${second}`],
    [`Content-Encoding: ${first}`, "X: y", `Content-Encoding: ${second}`],
    [`Transfer-Encoding: ${second}`, `Content-Encoding: ${first}`],
  ])
    expect(bodyOf(headers, body).toString(), headers.join()).toBe(text);
});

test.each(["compress", "x-compress", "exi", "pack200-gzip", "lzma", "gzip, snappy"])(
  "a_body_in_%s_is_refused_by_name",
  (coding) => {
    expect(() => bodyOf([`Content-Encoding: ${coding}`], Buffer.from([1, 2, 3]))).toThrow(/is not known/);
  },
);

test.each(["none", "UTF-8", "iso-8859-1", "binary", "8bit", ""])(
  "what_is_no_coding_(%s)_changes_nothing",
  (coding) => {
    expect(bodyOf([`Content-Encoding: ${coding}`], text).toString()).toBe(text);
  },
);

test.each(["gzip", "deflate", "br", "zstd"])("a_plain_body_under_an_old_%s_header_stays_plain", (coding) => {
  expect(bodyOf([`Content-Encoding: ${coding}`], text).toString()).toBe(text);
  expect(() => bodyOf([`Content-Encoding: ${coding}`], Buffer.from([0, 1, 2, 255, 254, 0, 7]))).toThrow();
});

test.each(["gzip", "deflate", "br"])("a_%s_body_cut_at_any_byte_is_kept_as_far_as_it_goes", (coding) => {
  const whole = CODERS[coding]!(Buffer.from(text));
  let most = 0;
  for (let at = 200; at <= whole.length; at += 13) {
    const got = bodyOf([`Content-Encoding: ${coding}`], whole.subarray(0, at), true).toString();
    expect(text.startsWith(got.replace(/\ufffd+$/, ""))).toBe(true);
    expect(got.length).toBeGreaterThanOrEqual(most);
    most = got.length;
  }
  expect(most).toBeGreaterThan(text.length * 0.9);
});

test.each([
  ["gzip", gzipSync(text)],
  ["deflate", deflateSync(text)],
  ["deflate", deflateRawSync(text)],
])("bytes_behind_a_%s_body_do_no_harm", (coding, body) => {
  for (const junk of ["\r\n", "\0\0", "junk", "\x1f\x8b", "\r\n\r\n0\r\n"])
    expect(
      bodyOf([`Content-Encoding: ${coding}`], Buffer.concat([body, Buffer.from(junk, "latin1")])).toString(),
    ).toBe(text);
});

test("a_damaged_gzip_body_keeps_what_stands_before_the_damage", () => {
  const whole = gzipSync(text);
  const damaged = Buffer.from(whole);
  damaged.fill(0xff, 700, 720);
  const got = bodyOf(["Content-Encoding: gzip"], damaged).toString();
  expect(got.length).toBeGreaterThan(500);
  expect(text.slice(0, 500)).toBe(got.slice(0, 500));
});

test("a_body_that_decodes_to_more_than_is_allowed_is_refused", () => {
  const bomb = gzipSync(Buffer.alloc(1 << 20));
  expect(() => parseHttp(message(["Content-Encoding: gzip"], bomb), { most: 1 << 16 })).toThrow(RangeError);
});

const chunked = (body: Buffer | string, size: number, note = "", last = "0\r\n\r\n") => {
  const bytes = Buffer.from(body);
  const parts: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += size) {
    const part = bytes.subarray(at, at + size);
    parts.push(Buffer.from(`${part.length.toString(16)}${note}\r\n`), part, Buffer.from("\r\n"));
  }
  return Buffer.concat([...parts, Buffer.from(last)]);
};
const te = ["Transfer-Encoding: chunked"];

test.each([1, 7, 16, 255, 5000])("chunks_of_%i_bytes_are_joined", (size) => {
  for (const note of ["", ";a=b", " ", ' ; q="x"'])
    for (const last of ["0\r\n\r\n", "0\r\nX-Trailer: 1\r\n\r\n", "000;end\r\n\r\n", "0\r\n"])
      expect(bodyOf(te, chunked(text, size, note, last)).toString()).toBe(text);
  expect(bodyOf([...te, "Content-Encoding: gzip"], chunked(gzipSync(text), size)).toString()).toBe(text);
  expect(bodyOf(["Transfer-Encoding: gzip, chunked"], chunked(gzipSync(text), size)).toString()).toBe(text);
});

test.each([
  "A theorem of Fermat: every prime p = 1 mod 4 is a sum of two squares.\r\nProof.\r\nThe end.",
  "12 problems in number theory\r\nProblem 1. Show that 2 + 2 = 4.\r\n",
  "Definition 3\r\nA group is a set with an operation.\r\n",
  "7\r\nSeven is a prime number.\r\n",
  "1\r\n2\r\n3\r\n4\r\n5\r\n",
  "0\r\nis a number, too.\r\n",
  "a\r\nb\r\nc\r\n",
  "beef\r\nA word that is a number.",
  "face;it\r\nis a word",
  "e\r\n\r\nEuler's number has its letter.",
  "<html>\r\n<p>7\r\n",
  "",
])("a_plain_body_under_an_old_header_is_not_cut_up: %j", (body) => {
  expect(bodyOf(te, body).toString()).toBe(body);
});

test("chunks_cut_by_the_crawler_are_joined_as_far_as_they_go", () => {
  const whole = chunked(text, 100);
  for (let at = 130; at < whole.length; at += 37) {
    const got = bodyOf(te, whole.subarray(0, at), true);
    expect(Buffer.from(text).subarray(0, got.length).equals(got.subarray(0, got.length))).toBe(true);
  }
  expect(bodyOf(te, `200\r\n${text.slice(0, 50)}`, true).toString()).toBe(text.slice(0, 50));
});

test.each([
  ["12345678901234567890", "12345678901234567890"],
  ["-9007199254740993", "-9007199254740993"],
  ["4611686018427387905", "4611686018427387905"],
  ["0.12345678901234567890", "0.12345678901234567890"],
  ["9007199254740992", 9007199254740992],
  ["1.5", 1.5],
  ["1e21", 1e21],
  ['"12345678901234567890"', "12345678901234567890"],
  ['"a\\" 12345678901234567890"', 'a" 12345678901234567890'],
])("the_number_%s_is_read_without_loss", (written, value) => {
  for (const line of [
    `{"id":${written}}`,
    `{"x":[1,{"id":${written}}]}`,
    `{"t":"1234567890123456789","id": ${written} }`,
  ]) {
    const found = JSON.stringify(parseRow(line));
    expect(found).toContain(JSON.stringify(value));
  }
});

test.each(["gzip", "deflate", "br", "zstd"])("the_limit_of_a_%s_body_is_for_all_its_parts", (coding) => {
  const part = Buffer.alloc(1000, "a");
  const parts = coding === "gzip" || coding === "zstd" ? 7 : 1;
  const body = Buffer.concat(Array.from({ length: parts }, () => CODERS[coding]!(part)));
  const decoded = (most: number) => parseHttp(message([`Content-Encoding: ${coding}`], body), { most })!.body;
  expect(decoded(1000 * parts)).toHaveLength(1000 * parts);
  for (const most of [1000 * parts - 1, 500 * parts + 1, 1]) expect(() => decoded(most)).toThrow(RangeError);
});

test("empty_gzip_members_count_for_nothing_where_the_limit_is_reached", () => {
  const body = Buffer.concat([gzipSync("abc"), gzipSync(""), gzipSync("")]);
  expect(parseHttp(message(["Content-Encoding: gzip"], body), { most: 3 })!.body.toString()).toBe("abc");
});

test("strings_with_escapes_and_digits_are_no_numbers", () => {
  const wide = "12345678901234567";
  for (const text of ["", "\\", '"', '\\"', `\\\\" ${wide}`, `"${wide}`, `${wide}"`, `{"a":${wide}}`])
    expect(parseRow(JSON.stringify({ text, list: [text, 1] }).replace(",1]", `,${wide},-${wide}]`))).toEqual({
      text,
      list: [text, wide, `-${wide}`],
    });
});

test.each([
  ['{"a": NaN}', { a: null }],
  ['{"a": [NaN, 1, Infinity, -Infinity]}', { a: [null, 1, null, null] }],
  ['{"a": "NaN, NaN", "b": NaN}', { a: "NaN, NaN", b: null }],
  ['{"NaN": NaN}', { NaN: null }],
  ['{"a": "\\"NaN\\\\", "b":NaN}', { a: '"NaN\\', b: null }],
  ['{"a": NaN, "id": 12345678901234567890}', { a: null, id: "12345678901234567890" }],
  ['{"a": "of 12345678901234567890, NaN", "b": -Infinity}', { a: "of 12345678901234567890, NaN", b: null }],
])("python's_%s_is_read", (line, row) => expect(parseRow(line)).toEqual(row));

test.each(['{"a": NaNs}', '{"a": xNaN}', '{"a": nan}', '{"a": NaN', "NaN NaN"])("%s_is_no_json", (line) =>
  expect(() => parseRow(line)).toThrow(SyntaxError),
);
