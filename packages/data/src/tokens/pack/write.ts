// Packs on disk: `nsa data pack`. Safetensors shards of whole packs, and an index written last.
import { mkdirSync, renameSync } from "node:fs";
import { join } from "node:path";
import {
  atomicWriteFile,
  type Batch,
  fsyncPath,
  sealJson,
  sha256OfFileSync,
  writeSafetensors,
} from "@nsa/core";
import { batchOfPack, type PackExample, positionsOf } from "./batch.ts";
import { type PackMethod, planPacks } from "./plan.ts";

/**
 * A shard holds T positions of P packs with N pieces in `tokens` [T], `targets` [T] (−1: no loss), `loss_mask` [T],
 * `positions` [T], `cu_seqlens` [N + 1] (borders of the pieces in the shard) and `pack_starts` [P + 1] (first piece of
 * each pack).
 */
export interface PackIndex {
  format: 1;
  method: PackMethod;
  capacity: number;
  seed: number;
  tokenizer_hash: string;
  examples: number;
  /** Examples left out because they are longer than a pack. */
  too_long: number;
  packs: number;
  tokens: number;
  loss_tokens: number;
  fill: number;
  /** Packs by fill: bin i holds i to i + 1 tenths. */
  fill_histogram: number[];
  /** Examples by length: bin i holds 2^i to 2^(i+1) − 1 positions. */
  length_histogram: number[];
  shards: { file: string; packs: number; tokens: number; sha256: string }[];
}

export interface WritePackOptions {
  method: PackMethod;
  /** Positions of a pack. */
  capacity: number;
  seed: number;
  tokenizerHash: string;
  out: string;
  /** A shard is closed when it holds this many tokens. */
  shardTokens?: number;
  onShard?: (done: { packs: number; of: number; tokens: number }) => void;
}

/** Plans and writes packs into `out`; equal inputs give equal bytes. Throws as `planPacks` does. */
export function writePacks(examples: readonly PackExample[], options: WritePackOptions): PackIndex {
  const { method, capacity, seed, tokenizerHash, out, onShard } = options;
  const shardTokens = options.shardTokens ?? 2 ** 24;
  const lengths = examples.map(positionsOf);
  const plan = planPacks(lengths, { method, capacity, seed });
  const packs = plan.starts.length - 1;
  const index: PackIndex = {
    format: 1,
    method,
    capacity,
    seed,
    tokenizer_hash: tokenizerHash,
    examples: examples.length,
    too_long: plan.tooLong,
    packs,
    tokens: 0,
    loss_tokens: 0,
    fill: plan.fill,
    fill_histogram: new Array<number>(10).fill(0),
    length_histogram: lengthHistogram(lengths),
    shards: [],
  };
  mkdirSync(out, { recursive: true });
  for (let pack = 0; pack < packs; ) {
    const first = pack;
    const shard = new PackShard();
    for (; pack < packs && (shard.size === 0 || shard.size + capacity <= shardTokens); pack++) {
      const batch = batchOfPack(plan, pack, examples);
      shard.add(batch);
      index.fill_histogram[Math.min(9, Math.floor((10 * batch.tokens.length) / capacity))]!++;
      for (const weight of batch.lossWeight) index.loss_tokens += weight;
    }
    const file = `packs-${String(index.shards.length).padStart(5, "0")}.safetensors`;
    const metadata = { tokenizer_hash: tokenizerHash, method, capacity: String(capacity) };
    writeSafetensors(join(out, `${file}.tmp`), shard.tensors(), metadata);
    fsyncPath(join(out, `${file}.tmp`));
    renameSync(join(out, `${file}.tmp`), join(out, file));
    const sha256 = sha256OfFileSync(join(out, file));
    index.shards.push({ file, packs: pack - first, tokens: shard.size, sha256 });
    index.tokens += shard.size;
    onShard?.({ packs: pack, of: packs, tokens: index.tokens });
  }
  atomicWriteFile(join(out, "index.json"), sealJson(index));
  return index;
}

/** Examples by length: bin i holds 2^i to 2^(i+1) − 1 positions. */
function lengthHistogram(lengths: readonly number[]): number[] {
  const histogram: number[] = [];
  for (const length of lengths) {
    const bin = Math.floor(Math.log2(Math.max(1, length)));
    while (histogram.length <= bin) histogram.push(0);
    histogram[bin]!++;
  }
  return histogram;
}

/** The packs of one shard, gathered until it is written. */
class PackShard {
  /** Positions so far. */
  size = 0;
  private readonly batches: Batch[] = [];
  private readonly borders = [0];
  private readonly packStarts = [0];

  add(batch: Batch): void {
    this.batches.push(batch);
    for (const border of batch.cuSeqlens.subarray(1)) this.borders.push(this.size + border);
    this.packStarts.push(this.borders.length - 1);
    this.size += batch.tokens.length;
  }

  tensors() {
    const ints = (name: string, data: Int32Array) => ({
      name,
      dtype: "I32" as const,
      shape: [data.length],
      data: () => data,
    });
    const column = (name: "tokens" | "targets" | "positions") =>
      ints(
        name,
        joined(new Int32Array(this.size), this.batches, (batch) => batch[name]),
      );
    return [
      column("tokens"),
      column("targets"),
      column("positions"),
      ints("cu_seqlens", Int32Array.from(this.borders)),
      ints("pack_starts", Int32Array.from(this.packStarts)),
      {
        name: "loss_mask",
        dtype: "U8" as const,
        shape: [this.size],
        data: () => joined(new Uint8Array(this.size), this.batches, (batch) => batch.lossWeight),
      },
    ];
  }
}

/** One column of all batches, one after another, in `into`. */
function joined<T extends Int32Array | Uint8Array>(
  into: T,
  batches: readonly Batch[],
  columnOf: (batch: Batch) => ArrayLike<number>,
): T {
  let at = 0;
  for (const batch of batches) {
    into.set(columnOf(batch), at);
    at += batch.tokens.length;
  }
  return into;
}
