// Task `dedup`: keys and signatures of all shards to one verdict a document; the first in shard order stays.
import { readFileSync, writeFileSync } from "node:fs";
import { KeySet } from "../dedup/key-set.ts";
import { nearDuplicates } from "../dedup/near.ts";
import type { TaskIo } from "../jobs/task.ts";

export const KEEP = 0;
export const DROP_URL = 1;
export const DROP_EXACT = 2;
export const DROP_NEAR = 3;

/**
 * spec: {url, exact, near: {bands, rows, threshold} | null, shards}. Inputs: keys of each shard, and with `near`
 * the signatures and bands of each shard. Outputs: one verdict byte a document, a file a shard.
 */
export async function dedupTask(io: TaskIo): Promise<Record<string, unknown>> {
  const shards = io.spec.shards as number;
  const near = io.spec.near as { bands: number; rows: number; threshold: number } | null;
  const urls = new KeySet();
  const contents = new KeySet();
  let byUrl = 0;
  let byContent = 0;
  const verdicts = io.inputs.slice(0, shards).map((path) => {
    const raw = readFileSync(path);
    const keys = new BigUint64Array(raw.buffer.slice(raw.byteOffset, raw.byteOffset + raw.length));
    const column = new Uint8Array(keys.length / 2);
    for (let i = 0; i < column.length; i++) {
      const url = keys[2 * i]!;
      const content = keys[2 * i + 1]!;
      if (io.spec.url === true && url !== 0n && urls.has(url)) {
        column[i] = DROP_URL;
        byUrl++;
      } else if (io.spec.exact === true && contents.has(content)) {
        column[i] = DROP_EXACT;
        byContent++;
      } else {
        urls.add(url);
        contents.add(content);
      }
    }
    return column;
  });
  let byNear = 0;
  if (near) {
    const files = verdicts.map((column, s) => ({
      signatures: io.inputs[shards + s]!,
      bands: io.inputs[2 * shards + s]!,
      documents: column.length,
    }));
    const ignore = Uint8Array.from(Buffer.concat(verdicts), (v) => (v === KEEP ? 0 : 1));
    const marks = nearDuplicates(files, { ...near, hashes: near.bands * near.rows }, ignore);
    let at = 0;
    for (const column of verdicts) {
      for (let i = 0; i < column.length; i++, at++) {
        if (marks[at] !== 1) continue;
        column[i] = DROP_NEAR;
        byNear++;
      }
    }
  }
  verdicts.forEach((column, s) => {
    writeFileSync(io.outputs[s]!, column);
  });
  return { dropped_url: byUrl, dropped_exact: byContent, dropped_near: byNear };
}
