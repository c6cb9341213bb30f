// Task `emit`: one output shard, its documents in rank order with their score.
import { closeSync, openSync, readSync } from "node:fs";
import type { TaskIo } from "../jobs/task.ts";
import { JsonlWriter } from "../readers/write.ts";
import { ORDER_BYTES } from "./rank-task.ts";
import { readRows } from "./shards.ts";

/** The ranking of one output shard: the whole one grows with the corpus. */
function readRange(path: string, from: number, length: number): Buffer {
  const bytes = Buffer.alloc(length);
  const fd = openSync(path, "r");
  try {
    for (let at = 0; at < length; ) {
      const n = readSync(fd, bytes, at, length - at, from + at);
      if (n === 0) throw new Error(`${path} ends too early`);
      at += n;
    }
  } finally {
    closeSync(fd);
  }
  return bytes;
}

/** spec: {start, end, shards}. Inputs: [order, documents of each shard …, rows of each shard …]. Outputs: [jsonl]. */
export async function emitTask(io: TaskIo): Promise<Record<string, unknown>> {
  const { start, end, shards } = io.spec as { start: number; end: number; shards: number };
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
      readSync(fds[shard]!, line, 0, line.length, table.offset(row));
      tokens += table.tokens(row);
      writer.write({ ...(JSON.parse(line.toString()) as object), score: Number(score.toFixed(6)) });
    }
  } finally {
    for (const fd of fds) closeSync(fd);
    writer.close();
  }
  return { documents: writer.rows, tokens };
}
