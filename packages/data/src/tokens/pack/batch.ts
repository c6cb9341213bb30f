// Packs as batches: tokens, targets, loss mask, positions and document borders; and an endless source of them.
import { type Batch, type BatchSource, Rng, type StepBatch } from "@nsa/core";
import type { PackPlan } from "./plan.ts";

export interface PackExample {
  /** Prompt and completion with the end-of-text id; an example of n + 1 ids gives n positions. */
  ids: ArrayLike<number>;
  /** Tokens of the prompt; they carry no loss. */
  promptLength: number;
  /** Per id whether it is learned (1); where given, it counts and `promptLength` does not. */
  learned?: ArrayLike<number>;
}

/** Positions that an example fills: the length to give to `planPacks`. */
export const positionsOf = (example: PackExample) => Math.max(0, example.ids.length - 1);

/** One pack. Every piece is a document of its own: attention and positions start anew with it. */
export function packBatch(plan: PackPlan, pack: number, examples: ArrayLike<PackExample>): Batch {
  const [first, last] = [plan.starts[pack]!, plan.starts[pack + 1]!];
  let T = 0;
  for (let p = first; p < last; p++) T += plan.length[p]!;
  const batch: Batch = {
    tokens: new Int32Array(T),
    targets: new Int32Array(T).fill(-1),
    lossWeight: new Float32Array(T),
    positions: new Int32Array(T),
    cuSeqlens: new Int32Array(last - first + 1),
    sampleIds: Float64Array.from(plan.example.subarray(first, last)),
  };
  let t = 0;
  for (let p = first; p < last; p++) {
    const { ids, promptLength, learned } = examples[plan.example[p]!]!;
    const from = plan.from[p]!;
    for (let j = 0; j < plan.length[p]!; j++, t++) {
      batch.tokens[t] = ids[from + j]!;
      batch.positions[t] = j;
      const target = from + j + 1;
      if (learned ? learned[target] !== 1 : target < promptLength) continue;
      batch.targets[t] = ids[target]!;
      batch.lossWeight[t] = 1;
    }
    batch.cuSeqlens[p - first + 1] = t;
  }
  return batch;
}

const SHUFFLE_STREAM = 16;

/** Packs in an order drawn anew for each epoch; resumes to the pack. */
export class PackSource implements BatchSource {
  readonly name = "data";
  readonly prefetch = 2;
  private cursor = { epoch: 0, index: 0 };
  private order: Uint32Array;
  private readonly rng: Rng;

  constructor(
    private readonly plan: PackPlan,
    private readonly examples: ArrayLike<PackExample>,
    private readonly options: { microBatches: number; seed: number },
  ) {
    this.rng = new Rng(options.seed, SHUFFLE_STREAM);
    this.order = this.rng.permutation(this.packs, 0);
  }

  private get packs(): number {
    return this.plan.starts.length - 1;
  }

  save() {
    return { ...this.cursor };
  }

  load(state: unknown): void {
    this.cursor = { ...(state as typeof this.cursor) };
    this.order = this.rng.permutation(this.packs, this.cursor.epoch);
  }

  next(): StepBatch {
    const microBatches = Array.from({ length: this.options.microBatches }, () => {
      const batch = packBatch(this.plan, this.order[this.cursor.index++]!, this.examples);
      if (this.cursor.index === this.packs) {
        this.cursor = { epoch: this.cursor.epoch + 1, index: 0 };
        this.order = this.rng.permutation(this.packs, this.cursor.epoch);
      }
      return batch;
    });
    const weightSum = microBatches.reduce((n, b) => n + b.lossWeight.reduce((a, w) => a + w, 0), 0);
    return { microBatches, weightSum };
  }

  async *[Symbol.asyncIterator](): AsyncIterator<StepBatch> {
    for (;;) yield this.next();
  }
}
