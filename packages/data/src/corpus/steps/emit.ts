// Step `emit`: one output shard, its documents in rank order with their score.
import { closeSync, existsSync, openSync, readdirSync, rmSync } from "node:fs";
import { basename, join } from "node:path";
import { readAt } from "@nsa/core";
import { z } from "zod";
import type { JobContext } from "../jobs/stage.ts";
import { readRows } from "../loop/shards.ts";
import { JsonlWriter } from "../readers/write.ts";
import type { CleanShard } from "./clean.ts";
import { ORDER_BYTES, type RankStats } from "./rank.ts";
import { defineStep, runStep, type Stats, type StepIo } from "./step.ts";

const rank = () => z.number().int().min(0);

const spec = z.strictObject({
  start: rank().describe("First rank of the output shard."),
  end: rank().describe("The rank after its last."),
  shards: z.number().int().min(0).describe("Number of shards."),
});

const rankedName = (i: number) => `ranked-${String(i).padStart(5, "0")}`;

export const emitStep = defineStep({
  kind: "emit",
  spec,
  plan: (given: { outputs: string[]; starts: number[]; shards: number; inputs: string[] }) =>
    given.outputs.map((path, i) => ({
      name: rankedName(i),
      spec: { start: given.starts[i]!, end: given.starts[i + 1]!, shards: given.shards },
      inputs: given.inputs,
      outputs: [path],
    })),
  run: emitShard,
});

/** The ranking of one output shard: the whole one grows with the corpus. */
function readRange(path: string, from: number, length: number): Buffer {
  const bytes = Buffer.alloc(length);
  const fd = openSync(path, "r");
  try {
    readAt(fd, bytes, from, path);
  } finally {
    closeSync(fd);
  }
  return bytes;
}

/** Inputs: [order, documents of each shard …, rows of each shard …]. Outputs: [jsonl]. */
async function emitShard(io: StepIo<z.infer<typeof spec>>): Promise<Stats> {
  const { start, end, shards } = io.spec;
  const order = readRange(io.inputs[0]!, start * ORDER_BYTES, (end - start) * ORDER_BYTES);
  const files = io.inputs.slice(1, 1 + shards);
  const rows = io.inputs.slice(1 + shards, 1 + 2 * shards).map(readRows);
  const fds = files.map((path) => openSync(path, "r"));
  const writer = new JsonlWriter(io.outputs[0]!);
  let tokens = 0;
  try {
    for (let k = start; k < end; k++) {
      const at = (k - start) * ORDER_BYTES;
      const shard = order.readUInt32LE(at);
      const row = order.readUInt32LE(at + 4);
      const score = order.readFloatLE(at + 8);
      const table = rows[shard]!;
      const line = Buffer.alloc(table.bytes(row));
      readAt(fds[shard]!, line, table.offset(row), files[shard]!);
      tokens += table.tokens(row);
      writer.write({ ...(JSON.parse(line.toString()) as object), score: Number(score.toFixed(6)) });
    }
  } finally {
    for (const fd of fds) closeSync(fd);
    writer.close();
  }
  return { documents: writer.rows, tokens };
}

/** Writes the ranked documents: `ranked/ranked-00000.jsonl` … in rank order; files of a longer ranking before go. */
export async function emitRanked(
  ctx: JobContext,
  shards: CleanShard[],
  order: string,
  stats: RankStats,
): Promise<string[]> {
  const outputs = stats.shard_starts.slice(0, -1).map((_, i) => `ranked/${rankedName(i)}.jsonl`);
  const starts = stats.shard_starts;
  const inputs = [order, ...shards.map((s) => s.documents), ...shards.map((s) => s.rows)];
  await runStep(ctx, "emit", emitStep, { outputs, starts, shards: shards.length, inputs });
  const current = new Set(outputs.map((path) => basename(path, ".jsonl")));
  for (const folder of ["ranked", "manifests/emit"]) {
    const dir = join(ctx.outDir, folder);
    for (const file of existsSync(dir) ? readdirSync(dir) : [])
      if (!current.has(file.replace(/\.jsonl?$/, ""))) rmSync(join(dir, file));
  }
  return outputs;
}
