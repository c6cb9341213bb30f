// Packs on disk: `nsa data pack`. Safetensors shards of whole packs, and an index written last.
import { mkdirSync, renameSync } from "node:fs";
import { join } from "node:path";
import { atomicWriteFile, writeSafetensors } from "@nsa/core";
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
  shards: { file: string; packs: number; tokens: number }[];
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

const concat = <T extends Int32Array | Uint8Array>(parts: T[], make: (n: number) => T): T => {
  const all = make(parts.reduce((n, p) => n + p.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
};

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
    length_histogram: [],
    shards: [],
  };
  for (const length of lengths) {
    const bin = Math.floor(Math.log2(Math.max(1, length)));
    while (index.length_histogram.length <= bin) index.length_histogram.push(0);
    index.length_histogram[bin]!++;
  }
  mkdirSync(out, { recursive: true });
  for (let pack = 0; pack < packs; ) {
    const first = pack;
    const tokens: Int32Array[] = [];
    const targets: Int32Array[] = [];
    const masks: Uint8Array[] = [];
    const positions: Int32Array[] = [];
    const borders = [0];
    const packStarts = [0];
    let T = 0;
    for (; pack < packs && (T === 0 || T + capacity <= shardTokens); pack++) {
      const batch = batchOfPack(plan, pack, examples);
      tokens.push(batch.tokens);
      targets.push(batch.targets);
      masks.push(Uint8Array.from(batch.lossWeight));
      positions.push(batch.positions);
      for (const border of batch.cuSeqlens.subarray(1)) borders.push(T + border);
      packStarts.push(borders.length - 1);
      const n = batch.tokens.length;
      T += n;
      index.fill_histogram[Math.min(9, Math.floor((10 * n) / capacity))]!++;
      for (const weight of batch.lossWeight) index.loss_tokens += weight;
    }
    const file = `packs-${String(index.shards.length).padStart(5, "0")}.safetensors`;
    const ints = (name: string, data: Int32Array) => ({
      name,
      dtype: "I32" as const,
      shape: [data.length],
      data: () => data,
    });
    const i32 = (n: number) => new Int32Array(n);
    writeSafetensors(
      join(out, `${file}.tmp`),
      [
        ints("tokens", concat(tokens, i32)),
        ints("targets", concat(targets, i32)),
        ints("positions", concat(positions, i32)),
        ints("cu_seqlens", Int32Array.from(borders)),
        ints("pack_starts", Int32Array.from(packStarts)),
        {
          name: "loss_mask",
          dtype: "U8",
          shape: [T],
          data: () => concat(masks, (n) => new Uint8Array(n)),
        },
      ],
      { tokenizer_hash: tokenizerHash, method, capacity: String(capacity) },
    );
    renameSync(join(out, `${file}.tmp`), join(out, file));
    index.shards.push({ file, packs: pack - first, tokens: T });
    index.tokens += T;
    onShard?.({ packs: pack, of: packs, tokens: index.tokens });
  }
  atomicWriteFile(join(out, "index.json"), JSON.stringify(index, null, 1));
  return index;
}
