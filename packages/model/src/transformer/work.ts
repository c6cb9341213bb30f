// What training on packed documents costs, by their lengths: a document of 70 tokens attends to 70, whatever the context.
import type { Batch } from "@nsa/core";
import type { ModelConfig } from "../config/schema.ts";
import type { ParameterGroup } from "../parameters/groups.ts";
import { type TrainFlops, trainFlops } from "./counts.ts";

/** Sums over the documents of batches. */
export class TrainWork {
  /** Floating-point operations, forward and backward. */
  flops = 0;
  private read = 0;
  private visible = 0;
  private readonly known = new Map<number, TrainFlops>();

  constructor(
    private readonly config: ModelConfig,
    private readonly groups?: readonly ParameterGroup[],
  ) {}

  /** Share of the visible keys that an attention layer reads. */
  get readShare(): number {
    return this.read / this.visible;
  }

  /** Returns the FLOPs of this batch. */
  add({ cuSeqlens }: Pick<Batch, "cuSeqlens">): number {
    let flops = 0;
    for (let i = 0; i + 1 < cuSeqlens.length; i++) {
      const length = cuSeqlens[i + 1]! - cuSeqlens[i]!;
      if (length === 0) continue;
      const cost = this.known.get(length) ?? trainFlops(this.config, length, this.groups);
      this.known.set(length, cost);
      const visible = (length * (length + 1)) / 2;
      flops += length * cost.actual;
      this.read += cost.readShare * visible;
      this.visible += visible;
    }
    this.flops += flops;
    return flops;
  }
}
