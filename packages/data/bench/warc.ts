// Reading WARC records against plain zlib inflate of the same file, and extraction of their pages.
import { createReadStream, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createGunzip, gunzipSync, gzipSync } from "node:zlib";
import { atLeast, type Bench, type BenchResult, describeMachine } from "@nsa/core";
import { readBytes } from "../src/corpus/readers/bytes.ts";
import { extractHtml, readArchive, syntheticCrawl } from "../src/index.ts";
import { dataFile } from "./support/corpus.ts";

const COPIES = 20;

function generatedWarc(): Buffer {
  const records = [...syntheticCrawl({ pages: 1500, seed: 2, mathShare: 0.3 })].map((p) => {
    const block = `HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n${p.html}`;
    return gzipSync(
      `WARC/1.0\r\nWARC-Type: response\r\nWARC-Record-ID: <urn:${p.id}>\r\nWARC-Target-URI: ${p.url}\r\nContent-Type: application/http; msgtype=response\r\nContent-Length: ${Buffer.byteLength(block)}\r\n\r\n${block}\r\n\r\n`,
    );
  });
  return Buffer.concat(records);
}

async function seconds(run: () => Promise<unknown>): Promise<number> {
  let best = Infinity;
  for (let i = 0; i < 3; i++) {
    const start = performance.now();
    await run();
    best = Math.min(best, (performance.now() - start) / 1000);
  }
  return best;
}

async function run(): Promise<BenchResult> {
  const dir = mkdtempSync(join(tmpdir(), "nsa-bench-warc-"));
  try {
    const real = dataFile("html-pages/sample.warc.gz");
    const one = real ? readFileSync(real) : generatedWarc();
    const path = join(dir, "many.warc.gz");
    writeFileSync(path, Buffer.concat(Array.from({ length: COPIES }, () => one)));
    const megabytes = (gunzipSync(one).length * COPIES) / 1e6;
    const inflate = await seconds(async () => {
      for await (const _ of createReadStream(path).pipe(createGunzip({ chunkSize: 1 << 18 })));
    });
    let records = 0;
    const read = await seconds(async () => {
      records = 0;
      for await (const event of readArchive(readBytes(path), 1 << 26)) if ("record" in event) records++;
    });

    const pages: string[] = [];
    for await (const event of readArchive(readBytes(real ?? path), 1 << 26))
      if ("record" in event) pages.push(event.record.block.toString("utf8"));
    const html = pages.map((block) => block.slice(block.indexOf("\r\n\r\n") + 4));
    const bytes = html.reduce((n, h) => n + Buffer.byteLength(h), 0) / 1e6;
    const extract = await seconds(async () => {
      for (const page of html) extractHtml(page);
    });
    return {
      name: "warc",
      machine: describeMachine(),
      figures: {
        file: real ? "sample.warc.gz" : "generated",
        records,
        inflate_mb_s: megabytes / inflate,
        warc_mb_s: megabytes / read,
        extract_mb_s: bytes / extract,
      },
      ratios: { warc_over_inflate: inflate / read },
      bars: [
        atLeast("WARC reading over plain inflate of the same file", inflate / read, 0.4),
        atLeast("extraction, MB of HTML/s a core", bytes / extract, 2),
      ],
    };
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

export default {
  name: "warc",
  about: "WARC reading against plain inflate, and extraction",
  run,
} satisfies Bench;
