// Packs as batches: tokens, targets, loss mask, positions and document borders; and an endless source of them.
import {
  type Batch,
  type BatchSource,
  type OrderState,
  packBatch,
  ShuffledOrder,
  type StepBatch,
} from "@nsa/core";
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

/** One pack. Every piece is a document of its own: attention and positions start again with it. */
export function batchOfPack(plan: PackPlan, pack: number, examples: ArrayLike<PackExample>): Batch {
  const first = plan.starts[pack]!;
  const pieces = plan.example.subarray(first, plan.starts[pack + 1]!);
  return packBatch(
    Array.from(pieces, (example, i) => ({
      ids: examples[example]!.ids,
      from: plan.from[first + i]!,
      length: plan.length[first + i]!,
      sampleId: example,
      isTarget: learnedIn(examples[example]!),
    })),
  );
}

/** Whether an id of the example carries loss: by its mask where it has one, otherwise every id after the prompt. */
export const learnedIn =
  ({ promptLength, learned }: Pick<PackExample, "promptLength" | "learned">) =>
  (index: number) =>
    learned ? learned[index] === 1 : index >= promptLength;

const SHUFFLE_STREAM = 16;

/** Packs in an order drawn anew for each epoch; resumes to the pack. */
export class PackSource implements BatchSource {
  readonly name = "data";
  readonly prefetch = 2;
  private readonly order: ShuffledOrder;

  constructor(
    private readonly plan: PackPlan,
    private readonly examples: ArrayLike<PackExample>,
    private readonly options: { microBatches: number; seed: number },
  ) {
    this.order = new ShuffledOrder(plan.starts.length - 1, options.seed, SHUFFLE_STREAM);
  }

  save(): OrderState {
    return this.order.save();
  }

  load(state: unknown): void {
    this.order.load(state);
  }

  next(): StepBatch {
    const microBatches = Array.from({ length: this.options.microBatches }, () =>
      batchOfPack(this.plan, this.order.take(), this.examples),
    );
    const weightSum = microBatches.reduce((n, b) => n + b.lossWeight.reduce((a, w) => a + w, 0), 0);
    return { microBatches, weightSum };
  }

  async *[Symbol.asyncIterator](): AsyncIterator<StepBatch> {
    for (;;) yield this.next();
  }
}
