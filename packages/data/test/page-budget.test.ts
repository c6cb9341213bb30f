// Pages that take too long or too much are refused alone; the process stays free, and the pages behind them are read.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { PageExtractor } from "../src/corpus/extract/page.ts";
import { type ReadEvent, readDocuments } from "../src/index.ts";

const root = mkdtempSync(join(tmpdir(), "nsa-page-budget-"));
afterAll(() => rmSync(root, { recursive: true }));

/** A page whose elements are as many as a parser makes of a few megabytes. */
const large = `<html><body>${"<p><b>a</b>".repeat(400_000)}`;
const small = "<html><body><p>one</p>";

test("a_page_that_spends_its_time_is_refused_while_the_process_stays_free", async () => {
  using pages = new PageExtractor({ seconds: 0.2, heapMb: 2048 });
  let turns = 0;
  const timer = setInterval(() => turns++, 10);
  expect(await pages.extract(large)).toEqual({ reason: "budget_spent" });
  clearInterval(timer);
  expect(turns).toBeGreaterThan(3);
});

test("a_page_that_spends_its_memory_is_refused_and_those_behind_it_are_read", async () => {
  using pages = new PageExtractor({ seconds: 600, heapMb: 64 });
  const got = await Promise.all(
    [large, small, small.replace("one", "two")].map((html) => pages.extract(html)),
  );
  expect(got).toEqual([
    { reason: "budget_spent" },
    expect.objectContaining({ text: "one" }),
    expect.objectContaining({ text: "two" }),
  ]);
}, 120_000);

test("pages_of_rows_files_and_archives_are_read_in_their_order", async () => {
  const read = async (name: string, content: string) => {
    writeFileSync(join(root, name), content);
    const out: ReadEvent[] = [];
    for await (const event of readDocuments(join(root, name), { maxRecordBytes: 1 << 20 })) out.push(event);
    return out.map((event) => ("document" in event ? event.document.text : event));
  };
  const rows = Array.from({ length: 20 }, (_, i) => JSON.stringify({ html: `<p>page ${i}` }));
  expect(await read("x.jsonl", rows.join("\n"))).toEqual(rows.map((_, i) => `page ${i}`));
  expect(await read("x.html", small)).toEqual(["one"]);
  const record = (text: string) => {
    const http = `HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<p>${text}`;
    return `WARC/1.0\r\nWARC-Type: response\r\nWARC-Target-URI: http://a.b/\r\nContent-Type: application/http\r\nContent-Length: ${http.length}\r\n\r\n${http}\r\n\r\n`;
  };
  expect(await read("x.warc", record("one") + record("two"))).toEqual(["one", "two"]);
});
