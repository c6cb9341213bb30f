// A tiny model and a counter-based stream of batches with a saved cursor, for the trainer's tests.
import { type Batch, Rng, type Stateful, type StepBatch } from "@nsa/core";
import { resolveModelConfig } from "../src/index.ts";

export const tinyConfig = resolveModelConfig({
  vocabSize: 17,
  dModel: 16,
  numLayers: 2,
  numHeads: 2,
  numKvHeads: 1,
  dFf: 24,
  blockSize: 8,
  stride: 4,
  selectionBlockSize: 8,
  numSelectedBlocks: 3,
  windowSize: 8,
  maxSeqLen: 64,
});

/** Documents that count upwards by a random step: a pattern a small model learns. */
export function countingBatch(seed: number, index: number, documents = 2, length = 24): Batch {
  const rng = new Rng(seed, 9);
  const T = documents * length;
  const batch: Batch = {
    tokens: new Int32Array(T),
    targets: new Int32Array(T),
    lossWeight: new Float32Array(T).fill(1),
    positions: Int32Array.from({ length: T }, (_, t) => t % length),
    cuSeqlens: Int32Array.from({ length: documents + 1 }, (_, i) => i * length),
    sampleIds: Float64Array.from({ length: documents }, (_, i) => index * documents + i),
  };
  for (let d = 0; d < documents; d++) {
    const step = 1 + rng.int(3, index, 2 * d);
    const start = rng.int(17, index, 2 * d + 1);
    for (let i = 0; i < length; i++) {
      const t = d * length + i;
      batch.tokens[t] = (start + i * step) % 17;
      batch.targets[t] = i + 1 < length ? (start + (i + 1) * step) % 17 : -1;
      if (i + 1 === length) batch.lossWeight[t] = 0;
    }
  }
  return batch;
}

export function stepOf(...microBatches: Batch[]): StepBatch {
  const weightSum = microBatches.reduce((s, b) => s + b.lossWeight.reduce((x, w) => x + w, 0), 0);
  return { microBatches, weightSum };
}

/** Yields step after step from a cursor. */
export class CountingSource implements Stateful {
  readonly name = "source";
  cursor = 0;

  next(): StepBatch {
    return stepOf(countingBatch(5, this.cursor++), countingBatch(5, this.cursor++));
  }

  save() {
    return { cursor: this.cursor };
  }

  load(state: { cursor: number }) {
    this.cursor = state.cursor;
  }
}
