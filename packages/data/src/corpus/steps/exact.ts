// Step `exact`: keys of all shards to one verdict a document; the first in shard order stays.
import { writeFileSync } from "node:fs";
import { z } from "zod";
import { KeySet } from "../dedup/key-set.ts";
import { readU64 } from "../loop/column.ts";
import { defineStep, type Stats, type StepIo } from "./step.ts";

export const KEEP = 0;
const DROP_URL = 1;
const DROP_EXACT = 2;
export const DROP_NEAR = 3;

const spec = z.strictObject({
  url: z.boolean().describe("Drop pages whose normalized URL was seen before."),
  exact: z.boolean().describe("Drop pages whose words were seen before, in the same order."),
});

export const exactStep = defineStep({
  kind: "exact",
  spec,
  plan: (given: { set: string; url: boolean; exact: boolean; keys: string[]; verdicts: string[] }) => [
    {
      name: given.set,
      spec: { url: given.url, exact: given.exact },
      inputs: given.keys,
      outputs: given.verdicts,
    },
  ],
  run: markExact,
});

/** Inputs: keys of each shard. Outputs: one verdict byte a document, a file a shard. */
async function markExact(io: StepIo<z.infer<typeof spec>>): Promise<Stats> {
  const urls = new KeySet();
  const contents = new KeySet();
  const dropped = { dropped_url: 0, dropped_exact: 0 };
  io.inputs.forEach((path, s) => {
    const keys = readU64(path);
    const column = new Uint8Array(keys.length / 2);
    for (let i = 0; i < column.length; i++) {
      const url = keys[2 * i]!;
      const content = keys[2 * i + 1]!;
      if (io.spec.url && url !== 0n && urls.has(url)) {
        column[i] = DROP_URL;
        dropped.dropped_url++;
      } else if (io.spec.exact && contents.has(content)) {
        column[i] = DROP_EXACT;
        dropped.dropped_exact++;
      } else {
        urls.add(url);
        contents.add(content);
      }
    }
    writeFileSync(io.outputs[s]!, column);
  });
  return dropped;
}
