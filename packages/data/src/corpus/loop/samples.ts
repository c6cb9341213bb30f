// Documents just above and just below the cut, for the report.
import { closeSync, openSync } from "node:fs";
import { join } from "node:path";
import { readAt } from "@nsa/core";
import type { Document } from "../readers/document.ts";
import type { CleanShard } from "../steps/clean.ts";
import type { RankStats } from "../steps/rank.ts";
import { readRows } from "./shards.ts";

export interface NearSample {
  id: string;
  url: string;
  score: number;
  kept: boolean;
  excerpt: string;
}

export function nearThreshold(outDir: string, shards: CleanShard[], stats: RankStats): NearSample[] {
  return stats.near_threshold.map(({ shard, row, score, kept }) => {
    const files = shards[shard]!;
    const rows = readRows(join(outDir, files.rows));
    const line = Buffer.alloc(rows.bytes(row));
    const path = join(outDir, files.documents);
    const fd = openSync(path, "r");
    readAt(fd, line, rows.offset(row), path);
    closeSync(fd);
    const d = JSON.parse(line.toString()) as Document;
    return { id: d.id, url: d.url, score, kept, excerpt: d.text.slice(0, 400) };
  });
}
