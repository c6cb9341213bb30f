// Inputs over HTTP from a server on this machine that cuts, refuses, forgets and changes: files, ranges, lists and indexes.
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gunzipSync, gzipSync } from "node:zlib";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { inlineExecutor, type JobContext } from "../src/corpus/jobs/stage.ts";
import { BuildConfig, FetchConfig } from "../src/corpus/loop/config.ts";
import { readIndex } from "../src/corpus/remote/cdx.ts";
import { download, fetchRange } from "../src/corpus/remote/download.ts";
import { inputFiles } from "../src/corpus/remote/inputs.ts";
import { fetchedPath, placeOf } from "../src/corpus/remote/places.ts";
import { TASKS } from "../src/corpus/steps/table.ts";
import { buildCorpus } from "../src/index.ts";

const root = mkdtempSync(join(tmpdir(), "nsa-remote-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));

/** What the server does with the n-th request for a file. */
type Behave = (request: IncomingMessage, reply: ServerResponse, n: number, file: File) => boolean;
interface File {
  content: Buffer;
  headers: Record<string, string>;
}

const files = new Map<string, File>();
const asked: { path: string; range: string; ifRange: string }[] = [];
let behave: Behave = () => false;

const hashOf = (bytes: Buffer) => createHash("sha256").update(bytes).digest("hex").slice(0, 12);
function serve(path: string, content: Buffer | string, headers?: Record<string, string>): File {
  const bytes = Buffer.from(content);
  const file = { content: bytes, headers: headers ?? { etag: `"${hashOf(bytes)}"` } };
  files.set(path, file);
  return file;
}

/** Answers as a web server does: ranges, If-Range, 416. */
function answer(request: IncomingMessage, reply: ServerResponse, { content, headers }: File): void {
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
  else if (!behave(request, reply, n, file)) answer(request, reply, file);
});
let at = "";
beforeAll(async () => {
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  at = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterAll(() => {
  server.closeAllConnections();
  server.close();
});
let waits: number[] = [];
beforeEach(() => {
  files.clear();
  asked.length = 0;
  waits = [];
  behave = () => false;
});
const options = { retries: 3, idleMs: 20_000, sleep: async (ms: number) => void waits.push(ms) };
const content = Buffer.from(Array.from({ length: 300_000 }, (_, i) => (i * i + (i >> 8)) % 251));
let paths = 0;
const newPath = () => join(root, `f${paths++}`, "file.bin");

/** Sends the head of an answer and so many bytes, and cuts the connection. */
const cut = (
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

test("a_file_that_is_cut_again_and_again_comes_whole_by_ranges", async () => {
  serve("/a", content);
  behave = (request, reply, n, file) => n < 6 && cut(request, reply, file, 40_000);
  const path = newPath();
  await download(`${at}/a`, path, { ...options, retries: 1 });
  expect(readFileSync(path).equals(content)).toBe(true);
  expect(asked[0]).toMatchObject({ range: "", ifRange: "" });
  const starts = asked.slice(1).map(({ range }) => Number(/^bytes=(\d+)-$/.exec(range)![1]));
  expect(starts).toEqual([...starts].sort((a, b) => a - b));
  expect(starts.at(-1)).toBeGreaterThan(100_000);
  expect(asked.every(({ ifRange }, i) => i === 0 || ifRange === `"${hashOf(content)}"`)).toBe(true);
  expect(existsSync(`${path}.part`)).toBe(false);
  expect(existsSync(`${path}.part.json`)).toBe(false);
});

test("a_cut_file_without_a_way_to_ask_for_the_rest_begins_again", async () => {
  for (const headers of [{}, { etag: 'W/"weak"' }] as Record<string, string>[]) {
    asked.length = 0;
    serve("/a", content, headers);
    behave = (request, reply, n, file) => n < 2 && cut(request, reply, file, 40_000);
    const path = newPath();
    await download(`${at}/a`, path, options);
    expect(readFileSync(path).equals(content)).toBe(true);
    expect(asked.map(({ range }) => range)).toEqual(["", "", ""]);
  }
  // A date of the last change is as good as an ETag.
  asked.length = 0;
  serve("/a", content, { etag: 'W/"weak"', "last-modified": "Mon, 01 Jan 2024 00:00:00 GMT" });
  await download(`${at}/a`, newPath(), options);
  expect(asked[1]!.ifRange).toBe("Mon, 01 Jan 2024 00:00:00 GMT");
});

test("a_file_that_changes_while_it_comes_is_the_new_one", async () => {
  const changed = Buffer.from(content).reverse();
  for (const honest of [true, false]) {
    asked.length = 0;
    serve("/a", content);
    behave = (request, reply, n, file) => {
      if (n === 0) return cut(request, reply, file, 50_000);
      if (n === 1) {
        files.set("/a", { content: changed, headers: { etag: '"new"' } });
        // A server that does not know If-Range sends the rest of the other file.
        if (!honest) delete request.headers["if-range"];
        answer(request, reply, files.get("/a")!);
        return true;
      }
      return false;
    };
    const path = newPath();
    await download(`${at}/a`, path, options);
    expect(readFileSync(path).equals(changed), String(honest)).toBe(true);
  }
});

test.each([
  ["a 503", 503, {}, [500, 1000]],
  ["a 503 that says when", 503, { "retry-after": "7" }, [7000, 7000]],
  ["a 429", 429, { "retry-after": "0" }, [0, 0]],
  ["a wait of a day", 503, { "retry-after": "86400" }, [600_000, 600_000]],
  ["a 500", 500, {}, [500, 1000]],
  ["a 408", 408, {}, [500, 1000]],
])("after_%s_it_is_asked_again", async (_, status, headers, expected) => {
  serve("/a", content);
  behave = (_request, reply, n) => {
    if (n >= 2) return false;
    reply.writeHead(status as number, headers as Record<string, string>).end("later");
    return true;
  };
  const path = newPath();
  await download(`${at}/a`, path, options);
  expect(readFileSync(path).equals(content)).toBe(true);
  expect(waits).toEqual(expected);
});

test("a_retry_after_date_counts_from_now", async () => {
  serve("/a", "x");
  const date = new Date(Date.now() + 120_000).toUTCString();
  behave = (_request, reply, n) => n === 0 && !!reply.writeHead(503, { "retry-after": date }).end();
  await download(`${at}/a`, newPath(), options);
  expect(waits[0]).toBeGreaterThan(60_000);
  expect(waits[0]).toBeLessThanOrEqual(120_000);
});

test("retries_end_and_what_has_come_stays_for_the_next_run", async () => {
  serve("/a", content);
  const path = newPath();
  behave = (request, reply, n, file) =>
    n === 0 ? cut(request, reply, file, 70_000) : !!reply.writeHead(503).end();
  await expect(download(`${at}/a`, path, options)).rejects.toThrow(
    expect.objectContaining({ code: "input_remote", exitCode: 4, what: `cannot fetch ${at}/a` }),
  );
  expect(waits).toHaveLength(3);
  const held = readFileSync(`${path}.part`);
  expect(held.equals(content.subarray(0, held.length))).toBe(true);
  expect(held.length).toBeGreaterThan(0);
  expect(existsSync(path)).toBe(false);
  asked.length = 0;
  behave = () => false;
  await download(`${at}/a`, path, options);
  expect(readFileSync(path).equals(content)).toBe(true);
  expect(asked).toEqual([{ path: "/a", range: `bytes=${held.length}-`, ifRange: `"${hashOf(content)}"` }]);
});

test.each([
  ["all of it had come", content, true],
  ["more than all had come", Buffer.concat([content, content]), false],
  ["another file had come", Buffer.from("other"), false],
])("a_killed_transfer_goes_on_where_%s", async (_, part, trusted) => {
  serve("/a", content);
  const path = newPath();
  mkdirSync(join(path, ".."), { recursive: true });
  writeFileSync(`${path}.part`, part);
  const validator = trusted || part.length > content.length ? `"${hashOf(content)}"` : '"older"';
  writeFileSync(`${path}.part.json`, JSON.stringify({ url: `${at}/a`, validator }));
  await download(`${at}/a`, path, options);
  expect(readFileSync(path).equals(content)).toBe(true);
});

test.each(["{", '{"url": "http://x/a"}', JSON.stringify({ url: "http://elsewhere/a", validator: '"x"' })])(
  "a_state_that_is_%s_is_none",
  async (state) => {
    serve("/a", content);
    const path = newPath();
    mkdirSync(join(path, ".."), { recursive: true });
    writeFileSync(`${path}.part`, "junk");
    writeFileSync(`${path}.part.json`, state);
    await download(`${at}/a`, path, options);
    expect(readFileSync(path).equals(content)).toBe(true);
    expect(asked[0]!.range).toBe("");
  },
);

test.each([
  ["404", (reply: ServerResponse) => reply.writeHead(404).end(), /answers 404/],
  ["403", (reply: ServerResponse) => reply.writeHead(403).end(), /answers 403/],
  [
    "redirects for ever",
    (reply: ServerResponse) => reply.writeHead(302, { location: "/a" }).end(),
    /redirects/,
  ],
  [
    "another protocol",
    (reply: ServerResponse) => reply.writeHead(302, { location: "file:///etc/passwd" }).end(),
    /redirects to file/,
  ],
  [
    "an encoding",
    (reply: ServerResponse) => reply.writeHead(200, { "content-encoding": "br" }).end("x"),
    /encoded as br/,
  ],
])("%s_is_an_error_at_once", async (_, send, why) => {
  serve("/a", content);
  behave = (_request, reply) => !!send(reply);
  const path = newPath();
  await expect(download(`${at}/a`, path, options)).rejects.toThrow(
    expect.objectContaining({ code: "input_remote", exitCode: 3, why: expect.stringMatching(why) }),
  );
  expect(waits).toEqual([]);
  expect(existsSync(path)).toBe(false);
});

test("redirects_are_followed_with_their_ranges", async () => {
  serve("/a", "");
  serve("/deep/b", content);
  behave = (request, reply, n, file) => {
    if (request.url === "/a") return !!reply.writeHead(307, { location: "deep/b" }).end();
    return n === 0 && cut(request, reply, file, 10_000);
  };
  const path = newPath();
  await download(`${at}/a`, path, options);
  expect(readFileSync(path).equals(content)).toBe(true);
});

test("a_server_that_falls_silent_is_left", async () => {
  serve("/a", content);
  behave = (_request, reply, n) => {
    if (n > 0) return false;
    reply.writeHead(200, { "content-length": content.length }).write(content.subarray(0, 1000));
    return true;
  };
  const path = newPath();
  await download(`${at}/a`, path, { ...options, idleMs: 200 });
  expect(readFileSync(path).equals(content)).toBe(true);
});

test("ranges_are_exact_or_asked_for_again", async () => {
  serve("/a", content);
  expect((await fetchRange(`${at}/a`, 1000, 234, options)).equals(content.subarray(1000, 1234))).toBe(true);
  const faults: Behave[] = [
    (_request, reply) =>
      !!reply.writeHead(206, { "content-range": "bytes 0-9/300000", "content-length": 10 }).end("0123456789"),
    (_request, reply) => !!reply.writeHead(206, { "content-range": "bytes 1000-1233/300000" }).end("short"),
    (_request, reply) => !!reply.writeHead(503).end(),
    (_request, reply) => {
      reply
        .writeHead(206, { "content-range": "bytes 1000-1233/300000", "content-length": 234 })
        .write("cut", () => reply.destroy());
      return true;
    },
  ];
  for (const fault of faults) {
    asked.length = 0;
    behave = (request, reply, n, file) => n === 0 && fault(request, reply, n, file);
    expect((await fetchRange(`${at}/a`, 1000, 234, options)).equals(content.subarray(1000, 1234))).toBe(true);
    expect(asked).toHaveLength(2);
  }
  behave = (_request, reply) => !!reply.writeHead(200).end(content);
  await expect(fetchRange(`${at}/a`, 1000, 234, options)).rejects.toThrow(/does not serve ranges/);
  behave = () => false;
  await expect(fetchRange(`${at}/a`, 400_000, 10, options)).rejects.toThrow(/ends before them/);
});

const CC = "https://data.example.org/crawl-data/CC-MAIN-2024-10";
test.each([
  [
    `${CC}/warc.paths.gz`,
    "crawl-data/CC-MAIN-2024-10/segments/1/warc/a.warc.gz",
    "",
    `${CC}/segments/1/warc/a.warc.gz`,
  ],
  [`${CC}/segments/1/warc.paths`, "crawl-data/CC-MAIN-2024-10/x.gz", "", `${CC}/x.gz`],
  [`${CC}/warc.paths.gz`, "beside/a.warc.gz", "", `${CC}/beside/a.warc.gz`],
  [
    "https://data.example.org/cc-index/indexes/cdx-00000.gz",
    "crawl-data/a.warc.gz",
    "https://data.example.org/",
    "https://data.example.org/crawl-data/a.warc.gz",
  ],
  [
    "/mirror/warc.paths",
    "crawl-data/a.warc.gz",
    "https://data.example.org",
    "https://data.example.org/crawl-data/a.warc.gz",
  ],
  ["/mirror/warc.paths", "crawl-data/a.warc.gz", "/disk", "/disk/crawl-data/a.warc.gz"],
  ["/mirror/warc.paths", "https://other.example/a.gz", "/disk", "https://other.example/a.gz"],
  ["/mirror/warc.paths", "crawl-data/a.warc.gz", "", "/mirror/crawl-data/a.warc.gz"],
])("in_%s_the_line_%s_with_base_%j_is_%s", (list, line, base, place) =>
  expect(placeOf(list, line, base)).toBe(place),
);

test.each([
  ["https://a.example/b/c.warc.gz", "a.example/b/c.warc.gz"],
  ["https://a.example/../../etc/c.gz", "a.example/etc/c.gz"],
  ["https://a.example/%2e%2e/%2e%2e/c.gz", "a.example/c.gz"],
  ["http://127.0.0.1:80/c.gz", "127.0.0.1/c.gz"],
])("%s_is_kept_as_%s", (address, path) => expect(fetchedPath(address)).toBe(path));

test("addresses_that_differ_are_kept_apart", () => {
  const addresses = [
    "a/b",
    "a/b?x=1",
    "a/b?x=2",
    "a/b%20c",
    "a/b c",
    "a/b_c",
    "a/b:c",
    "a/%2Fetc/x",
    "a/é",
  ].map((p) => `https://h.example/${p}`);
  const kept = addresses.map(fetchedPath);
  expect(new Set(kept).size).toBe(addresses.length - 1); // "b%20c" and "b c" are one address.
  for (const path of kept) expect(path).toMatch(/^h\.example\/[\w./+=-]+$/);
});

/** An archive of text records, each a gzip member, with its index. */
function archiveOf(name: string, ids: string[]) {
  const members = ids.map((id) => {
    const text = `Page ${id} has words of its own about ${id}, and enough of them to be read as a page of some length.`;
    return gzipSync(
      `WARC/1.0\r\nWARC-Type: conversion\r\nWARC-Record-ID: <${id}>\r\nWARC-Target-URI: http://${id}.example/\r\nContent-Type: text/plain\r\nContent-Length: ${text.length}\r\n\r\n${text}\r\n\r\n`,
    );
  });
  let offset = 0;
  const places = members.map((m, i) => {
    const place = { id: ids[i]!, offset, length: m.length, filename: name };
    offset += m.length;
    return place;
  });
  return { bytes: Buffer.concat(members), places };
}
type Place = ReturnType<typeof archiveOf>["places"][number];
const cdxj = ({ id, offset, length, filename }: Place, more: object = {}) =>
  `example,${id})/ 20240101000000 ${JSON.stringify({ url: `http://${id}.example/`, mime: "text/html", status: "200", length: String(length), offset: String(offset), filename, ...more })}`;
const one = archiveOf("crawl-data/one.warc.gz", ["a", "b", "c", "d", "e"]);
const two = archiveOf("crawl-data/two.warc.gz", ["f", "g", "h"]);

const job = (name: string): JobContext => ({
  outDir: join(root, name),
  executor: inlineExecutor(TASKS),
  hashes: new Map(),
  sleep: options.sleep,
});
const settings = (more: object = {}) => FetchConfig.parse({ retries: 2, connections: 3, ...more });
const idsOf = (path: string) =>
  [
    ...gunzipSync(readFileSync(path))
      .toString()
      .matchAll(/WARC-Record-ID: <(\w+)>/g),
  ].map((m) => m[1]);

test("lists_give_the_files_that_they_name_from_a_server_and_from_a_mirror", async () => {
  serve("/crawl-data/one.warc.gz", one.bytes);
  serve("/crawl-data/two.warc.gz", two.bytes);
  const list = "crawl-data/two.warc.gz\ncrawl-data/one.warc.gz\n";
  serve("/crawl-data/warc.paths.gz", gzipSync(list));
  behave = (request, reply, n, file) =>
    n === 0 && request.url!.endsWith("one.warc.gz") && cut(request, reply, file, 200);
  const found = await inputFiles(job("lists"), settings(), [`${at}/crawl-data/warc.paths.gz`]);
  expect(found.map((f) => idsOf(f))).toEqual([
    ["f", "g", "h"],
    ["a", "b", "c", "d", "e"],
  ]);
  // A second run asks for nothing.
  asked.length = 0;
  expect(await inputFiles(job("lists"), settings(), [`${at}/crawl-data/warc.paths.gz`])).toEqual(found);
  expect(asked).toEqual([]);
  // A local list with a server behind it.
  writeFileSync(join(root, "local.paths"), list);
  const behind = await inputFiles(job("behind"), settings({ base: at }), [join(root, "local.paths")]);
  expect(behind.map((f) => idsOf(f)[0])).toEqual(["f", "a"]);
});

test("indexes_give_the_records_that_they_name_in_their_order", async () => {
  serve("/crawl-data/one.warc.gz", one.bytes);
  serve("/crawl-data/two.warc.gz", two.bytes);
  const [a, b, c, d, e] = one.places as [Place, Place, Place, Place, Place];
  const [f, g] = two.places as [Place, Place];
  const lines = [
    cdxj(g),
    cdxj(b),
    cdxj(a, { status: "301" }),
    cdxj(c, { mime: "image/png" }),
    cdxj(d, { mime: "unk", "mime-detected": "text/plain" }),
    cdxj(f),
    cdxj(e, { mime: "warc/revisit" }),
    cdxj(e),
  ];
  serve("/cc-index/cdx-00000.gz", gzipSync(`${lines.join("\n")}\n`));
  behave = (_request, reply, n, file) =>
    n % 3 === 1 &&
    file.content !== files.get("/cc-index/cdx-00000.gz")!.content &&
    !!reply.writeHead(503).end();
  const [made] = await inputFiles(job("index"), settings({ base: `${at}/` }), [
    `${at}/cc-index/cdx-00000.gz`,
  ]);
  expect(idsOf(made!)).toEqual(["g", "b", "d", "f", "e"]);
  // The same from a mirror on disk, without a server.
  const mirror = join(root, "mirror");
  for (const [path, bytes] of [
    ["one", one.bytes],
    ["two", two.bytes],
  ] as const) {
    mkdirSync(join(mirror, "crawl-data"), { recursive: true });
    writeFileSync(join(mirror, `crawl-data/${path}.warc.gz`), bytes);
  }
  mkdirSync(join(mirror, "index"), { recursive: true });
  writeFileSync(join(mirror, "index/pages.cdxj"), lines.join("\n"));
  asked.length = 0;
  const [local] = await inputFiles(job("mirror"), settings(), [join(mirror, "index/*.cdxj")]);
  expect(readFileSync(local!).equals(readFileSync(made!))).toBe(true);
  expect(asked).toEqual([]);
});

test("an_index_that_was_cut_off_goes_on_behind_its_last_record", async () => {
  serve("/crawl-data/one.warc.gz", one.bytes);
  serve("/i.cdxj", one.places.map((p) => cdxj(p)).join("\n"));
  let broken = true;
  behave = (request, reply) =>
    broken &&
    request.headers.range === `bytes=${one.places[3]!.offset}-${one.places[4]!.offset - 1}` &&
    !!reply.writeHead(404).end();
  const run = () => inputFiles(job("cut-index"), settings({ connections: 1 }), [`${at}/i.cdxj`]);
  await expect(run()).rejects.toThrow(expect.objectContaining({ code: "input_remote", exitCode: 3 }));
  broken = false;
  asked.length = 0;
  const [made] = await run();
  expect(idsOf(made!)).toEqual(["a", "b", "c", "d", "e"]);
  expect(asked.map(({ range }) => Number(/\d+/.exec(range)![0]))).toEqual([
    one.places[3]!.offset,
    one.places[4]!.offset,
  ]);
});

const place = { file: "x.warc.gz", offset: 12, length: 34 };
test.each([
  [
    'com,a)/ 20240101 {"filename": "x.warc.gz", "offset": "12", "length": "34", "status": "200", "mime": "text/html"}',
  ],
  [
    '{"filename": "x.warc.gz", "offset": 12, "length": 34, "status": 200, "mime": "text/html", "urlkey": "com,a)/"}',
  ],
  [" CDX N b a m s k r M S V g\ncom,a)/ 20240101 http://a.com/ text/html 200 ABC - - 34 12 x.warc.gz"],
  [" CDX a b V g S m s\nhttp://a.com/ 20240101 12 x.warc.gz 34 text/plain 200"],
  ['com,a)/ 20240101 {"filename": "x.warc.gz", "offset": "12", "length": "34"}'],
])("index_lines_%s", async (text) => {
  const path = join(root, "lines.cdxj");
  writeFileSync(path, `${text}\n\n`);
  const found = [];
  for await (const record of readIndex(path)) found.push(record);
  expect(found).toEqual([place]);
});

test.each([
  "com,a)/ 20240101 {",
  "com,a)/ 20240101 http://a.com/ text/html 200 ABC - - 34 12 x.warc.gz",
  'x {"filename": "x", "offset": "12"}',
  'x {"filename": "x", "offset": "-1", "length": "3"}',
  'x {"filename": "x", "offset": "1e3", "length": "3"}',
  'x {"filename": "", "offset": "1", "length": "3"}',
  'x {"filename": "x", "offset": "1", "length": "0"}',
])("%s_is_no_line_of_an_index", async (line) => {
  const path = join(root, "bad.cdxj");
  writeFileSync(path, `${cdxj(one.places[0]!)}\n${line}\n`);
  const all = async () => {
    for await (const _ of readIndex(path));
  };
  await expect(all()).rejects.toThrow(
    expect.objectContaining({ code: "index_bad", exitCode: 3, what: `${path}, line 2` }),
  );
});

test.each([
  ["a record behind the file's end", { offset: "999999" }, /ends before them/],
  ["a record that begins elsewhere", { offset: "3" }, /no gzip member/],
  ["an archive that is not there", { filename: "crawl-data/none.warc.gz" }, /not there/],
])("%s_is_an_error", async (_, more, why) => {
  const mirror = join(root, "wrong");
  mkdirSync(join(mirror, "crawl-data"), { recursive: true });
  writeFileSync(join(mirror, "crawl-data/one.warc.gz"), one.bytes);
  writeFileSync(join(mirror, "i.cdxj"), cdxj(one.places[0]!, more));
  await expect(inputFiles(job(`wrong-${paths++}`), settings(), [join(mirror, "i.cdxj")])).rejects.toThrow(
    expect.objectContaining({ code: "index_range", exitCode: 3, why: expect.stringMatching(why) }),
  );
});

test("a_corpus_is_built_from_addresses", async () => {
  const pages = (kind: string, n: number) =>
    Array.from({ length: n }, (_, i) =>
      JSON.stringify({
        id: `${kind}${i}`,
        url: `http://${kind}.example/${i}`,
        text: `${kind === "math" ? "theorem proof integral $x^2$ lemma" : "recipe butter flour oven cake"} ${kind} page number ${i} ${"and words ".repeat(12)}`,
      }),
    ).join("\n");
  serve("/seeds/math.jsonl", pages("math", 12));
  serve("/seeds/other.jsonl", pages("other", 12));
  serve("/crawl-data/one.warc.gz", one.bytes);
  serve("/i.cdxj", one.places.map((p) => cdxj(p)).join("\n"));
  behave = (request, reply, n, file) =>
    n === 0 && request.url === "/seeds/math.jsonl" && cut(request, reply, file, 300);
  const config = BuildConfig.parse({
    outDir: join(root, "corpus"),
    inputs: [`${at}/i.cdxj`],
    positives: [`${at}/seeds/math.jsonl`],
    negatives: [`${at}/seeds/other.jsonl`],
    budgetTokens: 60,
    minChars: 10,
    fasttext: { dim: 4, bucket: 1000, epoch: 5, lr: 0.5, minCount: 1 },
    loop: { maxRounds: 1, autoAnnotate: true },
    dedup: { near: { enabled: false } },
    executor: "inline",
  });
  const report = await buildCorpus(config, { sleep: options.sleep });
  expect(report.funnel.find((row) => row.step === "read")!.documents).toBe(5);
  expect(report.rounds[0]!.rank.collected).toBeGreaterThan(0);
});
