// How much neighbouring queries agree on their blocks: what a kernel saves that loads a block once for a tile of queries.
import type { Batch } from "@nsa/core";
import { type NsaInputs, nsaAttention, Tape } from "@nsa/kernels";
import { type Attend, nsaConfigOf, type Transformer } from "@nsa/model";

export interface Overlap {
  /** Queries of a tile. */
  tile: number;
  /** Blocks that all queries of a tile read, as a share of what one reads; forced blocks included. */
  common: number;
  /** Blocks that any query of a tile reads, over the sum of what each reads: 1/tile when all agree, 1 when none do. */
  union: number;
  /** The same two without the blocks that the tile's queries are forced to read. */
  chosenCommon: number;
  chosenUnion: number;
}

/**
 * Over all layers, KV heads and tiles of `tile` neighbouring queries inside one document whose queries have more blocks
 * behind them than they may read (elsewhere there is nothing to choose).
 */
export function selectionOverlap(model: Transformer, batch: Batch, tile: number): Overlap {
  const { device } = model;
  using _ = device.scope();
  const uploaded = model.upload(batch);
  const sums = { each: 0, common: 0, union: 0, free: 0, freeCommon: 0, freeUnion: 0 };
  const attend: Attend = (layer, inputs, tape) => {
    if (layer.attention.name !== "nsa") return layer.attend(tape, inputs, uploaded.docs);
    const c = nsaConfigOf(layer.config);
    const { o, selected } = nsaAttention(tape, inputs as NsaInputs, uploaded.docs, c);
    const blocks = selected.read();
    const [G, N] = [c.kvHeads, c.numSelectedBlocks];
    const [first, local] = [c.numInitialBlocks ?? 1, c.numLocalBlocks ?? 2];
    for (let doc = 0; doc + 1 < batch.cuSeqlens.length; doc++) {
      const [from, to] = [batch.cuSeqlens[doc]!, batch.cuSeqlens[doc + 1]!];
      const choice = N * c.selectionBlockSize;
      for (let t = from + Math.ceil(choice / tile) * tile; t + tile <= to; t += tile) {
        for (let g = 0; g < G; g++) {
          const readers = new Map<number, number>();
          for (let q = t; q < t + tile; q++) {
            for (let i = 0; i < N; i++) {
              const block = blocks[(q * G + g) * N + i]!;
              if (block >= 0) readers.set(block, (readers.get(block) ?? 0) + 1);
            }
          }
          const last = Math.floor((t + tile - 1 - from) / c.selectionBlockSize);
          const lowest = Math.floor((t - from) / c.selectionBlockSize) - local + 1;
          for (const [block, n] of readers) {
            const all = n === tile ? 1 : 0;
            sums.each += n;
            sums.common += all;
            sums.union++;
            if (block < first || (block >= lowest && block <= last)) continue;
            sums.free += n;
            sums.freeCommon += all;
            sums.freeUnion++;
          }
        }
      }
    }
    return o;
  };
  model.forward(new Tape(false), uploaded, { attend });
  return {
    tile,
    common: (sums.common * tile) / sums.each,
    union: sums.union / sums.each,
    chosenCommon: (sums.freeCommon * tile) / sums.free,
    chosenUnion: sums.freeUnion / sums.free,
  };
}
