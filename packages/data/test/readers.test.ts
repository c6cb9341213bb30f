// Readers: every format, every kind of damage, and no document lost silently.
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { parquetWriteBuffer } from "hyparquet-writer";
import { afterAll, expect, test } from "vitest";
import { needs } from "../../core/test/needs.ts";
import { sharedData } from "../../core/test/shared-data.ts";
import { type Document, type Refusal, readDocuments } from "../src/index.ts";

const root = mkdtempSync(join(tmpdir(), "nsa-readers-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));

async function read(path: string, maxRecordBytes = 1 << 20) {
  const documents: Document[] = [];
  const refusals: Refusal[] = [];
  const skipped: string[] = [];
  for await (const event of readDocuments(path, { maxRecordBytes })) {
    if ("document" in event) documents.push(event.document);
    else if ("refusal" in event) refusals.push(event.refusal);
    else skipped.push(event.skipped);
  }
  return { documents, refusals, skipped };
}

function file(name: string, content: string | Uint8Array): string {
  const path = join(root, name);
  writeFileSync(path, content);
  return path;
}

const row = (i: number) => JSON.stringify({ id: `d${i}`, url: `https://www.a.org/${i}`, text: `text ${i}` });

test("jsonl_records_carry_id_url_domain_and_offset", async () => {
  const { documents } = await read(file("a.jsonl", `${row(1)}\n${row(2)}\n`));
  expect(documents.map((d) => d.id)).toEqual(["d1", "d2"]);
  expect(documents[1]!.domain).toBe("a.org");
  expect(documents[1]!.source).toEqual({ file: "a.jsonl", offset: row(1).length + 1 });
});

test("a_line_of_more_than_ten_megabytes_with_a_wide_number_is_read", async () => {
  const text = 'Words, "quoted" and \\ escaped. '.repeat(400_000);
  const line = `{"id":12345678901234567,"text":${JSON.stringify(text)}}`;
  expect(line.length).toBeGreaterThan(10_000_000);
  const { documents, refusals } = await read(file("long.jsonl", `${row(1)}\n${line}\n`), 1 << 25);
  expect(refusals).toEqual([]);
  expect(documents.map((d) => d.id)).toEqual(["d1", "12345678901234567"]);
  expect(documents[1]!.text.length).toBeGreaterThan(10_000_000);
});

test("gzip_of_many_members_reads_through", async () => {
  const members = [1, 2, 3].map((i) => gzipSync(`${row(i)}\n`));
  const { documents, refusals } = await read(file("b.jsonl.gz", Buffer.concat(members)));
  expect(documents.length).toBe(3);
  expect(refusals).toEqual([]);
});

test("zstandard_files_read_as_plain_ones", async () => {
  const frame = "KLUv/SQe8QAAeyJpZCI6InoiLCJ0ZXh0IjoienN0ZCB0ZXh0In0KY4T0qA==";
  const { documents } = await read(file("b.jsonl.zst", Buffer.from(frame, "base64")));
  expect(documents.map((d) => [d.id, d.text])).toEqual([["z", "zstd text"]]);
});

test("parquet_row_groups_give_documents_and_rows_without_text_are_refused", async () => {
  const buffer = parquetWriteBuffer({
    columnData: [
      { name: "url", data: ["https://a.org/1", "https://a.org/2", "https://a.org/3"], type: "STRING" },
      { name: "text", data: ["first", "", "third"], type: "STRING" },
      { name: "other", data: [1, 2, 3], type: "INT32" },
    ],
    rowGroupSize: 2,
  });
  const { documents, refusals } = await read(file("b.parquet", new Uint8Array(buffer)));
  expect(documents.map((d) => [d.domain, d.text, d.source.offset])).toEqual([
    ["a.org", "first", 0],
    ["a.org", "third", 2],
  ]);
  expect(refusals.map((r) => [r.reason, r.offset])).toEqual([["no_text", 1]]);
  const damaged = await read(file("c.parquet", new Uint8Array(buffer).subarray(0, 60)));
  expect(damaged.refusals.map((r) => r.reason)).toEqual(["stream_broken"]);
});

test("parquet_ids_of_64_bits_keep_their_digits_and_bytes_are_decoded_as_pages_are", async () => {
  const page = Buffer.concat([
    Buffer.from('<html><head><meta charset="gbk"></head><body><p>'),
    Buffer.from([0xca, 0xfd, 0xd1, 0xa7]),
    Buffer.from(" sum</p></body></html>"),
  ]);
  const buffer = parquetWriteBuffer({
    columnData: [
      { name: "id", data: [4611686018427387905n, 3n], type: "INT64" },
      {
        name: "html",
        data: [new Uint8Array(page), new Uint8Array(Buffer.from("<p>plain"))],
        type: "BYTE_ARRAY",
      },
    ],
  });
  const { documents } = await read(file("wide.parquet", new Uint8Array(buffer)));
  expect(documents.map((d) => [d.id, d.text])).toEqual([
    ["4611686018427387905", "数学 sum"],
    ["3", "plain"],
  ]);
});

test("an_empty_field_hides_no_other_and_wide_ids_keep_their_digits", async () => {
  const rows = [
    '{"id":12345678901234567890,"text":"","content":"the body"}',
    '{"id":12345678901234567891,"text":null,"raw_content":"another"}',
  ];
  const { documents } = await read(file("empty.jsonl", rows.join("\n")));
  expect(documents.map((d) => [d.id, d.text])).toEqual([
    ["12345678901234567890", "the body"],
    ["12345678901234567891", "another"],
  ]);
});

test("binary_data_under_a_name_or_a_type_of_text_is_refused", async () => {
  const png = Buffer.concat([Buffer.from("\x89PNG\r\n"), Buffer.alloc(300)]);
  expect((await read(file("image.html", png))).refusals.map((r) => r.reason)).toEqual(["binary"]);
  const record = warc("response", "https://a.org/i", http(png.toString("latin1")));
  expect((await read(file("image.warc", record))).refusals.map((r) => r.reason)).toEqual(["bad_body"]);
  const utf16 = Buffer.from("<html><body><p>Hello π</p></body></html>", "utf16le");
  expect((await read(file("utf16.html", utf16))).documents.map((d) => d.text)).toEqual(["Hello π"]);
});

test("converted_text_is_utf_8_whatever_it_quotes", async () => {
  const text = 'Write <meta charset="iso-8859-1"> for naïve π ≤ 4.';
  const { documents } = await read(
    file("quoted.wet", warc("conversion", "https://a.org/q", text, "text/plain")),
  );
  expect(documents.map((d) => d.text)).toEqual([text]);
});

test("a_truncated_gzip_keeps_what_came_before_and_says_so", async () => {
  const rows = Array.from({ length: 50_000 }, (_, i) => row(i * 7919)).join("\n");
  const whole = gzipSync(rows);
  const { documents, refusals } = await read(file("c.jsonl.gz", whole.subarray(0, whole.length - 1000)));
  expect(documents.length).toBeGreaterThan(10_000);
  expect(refusals.map((r) => r.reason)).toContain("stream_broken");
});

test("bad_rows_are_refused_one_by_one_with_their_reasons", async () => {
  const bad = Buffer.concat([
    Buffer.from(`${row(1)}\nnot json\n[1]\n{"id":"x"}\n`),
    Buffer.from([0x7b, 0xff, 0xfe, 10]),
    Buffer.from(`${row(2)}\n`),
  ]);
  const { documents, refusals } = await read(file("d.jsonl", bad));
  expect(documents.length).toBe(2);
  expect(refusals.map((r) => r.reason)).toEqual(["not_json", "not_an_object", "no_text", "not_utf8"]);
});

test("a_page_that_nests_without_end_is_refused_alone", async () => {
  const nest = (open: string, close: string, n: number) =>
    `<html><body>${open.repeat(n)}inside${close.repeat(n)}</body></html>`;
  const pages = {
    deep: nest("<div>", "</div>", 200_000),
    math: nest("<math><mrow>", "</mrow></math>", 50_000),
    tables: "<table>".repeat(50_000),
    shallow: nest("<div>", "</div>", 500),
    flat: `<ul>${"<li>item".repeat(5000)}</ul>`,
    script: `<script>${"if (a<b) x();".repeat(5000)}</script><p>after the script</p>`,
  };
  const rows = Object.entries(pages).map(([id, html]) => JSON.stringify({ id, html }));
  const before = process.cpuUsage();
  const { documents, refusals } = await read(file("deep.jsonl", `${rows.join("\n")}\n`), 1 << 24);
  expect(documents.map((d) => d.id)).toEqual(["shallow", "flat", "script"]);
  expect(refusals.map((r) => r.reason)).toEqual(Array(3).fill("nested_too_deep"));
  expect(process.cpuUsage(before).user / 1e6).toBeLessThan(20);
});

test("a_line_over_the_limit_is_skipped_without_holding_it", async () => {
  const path = file("e.jsonl", `${row(1)}\n{"text":"${"x".repeat(100_000_000)}"}\n${row(2)}\n`);
  const before = process.memoryUsage().arrayBuffers;
  const { documents, refusals } = await read(path, 1 << 20);
  expect(documents.map((d) => d.id)).toEqual(["d1", "d2"]);
  expect(refusals.map((r) => r.reason)).toEqual(["line_too_long"]);
  expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(60_000_000);
});

test("an_empty_file_yields_nothing_and_an_unknown_name_is_a_usage_error", async () => {
  expect(await read(file("f.jsonl", ""))).toEqual({ documents: [], refusals: [], skipped: [] });
  await expect(read(file("f.xyz", "a"))).rejects.toMatchObject({ code: "input_format", exitCode: 2 });
});

test("html_and_text_files_are_one_document_each", async () => {
  const html = await read(
    file("g.html", "<html><head><title>H</title></head><body><p>Body \\(x\\)</p></body></html>"),
  );
  expect(html.documents[0]).toMatchObject({ title: "H", text: "Body $x$" });
  const text = await read(file("g.txt", "plain\ntext"));
  expect(text.documents[0]!.text).toBe("plain\ntext");
});

function warc(
  type: string,
  uri: string,
  block: string,
  contentType = "application/http; msgtype=response",
): string {
  return `WARC/1.0\r\nWARC-Type: ${type}\r\nWARC-Record-ID: <urn:x:${uri}>\r\nWARC-Target-URI: ${uri}\r\nContent-Type: ${contentType}\r\nContent-Length: ${Buffer.byteLength(block)}\r\n\r\n${block}\r\n\r\n`;
}
const http = (body: string, head = "Content-Type: text/html", status = 200) =>
  `HTTP/1.1 ${status} OK\r\n${head}\r\n\r\n${body}`;

test("warc_responses_are_extracted_and_other_records_counted", async () => {
  const records = [
    warc("request", "https://a.org/", "GET / HTTP/1.1\r\n\r\n"),
    warc("response", "<https://a.org/one>", http("<html><body><p>One page</p></body></html>")),
    warc("response", "https://a.org/gone", http("gone", "Content-Type: text/html", 404)),
    warc("response", "https://a.org/i.png", http("x", "Content-Type: image/png")),
    warc("conversion", "https://a.org/two", "Two as text", "text/plain"),
    warc(
      "response",
      "https://a.org/chunked",
      http(
        "1b\r\n<html><body><p>Chunked</p>\r\n0\r\n\r\n",
        "Content-Type: text/html\r\nTransfer-Encoding: chunked",
      ),
    ),
  ];
  const path = file("h.warc.gz", Buffer.concat(records.map((r) => gzipSync(r))));
  const { documents, refusals, skipped } = await read(path);
  expect(documents.map((d) => [d.url, d.text])).toEqual([
    ["https://a.org/one", "One page"],
    ["https://a.org/two", "Two as text"],
    ["https://a.org/chunked", "Chunked"],
  ]);
  expect(skipped).toEqual(["http_404", "not_text"]);
  expect(refusals).toEqual([]);
});

test("a_damaged_warc_header_is_refused_and_the_next_record_found", async () => {
  const good = warc("conversion", "https://a.org/x", "Good text", "text/plain");
  const broken = good.replace(/Content-Length: \d+/, "Content-Length: many");
  const { documents, refusals } = await read(file("i.warc", good + broken + good.slice(0, -8)));
  expect(documents.length).toBe(1);
  expect(refusals.map((r) => r.reason)).toEqual(["no_content_length", "truncated_record"]);
});

const fixtures = join(sharedData, "html-pages");
needs(existsSync(fixtures), "no shared data ($NSA_DATA)")(
  "warcio_fixtures_read_as_webrecorder_reads_them",
  async () => {
    const counts: Record<string, [number, string[]]> = {
      "example.warc": [1, []],
      "example.warc.gz": [1, []],
      "example.arc": [1, []],
      "example.arc.gz": [1, []],
      "example-bad-non-chunked.warc.gz": [1, []],
      "example-wrong-chunks.warc.gz": [1, []],
      "example-resource.warc.gz": [1, []],
      "example-iana.org-chunked.warc": [1, []],
      "example-wget-bad-target-uri.warc.gz": [1, []],
      "example-space-in-url.arc": [0, ["truncated_record"]],
    };
    for (const [name, [documents, reasons]] of Object.entries(counts)) {
      const got = await read(join(fixtures, "warcio-fixtures", name));
      expect([name, got.documents.length, got.refusals.map((r) => r.reason)]).toEqual([
        name,
        documents,
        reasons,
      ]);
    }
    for (const name of ["sample.warc.gz", "sample.warc.wet.gz"])
      expect((await read(join(fixtures, name))).documents.length).toBe(100);
  },
);
