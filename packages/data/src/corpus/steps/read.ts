// Step `read`: one input file to plain JSONL, with a duplicate key column and a quarantine of refused records.
import { join } from "node:path";
import { atomicConcat, writeWhole } from "@nsa/core";
import { z } from "zod";
import { contentKey, idKey, urlKey } from "../dedup/exact.ts";
import { KeySet } from "../dedup/key-set.ts";
import type { JobContext } from "../jobs/stage.ts";
import { ByteColumn } from "../loop/column.ts";
import type { BuildConfig } from "../loop/config.ts";
import { shardName } from "../readers/inputs.ts";
import { checkQuarantine } from "../readers/quarantine.ts";
import { readDocuments } from "../readers/read.ts";
import { JsonlWriter } from "../readers/write.ts";
import { inputFiles } from "../remote/inputs.ts";
import { TextLines } from "../text/lines.ts";
import { defineStep, runStep, type Stats, type StepIo } from "./step.ts";

/** Where a shard's files lie, relative to the run's folder. */
export interface ReadShard {
  name: string;
  documents: string;
  quarantine: string;
  keys: string;
}

const spec = z.strictObject({
  maxRecordBytes: z.number().int().min(1).describe("Longer records are quarantined."),
  file: z.string().describe("Name of the input file, which documents carry as their source."),
});

export const readStep = defineStep({
  kind: "read",
  spec,
  plan: (given: { files: string[]; shards: ReadShard[]; maxRecordBytes: number; set: string }) =>
    given.files.map((path, i) => {
      const { name, documents, quarantine, keys } = given.shards[i]!;
      return {
        name: `${given.set}-${name}`,
        spec: { maxRecordBytes: given.maxRecordBytes, file: path.split("/").pop()! },
        inputs: [path],
        outputs: [documents, quarantine, keys],
      };
    }),
  run: readFile,
});

/** An id seen before in the file gets the record's place appended. Inputs: [file]. Outputs: [documents, quarantine, keys]. */
async function readFile(io: StepIo<z.infer<typeof spec>>): Promise<Stats> {
  const documents = new JsonlWriter(io.outputs[0]!);
  const quarantine = new JsonlWriter(io.outputs[1]!);
  const keys = new ByteColumn();
  const ids = new KeySet();
  const words = new TextLines();
  let duplicateIds = 0;
  const reasons: Record<string, number> = {};
  const skipped: Record<string, number> = {};
  let chars = 0;
  const { maxRecordBytes } = io.spec;
  for await (const event of readDocuments(io.inputs[0]!, { maxRecordBytes })) {
    if ("refusal" in event) {
      quarantine.write(event.refusal);
      reasons[event.refusal.reason] = (reasons[event.refusal.reason] ?? 0) + 1;
      continue;
    }
    if ("skipped" in event) {
      skipped[event.skipped] = (skipped[event.skipped] ?? 0) + 1;
      continue;
    }
    const { document } = event;
    if (!ids.add(idKey(document.id))) {
      duplicateIds++;
      document.id = `${document.id}#${document.source.file}:${document.source.offset}`;
    }
    documents.write(document);
    chars += document.text.length;
    const { bytes, at } = keys.extend(16);
    bytes.writeBigUInt64LE(urlKey(document.url), at);
    words.clear();
    words.addCompared(document.text);
    bytes.writeBigUInt64LE(contentKey(words.bytes().subarray(0, -1)), at + 8);
  }
  documents.close();
  quarantine.close();
  writeWhole(io.outputs[2]!, keys.view());
  return {
    documents: documents.rows,
    refused: quarantine.rows,
    reasons,
    skipped,
    chars,
    duplicate_ids: duplicateIds,
  };
}

/** Reads input files into JSONL shards. Throws NsaError `too_many_refused` (exit 3) over the quarantine limit. */
export async function readShards(
  ctx: JobContext,
  config: Pick<BuildConfig, "maxRecordBytes" | "maxQuarantineShare" | "fetch">,
  patterns: string[],
  set = "pool",
): Promise<{ shards: ReadShard[]; documents: number; refused: number; reasons: Record<string, number> }> {
  const files = await inputFiles(ctx, config.fetch, patterns);
  const shards: ReadShard[] = files.map((path, i) => {
    const name = shardName(path, i);
    const stem = `read/${set}/${name}`;
    return {
      name,
      documents: `${stem}.jsonl`,
      quarantine: `${stem}.quarantine.jsonl`,
      keys: `${stem}.keys`,
    };
  });
  const { maxRecordBytes } = config;
  const manifests = await runStep(ctx, `read ${set}`, readStep, { files, shards, maxRecordBytes, set });
  const reasons: Record<string, number> = {};
  let documents = 0;
  let refused = 0;
  for (const { stats } of manifests) {
    documents += stats.documents as number;
    refused += stats.refused as number;
    for (const [reason, n] of Object.entries(stats.reasons as Record<string, number>))
      reasons[reason] = (reasons[reason] ?? 0) + n;
  }
  const quarantine = shards.map((s) => join(ctx.outDir, s.quarantine));
  const quarantinePath = set === "pool" ? "quarantine.jsonl" : `quarantine-${set}.jsonl`;
  atomicConcat(join(ctx.outDir, quarantinePath), quarantine);
  checkQuarantine({ documents, refused, reasons }, config.maxQuarantineShare, {
    what: set,
    path: join(ctx.outDir, quarantinePath),
    fix: "mend the input or raise max_quarantine_share",
  });
  return { shards, documents, refused, reasons };
}
