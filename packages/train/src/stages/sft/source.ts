// Prompt and completion examples as training steps: shuffled, concatenated to a budget, loss on completions only.
import { type Batch, packBatch } from "@nsa/core";
import { learnedIn } from "@nsa/data";
import { type ShuffledOptions, ShuffledSource } from "../../shuffled-source.ts";
import { WeightedOrder } from "../../weighted-order.ts";

export interface Example {
  /** Prompt and completion, the end-of-text id included. */
  ids: Int32Array;
  /** Tokens of the prompt; no loss on them. */
  promptLength: number;
  /** Per id whether it is learned (1), for conversations of several turns. */
  learned?: Uint8Array;
  format: string;
  prompt: string;
  /** Number of its source in the recipe. */
  source?: number;
}

/** Packs examples, each a document of its own: attention never crosses from one to the next. */
export function packExamples(examples: readonly Example[], indices: readonly number[]): Batch {
  return packBatch(
    indices.map((i) => ({ ids: examples[i]!.ids, sampleId: i, isTarget: learnedIn(examples[i]!) })),
  );
}

/** An endless, resumable source; order depends on seed and epoch alone. */
export class ExampleSource extends ShuffledSource {
  constructor(examples: readonly Example[], options: ShuffledOptions, order?: WeightedOrder) {
    const packing = {
      order,
      count: examples.length,
      positions: (i: number) => examples[i]!.ids.length - 1,
      pack: (indices: readonly number[]) => packExamples(examples, indices),
      weight: (batch: Batch) => batch.lossWeight.reduce((a, w) => a + w, 0),
    };
    super(packing, options);
  }
}

/** Sources in turn by their weights; undefined where all weigh alike. `sourceOf`: the source of each number below `count`. */
export function weightedOrder(
  weights: readonly number[],
  count: number,
  sourceOf: (index: number) => number,
  seed: number,
): WeightedOrder | undefined {
  if (weights.every((weight) => weight === 1)) return undefined;
  const sizes = weights.map(() => 0);
  for (let i = 0; i < count; i++) sizes[sourceOf(i)]!++;
  const members = sizes.map((size) => new Uint32Array(size));
  const filled = weights.map(() => 0);
  for (let i = 0; i < count; i++) {
    const source = sourceOf(i);
    members[source]![filled[source]!++] = i;
  }
  return new WeightedOrder(members, weights, seed);
}
