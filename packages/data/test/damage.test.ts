// Damaged, padded and cut files: what is sound before and after the damage is read, the rest is named.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { afterAll, expect, test } from "vitest";
import { gunzipMembers } from "../src/corpus/readers/members.ts";
import { readArchive } from "../src/corpus/readers/warc.ts";
import { readDocuments } from "../src/index.ts";

const root = mkdtempSync(join(tmpdir(), "nsa-damage-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));

async function read(name: string, content: Uint8Array) {
  const path = join(root, name);
  writeFileSync(path, content);
  const ids: string[] = [];
  const reasons: string[] = [];
  for await (const event of readDocuments(path, { maxRecordBytes: 1 << 24 })) {
    if ("document" in event) ids.push(event.document.id);
    else if ("refusal" in event) reasons.push(event.refusal.reason);
  }
  return { ids, reasons };
}

const text = (i: number) =>
  `Document ${i} says that ${i} times ${i} is ${i * i}, which is hard to press small: ${Math.sin(i)}.`;
const row = (i: number) => `${JSON.stringify({ id: `d${i}`, text: text(i) })}\n`;
const rows = (from: number, to: number) =>
  Array.from({ length: to - from }, (_, k) => row(from + k)).join("");
const warc = (i: number) =>
  `WARC/1.0\r\nWARC-Type: conversion\r\nWARC-Record-ID: <d${i}>\r\nContent-Type: text/plain\r\nContent-Length: ${text(i).length}\r\n\r\n${text(i)}\r\n\r\n`;
const names = (...ns: number[]) => ns.map((n) => `d${n}`);
const range = (from: number, to: number) => Array.from({ length: to - from }, (_, k) => `d${from + k}`);

test.each([0, 1, 2, 511, 512, 4096, 70_000])("%i_zero_bytes_between_members_are_padding", async (zeros) => {
  const padding = Buffer.alloc(zeros);
  const jsonl = [rows(0, 25), rows(25, 50)].flatMap((part) => [gzipSync(part), padding]);
  expect(await read("p.jsonl.gz", Buffer.concat(jsonl))).toEqual({ ids: range(0, 50), reasons: [] });
  const archive = [1, 2, 3].flatMap((i) => [gzipSync(warc(i)), padding]);
  expect(await read("p.warc.gz", Buffer.concat(archive))).toEqual({ ids: names(1, 2, 3), reasons: [] });
});

test.each([
  ["a line end", "\r\n", 0],
  ["words", "end of file", 1],
  ["a tar's last block and words", `${"\0".repeat(600)}x`, 1],
  ["a member's magic and nothing else", "\x1f\x8b", 1],
  ["a member's header alone", gzipSync("x").subarray(0, 10).toString("latin1"), 1],
])("behind_the_stream_stand_%s", async (_, junk, told) => {
  const bytes = Buffer.concat([gzipSync(rows(0, 5)), Buffer.from(junk, "latin1")]);
  expect(await read("j.jsonl.gz", bytes)).toEqual({
    ids: range(0, 5),
    reasons: Array(told).fill("stream_broken"),
  });
});

const LENGTHS = [-90, -40, -5, -2, -1, 1, 2, 3, 4, 5, 30, 60, 150, 200, 300, 999, 100_000, 10_000_000, 1e12];
const WRAPPED: Record<string, (records: string[]) => Buffer> = {
  plain: (records) => Buffer.from(records.join("")),
  members: (records) => Buffer.concat(records.map((record) => gzipSync(record))),
  "one member": (records) => gzipSync(records.join("")),
};

test.each(LENGTHS.flatMap((by) => Object.keys(WRAPPED).map((form) => [by, form] as const)))(
  "a_length_that_is_wrong_by_%i_loses_no_record_and_no_word_(%s)",
  async (by, form) => {
    const stated = (record: string) =>
      record.replace(/(?<=Content-Length: )\d+/, (n) => String(Math.max(0, Number(n) + by)));
    const records = [warc(1), stated(warc(2)), warc(3), stated(warc(4)), warc(5)];
    const path = join(root, `length.warc${form === "plain" ? "" : ".gz"}`);
    writeFileSync(path, WRAPPED[form]!(records));
    const texts: string[] = [];
    for await (const event of readDocuments(path, { maxRecordBytes: 1 << 24 })) {
      expect("refusal" in event).toBe(false);
      if ("document" in event) texts.push(event.document.text.trimEnd());
    }
    expect(texts).toEqual([1, 2, 3, 4, 5].map(text));
  },
);

test("a_page_about_archives_is_one_record_and_a_mark_before_the_first_is_none", async () => {
  const quoted = `A record begins so:\n\nWARC/1.0\nWARC-Type: response\nWARC-Record-ID: <x>\nContent-Length: 5\n\nwords`;
  const page = warc(2).replace(
    /Content-Length: .*/s,
    `Content-Length: ${quoted.length}\r\n\r\n${quoted}\r\n\r\n`,
  );
  const { ids, reasons } = await read("about.warc", Buffer.from(`\ufeff${warc(1)}${page}${warc(3)}`));
  expect({ ids, reasons }).toEqual({ ids: names(1, 2, 3), reasons: [] });
});

test.each([4, 5, 6, 7, 8, 9, 10, 12, 20])(
  "the_first_%i_bytes_of_a_member_hide_no_member_behind_them",
  async (bytes) => {
    const members = [1, 2].map((i) => gzipSync(warc(i)));
    const junk = gzipSync("another").subarray(0, bytes);
    const { ids } = await read("h.warc.gz", Buffer.concat([members[0]!, junk, members[1]!]));
    expect(ids).toEqual(names(1, 2));
  },
);

test("a_member_damaged_at_any_byte_leaves_its_neighbours", async () => {
  const members = [1, 2, 3].map((i) => gzipSync(warc(i)));
  const [a, b] = [members[0]!.length, members[1]!.length];
  let told = 0;
  for (let at = a; at < a + b; at++) {
    const bytes = Buffer.concat(members);
    bytes[at]! ^= 0x55;
    const { ids, reasons } = await read("m.warc.gz", bytes);
    expect(ids, `byte ${at - a}`).toEqual(expect.arrayContaining(names(1, 3)));
    if (reasons.length > 0) told++;
    // A flip that leaves nothing to name is one of the header's time and system, which no reader minds.
    else expect([4, 5, 6, 7, 8, 9]).toContain(at - a);
  }
  expect(told).toBeGreaterThan(b - 8);
});

test("a_stream_cut_at_any_byte_leaves_the_rows_before", async () => {
  const whole = gzipSync(rows(0, 40));
  let most = 0;
  for (let at = 11; at < whole.length; at += 7) {
    const { ids, reasons } = await read("c.jsonl.gz", whole.subarray(0, at));
    expect(reasons).toContain("stream_broken");
    expect(ids).toEqual(range(0, ids.length));
    expect(ids.length).toBeGreaterThanOrEqual(most);
    most = ids.length;
  }
  expect(most).toBe(40);
});

test("large_members_are_read_in_pieces_with_the_same_care", async () => {
  // 90,000 rows press to 2.4 MB, more than the window.
  const first = gzipSync(rows(0, 90_000));
  expect(first.length).toBeGreaterThan(1 << 21);
  const sound = await read(
    "l.jsonl.gz",
    Buffer.concat([first, Buffer.alloc(9), gzipSync(rows(90_000, 90_010))]),
  );
  expect(sound).toEqual({ ids: range(0, 90_010), reasons: [] });
  const bytes = Buffer.concat([first, gzipSync(rows(90_000, 90_010))]);
  const at = 2_000_000;
  bytes.fill(0xff, at, at + 64);
  const { ids, reasons } = await read("d.jsonl.gz", bytes);
  expect(reasons).toContain("stream_broken");
  expect(ids.slice(-10)).toEqual(range(90_000, 90_010));
  expect(ids.length).toBeGreaterThan((90_000 * at) / first.length - 1500);
});

const arc = (i: number, type: string, line = "") =>
  `http://example.org/d${i} 10.0.0.${i} 20100101000000 ${type}${line} ${80 + i}\n${http(i)}\n`;
const http = (i: number) =>
  `HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n${"word ".repeat(20)}`.slice(0, 80 + i);

async function urls(content: string) {
  const path = join(root, "a.arc");
  writeFileSync(path, content);
  const found: string[] = [];
  const reasons: string[] = [];
  for await (const event of readDocuments(path, { maxRecordBytes: 1 << 20 })) {
    if ("document" in event) found.push(event.document.url.slice(19));
    else if ("refusal" in event) reasons.push(event.refusal.reason);
  }
  return { found, reasons };
}

test.each([
  "text/html",
  "text/html; charset=utf-8",
  "text/html;charset=utf-8",
  "text/html; charset=utf-8; x=1",
  "application/xhtml+xml; profile=a b",
  "no-type",
  "",
  "text/html 200 checksum - 1234 file.arc.gz",
])("an_arc_line_of_type_%s_is_read", async (type) => {
  expect(await urls([1, 2, 3].map((i) => arc(i, type)).join(""))).toEqual({
    found: names(1, 2, 3),
    reasons: [],
  });
});

test.each([
  ["a line", "garbage line that is no record header\n"],
  ["binary", "\x01\x02\xff\n\x00junk\n"],
  ["many lines", "a b c d 5\n".repeat(2000)],
  ["a line without end", `${"x".repeat(20_000)}\n`],
  ["an address alone", "http://example.org/x\n"],
  ["a line with another date", "http://example.org/x 10.0.0.1 2010 text/html 5\n"],
])("after_%s_the_next_arc_record_is_found", async (_, junk) => {
  const { found, reasons } = await urls(
    arc(1, "text/html") + junk + arc(2, "text/html") + arc(3, "text/html"),
  );
  expect(found).toEqual(names(1, 2, 3));
  expect(reasons).toEqual(["not_an_archive"]);
});

/** Sources of bytes that count how many of them are open. */
function counted(content: Buffer) {
  const count = { opened: 0, open: 0 };
  const from = async function* (start: number): AsyncGenerator<Uint8Array> {
    count.opened++;
    count.open++;
    try {
      for (let at = start; at < content.length; at += 65_536) yield content.subarray(at, at + 65_536);
    } finally {
      count.open--;
    }
  };
  return { count, from };
}

async function take<T>(events: AsyncIterable<T>, most: number): Promise<number> {
  let n = 0;
  for await (const _ of events) if (++n >= most) break;
  return n;
}

test("sources_are_closed_when_reading_stops_early", async () => {
  // More than is read ahead.
  const far = Buffer.alloc(4 << 20);
  const archive = counted(Buffer.from(Array.from({ length: 1000 }, (_, i) => warc(i)).join("")));
  expect(await take(readArchive(archive.from(0), 1 << 20), 3)).toBe(3);
  expect(archive.count).toEqual({ opened: 1, open: 0 });
  const members = counted(Buffer.concat([...[1, 2, 3].map((i) => gzipSync(text(i))), far]));
  expect(await take(gunzipMembers(members.from(0)), 2)).toBe(2);
  expect(members.count).toEqual({ opened: 1, open: 0 });
  const both = counted(Buffer.concat([...[1, 2, 3].map((i) => gzipSync(warc(i))), far]));
  expect(await take(readArchive(gunzipMembers(both.from(0)), 1 << 20), 1)).toBe(1);
  expect(both.count).toEqual({ opened: 1, open: 0 });
});

test("a_large_damaged_member_that_is_read_twice_leaves_nothing_open", async () => {
  let seed = 12345;
  const noise = Buffer.from(
    Uint8Array.from({ length: 3 << 20 }, () => {
      seed = (Math.imul(seed, 1103515245) + 12345) >>> 0;
      return seed >>> 24;
    }),
  );
  const damaged = gzipSync(noise);
  // What cannot be pressed is stored in blocks: one of their headers is lost.
  damaged.fill(0, damaged.length - 300_000, damaged.length - 230_000);
  const { count, from } = counted(damaged);
  const parts: Uint8Array[] = [];
  for await (const part of gunzipMembers(from(0), from)) if (part instanceof Uint8Array) parts.push(part);
  const got = Buffer.concat(parts);
  expect(got.length).toBeGreaterThan(noise.length / 2);
  const half = noise.length >> 1;
  expect(got.subarray(0, half).equals(noise.subarray(0, half))).toBe(true);
  expect(count).toEqual({ opened: 2, open: 0 });
});
