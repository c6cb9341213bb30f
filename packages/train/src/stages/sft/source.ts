// Prompt and completion examples as training steps: shuffled, concatenated to a budget, loss on completions only.
import { type Batch, packBatch } from "@nsa/core";
import { learnedIn } from "@nsa/data";
import { type ShuffledOptions, ShuffledSource } from "../../shuffled-source.ts";

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

/** An endless, resumable source; order depends on seed and epoch alone. */
export class ExampleSource extends ShuffledSource {
  constructor(examples: readonly Example[], options: ShuffledOptions) {
    const packing = {
      count: examples.length,
      positions: (i: number) => examples[i]!.ids.length - 1,
      pack: (indices: readonly number[]) => packExamples(examples, indices),
      weight: (batch: Batch) => batch.lossWeight.reduce((a, w) => a + w, 0),
    };
    super(packing, options);
  }
}
