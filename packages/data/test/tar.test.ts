// Tar archives: the formats that writers use, damage between and within members, and the documents of each kind of member.
import { execFileSync, spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { gzipSync } from "node:zlib";
import { afterAll, expect, test } from "vitest";
import { Gap } from "../src/corpus/readers/members.ts";
import { readTar } from "../src/corpus/readers/tar.ts";
import { readDocuments } from "../src/index.ts";

const root = mkdtempSync(join(tmpdir(), "nsa-tar-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));

interface Entry {
  name: string;
  content?: string | Buffer;
  type?: string;
  /** How the header is written. */
  as?: "ustar" | "v7" | "gnu" | "binary size" | "signed sum";
  prefix?: string;
}

/** A member by the book: header of 512 bytes, content padded with zeros. */
function member({ name, content = "", type = "0", as = "ustar", prefix = "" }: Entry): Buffer {
  const body = Buffer.from(content);
  const header = Buffer.alloc(512);
  header.write(name, 0, 100, "utf8");
  header.write("0000644\0", 100);
  header.write("0000000\0", 108);
  header.write("0000000\0", 116);
  if (as === "binary size") {
    header[124] = 0x80;
    header.writeUInt32BE(body.length, 132);
  } else header.write(`${body.length.toString(8).padStart(11, "0")}\0`, 124);
  header.write("00000000000\0", 136);
  header.write(as === "v7" && type === "0" ? "\0" : type, 156);
  if (as === "ustar" || as === "signed sum" || as === "binary size") header.write("ustar\u000000", 257);
  if (as === "gnu") header.write("ustar  \0", 257);
  header.write(prefix, 345, 155, "utf8");
  header.write("        ", 148);
  const sum = header.reduce((a, b) => a + (as === "signed sum" && b > 127 ? b - 256 : b), 0);
  header.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148);
  return Buffer.concat([header, body, Buffer.alloc((512 - (body.length % 512)) % 512)]);
}
const END = Buffer.alloc(1024);
const archive = (...entries: Entry[]) => Buffer.concat([...entries.map(member), END]);
const pax = (records: Record<string, string>): Entry => {
  const lines = Object.entries(records).map(([key, value]) => {
    const rest = ` ${key}=${value}\n`;
    let length = Buffer.byteLength(rest) + 1;
    while (String(length).length + Buffer.byteLength(rest) !== length) length++;
    return `${length}${rest}`;
  });
  return { name: "PaxHeaders/x", type: "x", content: lines.join("") };
};

async function members(bytes: Buffer | (Buffer | Gap)[], size = 700) {
  async function* chunks() {
    for (const part of Array.isArray(bytes) ? bytes : [bytes]) {
      if (part instanceof Gap) yield part;
      else for (let at = 0; at < part.length; at += size) yield part.subarray(at, at + size);
    }
  }
  const found: [string, string][] = [];
  const faults: string[] = [];
  for await (const event of readTar(chunks())) {
    if ("broken" in event) {
      faults.push(event.broken.reason);
      continue;
    }
    let content = "";
    for await (const part of event.member.parts())
      content += part instanceof Gap ? "<gap>" : Buffer.from(part).toString();
    found.push([event.member.name, content]);
  }
  return { found, faults };
}

async function read(name: string, bytes: Uint8Array, maxRecordBytes = 1 << 20) {
  const path = join(root, name);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, bytes);
  const documents: [string, string][] = [];
  const others: string[] = [];
  for await (const event of readDocuments(path, { maxRecordBytes })) {
    if ("document" in event) documents.push([event.document.id, event.document.text]);
    else others.push("skipped" in event ? event.skipped : event.refusal.reason);
  }
  return { documents, others };
}

const long = `${"folder/".repeat(30)}file.txt`;
const contents = ["", "a", "b".repeat(511), "c".repeat(512), "d".repeat(513), "e".repeat(5000)];
test.each([1, 100, 512, 513, 100_000])(
  "members_of_all_formats_and_sizes_are_read_in_chunks_of_%i",
  async (size) => {
    const entries: [Entry[], string][] = contents.flatMap((content, i): [Entry[], string][] => [
      [[{ name: `u${i}.txt`, content }], `u${i}.txt`],
      [[{ name: `v${i}.txt`, content, as: "v7" }], `v${i}.txt`],
      [[{ name: `g${i}.txt`, content, as: "gnu" }], `g${i}.txt`],
      [[{ name: `b${i}.txt`, content, as: "binary size" }], `b${i}.txt`],
      [[{ name: `ż${i}.txt`, content, as: "signed sum" }], `ż${i}.txt`],
      [[{ name: `p${i}.txt`, content, prefix: "some/folder" }], `some/folder/p${i}.txt`],
      [
        [
          { name: "././@LongLink", type: "L", content: `${long}${i}\0`, as: "gnu" },
          { name: "short", content, as: "gnu" },
        ],
        `${long}${i}`,
      ],
      [[pax({ path: `ü/${long}${i}`, mtime: "1.5" }), { name: "short", content }], `ü/${long}${i}`],
      [
        [
          { name: "global", type: "g", content: "11 a=b c d\n" },
          { name: `o${i}`, content },
        ],
        `o${i}`,
      ],
      [[{ name: `s${i}`, content, type: "7" }], `s${i}`],
    ]);
    const whole = archive(...entries.flatMap(([list]) => list));
    const { found, faults } = await members(whole, size);
    expect(faults).toEqual([]);
    expect(found).toEqual(entries.map(([list, name]) => [name, list.at(-1)!.content]));
    expect(found.length).toBeGreaterThanOrEqual(50);
  },
);

test("a_size_in_an_extended_header_counts", async () => {
  const body = "x".repeat(600);
  const bytes = archive(pax({ size: "600" }), { name: "a", content: body }, { name: "b", content: "y" });
  // The header itself says 0, as it must where the size does not fit.
  bytes.write("00000000000\0", 1024 + 124);
  bytes.write("        ", 1024 + 148);
  const sum = bytes.subarray(1024, 1536).reduce((a, b) => a + b, 0);
  bytes.write(`${sum.toString(8).padStart(6, "0")}\0 `, 1024 + 148);
  expect((await members(bytes)).found).toEqual([
    ["a", body],
    ["b", "y"],
  ]);
});

test("what_is_no_file_is_passed_over_and_archives_behind_one_another_are_one", async () => {
  const others: Entry[] = [
    { name: "folder/", type: "5" },
    { name: "old-folder/", as: "v7" },
    { name: "link", type: "2" },
    { name: "hard", type: "1" },
    { name: "pipe", type: "6" },
    { name: "volume", type: "V", as: "gnu" },
  ];
  const first = archive({ name: "a", content: "1" }, ...others, { name: "b", content: "2" });
  const sparse = archive({ name: "holes", type: "S", content: "??" }, { name: "c", content: "3" });
  expect(await members(Buffer.concat([first, sparse]))).toEqual({
    found: [
      ["a", "1"],
      ["b", "2"],
      ["c", "3"],
    ],
    faults: ["tar_sparse"],
  });
});

test.each(["ustar", "pax", "gnu", "oldgnu", "v7"])(
  "what_the_system's_tar_writes_as_%s_is_read",
  async (format) => {
    if (spawnSync("tar", ["--version"]).status !== 0) return console.warn("skipped: no tar");
    const folder = join(root, `in-${format}`);
    const names = [
      "a.txt",
      "deep/er/b.txt",
      ...(format === "v7" || format === "ustar" ? [] : [`${"n".repeat(120)}/${"m".repeat(130)}.txt`]),
    ];
    for (const name of names) {
      mkdirSync(dirname(join(folder, name)), { recursive: true });
      writeFileSync(join(folder, name), `content of ${name}`);
    }
    const path = join(root, `${format}.tar`);
    execFileSync("tar", [`--format=${format}`, "-cf", path, "-C", folder, ...names]);
    const { found, faults } = await members(readFileSync(path));
    expect(faults).toEqual([]);
    expect(found).toEqual(names.map((name) => [name, `content of ${name}`]));
  },
);

test("a_header_damaged_at_any_place_loses_its_member_alone", async () => {
  const entries = [1, 2, 3].map((i) => ({ name: `m${i}.txt`, content: `${i}`.repeat(300 * i) }));
  const whole = archive(...entries);
  const start = 1024;
  for (let at = 0; at < 512; at += 5) {
    // Behind the NUL that ends its digits, the sum's field means nothing.
    if (at === 155) continue;
    const bytes = Buffer.from(whole);
    bytes[start + at]! ^= 0x15;
    const { found, faults } = await members(bytes);
    expect(faults, String(at)).toContain("tar_damaged");
    expect(
      found.map(([name]) => name),
      String(at),
    ).toEqual(["m1.txt", "m3.txt"]);
  }
});

test("bytes_lost_within_a_member_or_a_header_leave_the_others", async () => {
  const entries = [1, 2, 3, 4].map((i) => ({ name: `m${i}.txt`, content: `${i}`.repeat(700) }));
  const whole = archive(...entries);
  for (let at = 1; at < 1500; at += 37) {
    const parts = [whole.subarray(0, 1536 + at), new Gap("lost", 7), whole.subarray(1536 + at + 100)];
    const { found } = await members(parts);
    const names = found.map(([name]) => name);
    expect(names[0]).toBe("m1.txt");
    expect(names.at(-1)).toBe("m4.txt");
    for (const [name, content] of found)
      if (!content.includes("<gap>")) expect(content, `${name} ${at}`).toMatch(/^(\d)\1{699}$/);
  }
  for (let cut = 1; cut < whole.length - 1024; cut += 101) {
    const { found, faults } = await members(whole.subarray(0, cut));
    const wholeOnes = Math.floor(cut / 1536);
    if (cut % 1536 !== 0) expect(faults, String(cut)).toContain("stream_broken");
    expect(found.length).toBeGreaterThanOrEqual(wholeOnes);
  }
});

const paper = "\\documentclass{article}\n\\begin{document}\nPrimes. \\input{parts/proof}\n\\end{document}\n";
const page = "<html><body><p>A page about primes that is long enough to be read as one.</p></body></html>";
const warc =
  "WARC/1.0\r\nWARC-Type: conversion\r\nWARC-Record-ID: <w>\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nwords\r\n\r\n";

test.each(["x.tar", "x.tar.gz", "x.tgz"])("members_of_%s_are_read_by_their_names", async (name) => {
  const bytes = archive(
    { name: "./rows.jsonl", content: '{"id": "r1", "text": "one"}\n{"id": "r2", "text": "two"}\n' },
    { name: "rows.jsonl.gz", content: gzipSync('{"id": "r3", "text": "three"}\n') },
    { name: "crawl/a.warc.gz", content: gzipSync(warc) },
    { name: "page.html", content: page },
    { name: "note.md", content: "A note." },
    { name: "src/sum.py", content: "def total(values):\n    return sum(values)\n" },
    { name: "src/min.js", content: `var a=[${"1,".repeat(2000)}];` },
    { name: "package.json", content: '{"name": "x"}' },
    { name: "picture.png", content: "\x89PNG" },
    { name: "._note.md", content: "resource fork" },
    { name: "rows.parquet", content: "PAR1" },
    { name: "paper/main.tex", content: paper },
    { name: "paper/parts/proof.tex", content: "They are many. % hidden\n" },
  );
  const { documents, others } = await read(name, name === "x.tar" ? bytes : gzipSync(bytes));
  expect(documents).toEqual([
    ["r1", "one"],
    ["r2", "two"],
    ["r3", "three"],
    ["w", "words"],
    [`${name}/page.html`, "A page about primes that is long enough to be read as one."],
    [`${name}/note.md`, "A note."],
    [`${name}/src/sum.py`, "def total(values):\n    return sum(values)\n"],
    [`${name}/paper/main.tex`, "Primes. They are many."],
  ]);
  expect(others).toEqual([
    "generated_code",
    "json",
    "member_format",
    "member_format",
    "member_needs_a_file",
    "tex_part",
  ]);
});

test("submissions_as_arxiv_packs_them_are_papers", async () => {
  const inner = archive(
    { name: "ms.tex", content: paper },
    { name: "parts/proof.tex", content: "QED." },
    { name: "fig.pdf", content: "%PDF" },
  );
  const bytes = archive(
    { name: "2301/2301.00001.gz", content: gzipSync(inner) },
    {
      name: "2301/2301.00002.gz",
      content: gzipSync("\\documentstyle{amsppt}\\begin{document}One file.\\end{document}"),
    },
    { name: "2301/2301.00003.pdf", content: "%PDF-1.4" },
    { name: "2301/2301.00004.gz", content: gzipSync("%!PS-Adobe-2.0\n\\0 words") },
  );
  const { documents, others } = await read("arXiv_src_2301_001.tar", bytes);
  const stem = "arXiv_src_2301_001.tar/2301";
  expect(documents).toEqual([
    [`${stem}/2301.00001.gz/ms.tex`, "Primes. QED."],
    [`${stem}/2301.00002.gz`, "One file."],
  ]);
  expect(others).toEqual(["member_format", "tex_part", "member_format", "member_format"]);
});

test("an_archive_within_archives_ends_and_limits_hold", async () => {
  let bytes = archive({ name: "a.txt", content: "deep" });
  for (let i = 0; i < 6; i++) bytes = archive({ name: `n${i}.gz`, content: gzipSync(bytes) });
  const deep = await read("deep.tar", bytes);
  expect(deep).toEqual({ documents: [], others: ["nested_too_deep"] });
  const big = archive(
    { name: "big.txt", content: "x".repeat(5000) },
    { name: "b.tex", content: "y".repeat(3000) },
    { name: "c.tex", content: "z".repeat(3000) },
    { name: "bomb.gz", content: gzipSync("q".repeat(100_000)) },
  );
  const limited = await read("big.tar", big, 4096);
  expect(limited.documents.map(([id, text]) => [id, text.length])).toEqual([
    ["big.tar/b.tex", 3000],
    ["big.tar/c.tex", 3000],
  ]);
  expect(limited.others).toEqual(["record_too_long", "record_too_long"]);
});
