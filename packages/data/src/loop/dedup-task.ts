// Task `dedup`: keys of all shards to one verdict a document; the first in shard order stays.
import { readFileSync, writeFileSync } from "node:fs";
import type { TaskIo } from "../jobs/task.ts";

export const KEEP = 0;
export const DROP_URL = 1;
export const DROP_EXACT = 2;

/** spec: {url, exact}. Inputs: one keys file a shard. Outputs: one verdict byte a document, a file a shard. */
export async function dedupTask(io: TaskIo): Promise<Record<string, unknown>> {
  const urls = new Set<bigint>();
  const contents = new Set<bigint>();
  let byUrl = 0;
  let byContent = 0;
  for (let s = 0; s < io.inputs.length; s++) {
    const raw = readFileSync(io.inputs[s]!);
    const keys = new BigUint64Array(raw.buffer.slice(raw.byteOffset, raw.byteOffset + raw.length));
    const verdicts = new Uint8Array(keys.length / 2);
    for (let i = 0; i < verdicts.length; i++) {
      const url = keys[2 * i]!;
      const content = keys[2 * i + 1]!;
      if (io.spec.url === true && url !== 0n && urls.has(url)) {
        verdicts[i] = DROP_URL;
        byUrl++;
      } else if (io.spec.exact === true && contents.has(content)) {
        verdicts[i] = DROP_EXACT;
        byContent++;
      } else {
        if (url !== 0n) urls.add(url);
        contents.add(content);
      }
    }
    writeFileSync(io.outputs[s]!, verdicts);
  }
  return { dropped_url: byUrl, dropped_exact: byContent };
}
