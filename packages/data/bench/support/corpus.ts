// Text for the benches: the real pages where they are, generated ones elsewhere.
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { NsaError } from "@nsa/core";
import { sharedData } from "../../../core/test/shared-data.ts";
import { syntheticCrawl } from "../../src/index.ts";

export interface LabelledText {
  title: string;
  text: string;
  /** Absent on pages of the mixed pool. */
  label?: "math" | "other";
}

export function dataFile(path: string): string | undefined {
  const file = join(sharedData, path);
  return existsSync(file) ? file : undefined;
}

/** A file of the folder of real data. Throws NsaError `data_missing` (exit 4) where it is not there. */
export function neededFile(path: string): string {
  const file = dataFile(path);
  if (file) return file;
  throw new NsaError({
    code: "data_missing",
    what: `no ${path} in ${sharedData}`,
    why: "this bench measures on real data that are not part of the repository",
    fix: "name their folder: --data folder, or NSA_DATA",
    exitCode: 4,
  });
}

function rows(path: string): { title: string; text: string }[] {
  const lines = gunzipSync(readFileSync(path)).toString("utf8").trim().split("\n");
  return lines.map((line) => JSON.parse(line) as { title: string; text: string });
}

/** At least 10,000 pages, most of them labelled, math and other interleaved; the same on every call. */
export function labelledPages(): { pages: LabelledText[]; source: string } {
  const math = dataFile("math-pages/pages.jsonl.gz");
  const other = dataFile("nonmath-pages/pages.jsonl.gz");
  const pool = dataFile("mixed-pool/pool.jsonl.gz");
  if (!math || !other || !pool) {
    const pages = [...syntheticCrawl({ pages: 12_000, seed: 1, mathShare: 0.3 })];
    return { pages, source: "generated" };
  }
  const pages: LabelledText[] = [
    ...rows(math).map((r) => ({ ...r, label: "math" as const })),
    ...rows(other).map((r) => ({ ...r, label: "other" as const })),
    ...rows(pool),
  ];
  // A fixed stride over all pages mixes the sources.
  const stride = 4099;
  const mixed = Array.from({ length: pages.length }, (_, i) => pages[(i * stride) % pages.length]!);
  return { pages: mixed, source: "real" };
}
