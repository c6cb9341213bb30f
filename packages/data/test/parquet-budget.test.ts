// Parquet files that their decoder never finishes, or cannot decode, are refused in time with what was sound before them kept.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Rng } from "@nsa/core";
import { afterAll, expect, test } from "vitest";
import type { ReadEvent } from "../src/corpus/readers/document.ts";
import { readParquet } from "../src/corpus/readers/parquet.ts";
import { readParquetRows } from "../src/index.ts";

const root = mkdtempSync(join(tmpdir(), "nsa-parquet-"));
afterAll(() => rmSync(root, { recursive: true }));
const endless = join(import.meta.dirname, "fixtures/endless.parquet");

async function events(path: string, seconds?: number): Promise<ReadEvent[]> {
  const out: ReadEvent[] = [];
  for await (const event of readParquet(path, "f", { seconds })) out.push(event);
  return out;
}

test("a_page_that_the_decoder_never_finishes_is_refused_when_its_time_is_over_and_the_process_stays_free", async () => {
  let turns = 0;
  const timer = setInterval(() => turns++, 50);
  const got = await events(endless, 3);
  clearInterval(timer);
  expect(got).toEqual([
    { refusal: expect.objectContaining({ reason: "budget_spent", file: "f", offset: 0 }) },
  ]);
  expect(turns).toBeGreaterThan(10);
  const rows = async () => {
    for await (const _ of readParquetRows(endless, { seconds: 2 }));
  };
  await expect(rows()).rejects.toMatchObject({ code: "parquet_budget", exitCode: 3 });
}, 60_000);

test("what_is_no_parquet_and_what_is_damaged_is_a_refusal_and_never_a_raw_error", async () => {
  const bytes = readFileSync(endless);
  const rng = new Rng(5, 0);
  const cases = [Buffer.alloc(0), Buffer.from("PAR1"), bytes.subarray(0, 300), Buffer.alloc(5000, 0xff)];
  for (let n = 0; n < 4; n++) {
    const flipped = Buffer.from(bytes);
    // In the footer, which says where everything is.
    flipped[flipped.length - 9 - Math.floor(rng.uniform(n, 0) * 200)]! ^= 1 << (n % 8);
    cases.push(flipped);
  }
  for (const [n, content] of cases.entries()) {
    const path = join(root, `${n}.parquet`);
    writeFileSync(path, content);
    for (const event of await events(path, 2)) expect("refusal" in event || "document" in event).toBe(true);
  }
}, 120_000);
