// Prompt and completion examples as training steps: shuffled, concatenated to a budget, loss on completions only.
import { type Batch, type BatchSource, packBatch, Rng, type StepBatch } from "@nsa/core";
import { learnedIn } from "@nsa/data";

export interface Example {
  /** Prompt and completion, the end-of-text id included. */
  ids: Int32Array;
  /** Tokens of the prompt; no loss on them. */
  promptLength: number;
  /** Per id whether it is learned (1), for conversations of several turns. */
  learned?: Uint8Array;
  format: string;
  prompt: string;
}

/** Packs examples, each a document of its own: attention never crosses from one to the next. */
export function packExamples(examples: readonly Example[], indices: readonly number[]): Batch {
  return packBatch(
    indices.map((i) => ({ ids: examples[i]!.ids, sampleId: i, isTarget: learnedIn(examples[i]!) })),
  );
}

const SHUFFLE_STREAM = 13;

/** An endless, resumable source; order depends on seed and epoch alone. */
export class ExampleSource implements BatchSource {
  readonly name = "data";
  readonly prefetch = 2;
  private cursor = { epoch: 0, index: 0 };
  private order: Uint32Array;
  private readonly rng: Rng;

  constructor(
    private readonly examples: readonly Example[],
    private readonly options: { microBatchTokens: number; microBatches: number; seed: number },
  ) {
    this.rng = new Rng(options.seed, SHUFFLE_STREAM);
    this.order = this.rng.permutation(examples.length, 0);
  }

  save() {
    return { ...this.cursor };
  }

  load(state: unknown): void {
    this.cursor = { ...(state as typeof this.cursor) };
    this.order = this.rng.permutation(this.examples.length, this.cursor.epoch);
  }

  next(): StepBatch {
    const microBatches = Array.from({ length: this.options.microBatches }, () => this.pack());
    const weightSum = microBatches.reduce((n, b) => n + b.lossWeight.reduce((a, w) => a + w, 0), 0);
    return { microBatches, weightSum };
  }

  async *[Symbol.asyncIterator](): AsyncIterator<StepBatch> {
    for (;;) yield this.next();
  }

  private pack(): Batch {
    const chosen: number[] = [];
    let room = this.options.microBatchTokens;
    for (;;) {
      const i = this.order[this.cursor.index]!;
      const length = this.examples[i]!.ids.length - 1;
      if (chosen.length > 0 && length > room) break;
      chosen.push(i);
      room -= length;
      this.cursor.index++;
      if (this.cursor.index < this.order.length) continue;
      this.cursor = { epoch: this.cursor.epoch + 1, index: 0 };
      this.order = this.rng.permutation(this.examples.length, this.cursor.epoch);
    }
    return packExamples(this.examples, chosen);
  }
}
