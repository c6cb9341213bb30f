// Lists and indexes of crawls as inputs, from a server and from a mirror; kills while they are fetched.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import type { IncomingMessage, ServerResponse } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gunzipSync, gzipSync } from "node:zlib";
import { afterAll, expect, test } from "vitest";
import { inlineExecutor, type JobContext } from "../src/corpus/jobs/stage.ts";
import { BuildConfig, FetchConfig } from "../src/corpus/loop/config.ts";
import { readIndex } from "../src/corpus/remote/cdx.ts";
import { inputFiles } from "../src/corpus/remote/inputs.ts";
import { fetchedPath, placeOf } from "../src/corpus/remote/places.ts";
import { TASKS } from "../src/corpus/steps/table.ts";
import { buildCorpus } from "../src/index.ts";
import { asked, cut, type File, files, serve, web } from "./flaky-server.ts";

const root = mkdtempSync(join(tmpdir(), "nsa-remote-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));

let paths = 0;
const options = { sleep: async () => undefined };
const content = Buffer.from(Array.from({ length: 300_000 }, (_, i) => (i * i + (i >> 8)) % 251));

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
  web.behave = (request, reply, n, file) =>
    n === 0 && request.url!.endsWith("one.warc.gz") && cut(request, reply, file, 200);
  const found = await inputFiles(job("lists"), settings(), [`${web.at}/crawl-data/warc.paths.gz`]);
  expect(found.map((f) => idsOf(f))).toEqual([
    ["f", "g", "h"],
    ["a", "b", "c", "d", "e"],
  ]);
  // A second run asks for nothing.
  asked.length = 0;
  expect(await inputFiles(job("lists"), settings(), [`${web.at}/crawl-data/warc.paths.gz`])).toEqual(found);
  expect(asked).toEqual([]);
  // A local list with a server behind it.
  writeFileSync(join(root, "local.paths"), list);
  const behind = await inputFiles(job("behind"), settings({ base: web.at }), [join(root, "local.paths")]);
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
  web.behave = (_request, reply, n, file) =>
    n % 3 === 1 &&
    file.content !== files.get("/cc-index/cdx-00000.gz")!.content &&
    !!reply.writeHead(503).end();
  const [made] = await inputFiles(job("index"), settings({ base: `${web.at}/` }), [
    `${web.at}/cc-index/cdx-00000.gz`,
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
  web.behave = (request, reply) =>
    broken &&
    request.headers.range === `bytes=${one.places[3]!.offset}-${one.places[4]!.offset - 1}` &&
    !!reply.writeHead(404).end();
  const run = () => inputFiles(job("cut-index"), settings({ connections: 1 }), [`${web.at}/i.cdxj`]);
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

const KEYS = ["com,a)/", "com,a)/x{y}z", "com,a)/?q={}", "com,a)/%7B", "de,ä)/", 'com,a)/{"filename":1}'];
/** Status, type, detected type, and whether a document may come of it. */
const KINDS: [string, string, string | undefined, boolean][] = [
  ["200", "text/html", undefined, true],
  ["200", "application/xhtml+xml", undefined, true],
  ["200", "text/plain", undefined, true],
  ["200", "TEXT/HTML", undefined, true],
  ["200", "unk", undefined, true],
  ["200", "application/octet-stream", "text/html", true],
  ["200", "image/png", "image/png", false],
  ["200", "application/pdf", undefined, false],
  ["404", "text/html", undefined, false],
  ["301", "text/html", undefined, false],
  ["200", "warc/revisit", "text/html", false],
];
const LINES = KEYS.flatMap((key) => KINDS.map((kind) => [key, ...kind] as const));

test.each(LINES)(
  "the_line_of_%s_with_status_%s_and_type_%s_(%s)_counts_as_%s",
  async (key, status, mime, detected, counts) => {
    const more = { status, mime, ...(detected === undefined ? {} : { "mime-detected": detected }) };
    const json = { filename: "x.warc.gz", offset: "12", length: "34", url: "http://a.com/{}", ...more };
    const columns = ` CDX N b a m s k r M S V g\n${key} 20240101 http://a.com/{x} ${detected ?? mime} ${status} ABC - - 34 12 x.warc.gz`;
    const texts = [
      `${key} 20240101000000 ${JSON.stringify(json)}`,
      JSON.stringify({ urlkey: key, offset: 12, length: 34, more: { x: 1 }, ...more, filename: "x.warc.gz" }),
      JSON.stringify({ ...json, more: { x: 1 } }, null, 1).replaceAll("\n", " "),
      ...(mime === "warc/revisit" ? [] : [columns]),
    ];
    for (const text of texts) {
      const path = join(root, "kinds.cdxj");
      writeFileSync(path, `${text}\n`);
      const found = [];
      for await (const record of readIndex(path)) found.push(record);
      expect(found, text).toEqual(counts ? [place] : []);
    }
  },
);

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

test("a_killed_process_loses_no_file_and_no_record_that_had_come", async () => {
  serve("/big.jsonl", content);
  serve("/crawl-data/one.warc.gz", one.bytes);
  // 150 records: one state on disk behind the first hundred.
  const lines = Array.from({ length: 150 }, (_, i) => cdxj(one.places[i % 5]!));
  serve("/i.cdxj", lines.join("\n"));
  const outDir = join(root, "killed");
  const patterns = [`${web.at}/big.jsonl`, `${web.at}/i.cdxj`];
  const run = () =>
    spawn(
      process.execPath,
      [
        "--conditions=nsa-source",
        "--import",
        import.meta.resolve("tsx"),
        join(import.meta.dirname, "fetch-main.ts"),
        outDir,
        ...patterns,
      ],
      {
        stdio: ["ignore", "pipe", "inherit"],
      },
    );
  // Half of the file comes, and then nothing: the process is killed while it waits. Then the same behind 120 records.
  const killed = async (waits: (request: IncomingMessage, reply: ServerResponse, file: File) => boolean) => {
    const child = run();
    const reached = new Promise<void>((done) => {
      web.behave = (request, reply, _n, file) => {
        const waiting = waits(request, reply, file);
        if (waiting) setTimeout(done, 300);
        return waiting;
      };
    });
    await reached;
    child.kill("SIGKILL");
    await once(child, "close");
  };
  await killed((request, reply, file) => {
    if (request.url !== "/big.jsonl") return false;
    reply
      .writeHead(200, { ...file.headers, "content-length": content.length })
      .write(content.subarray(0, 150_000));
    return true;
  });
  asked.length = 0;
  await killed(
    (request) =>
      request.url === "/crawl-data/one.warc.gz" && asked.filter((r) => r.path === request.url).length > 120,
  );
  expect(asked[0]).toMatchObject({ path: "/big.jsonl", range: "bytes=150000-" });
  asked.length = 0;
  web.behave = () => false;
  const child = run();
  let printed = "";
  child.stdout.on("data", (text: Buffer) => {
    printed += text.toString();
  });
  await once(child, "close");
  const [big, records] = JSON.parse(printed) as [string, string];
  expect(readFileSync(big).equals(content)).toBe(true);
  expect(readFileSync(records).equals(Buffer.concat(Array.from({ length: 30 }, () => one.bytes)))).toBe(true);
  // Neither the file nor the index again, nor the first hundred records.
  expect(asked).toHaveLength(50);
  expect(new Set(asked.map(({ path }) => path))).toEqual(new Set(["/crawl-data/one.warc.gz"]));
}, 60_000);

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
  web.behave = (request, reply, n, file) =>
    n === 0 && request.url === "/seeds/math.jsonl" && cut(request, reply, file, 300);
  const config = BuildConfig.parse({
    outDir: join(root, "corpus"),
    inputs: [`${web.at}/i.cdxj`],
    positives: [`${web.at}/seeds/math.jsonl`],
    negatives: [`${web.at}/seeds/other.jsonl`],
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
