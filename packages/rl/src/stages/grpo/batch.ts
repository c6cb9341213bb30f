// Sampled outputs as micro-batches: prompt and output in one document, targets and weights on the output alone.
import { type Batch, type PackItem, packBatch, type StepBatch } from "@nsa/core";

export interface PolicySample {
  prompt: ArrayLike<number>;
  /** Sampled ids. */
  ids: readonly number[];
  /** Weight of each token, see aggregation. */
  weight: number;
  /** Advantage of each token. */
  advantage: Float32Array;
  /** log π_old and, with a reference, log π_ref of each token. */
  oldLogp?: ArrayLike<number>;
  refLogp?: ArrayLike<number>;
  /** V of the state in which each token was sampled, and the return that it should have been. */
  oldValue?: ArrayLike<number>;
  returns?: ArrayLike<number>;
  /** What the sampler said. */
  samplerLogp: readonly number[];
  /** Ids that each token was drawn among, itself first; log-probabilities are then over them alone. */
  kept?: readonly (readonly number[])[];
  id: number;
}

/** One micro-batch of the given samples. `logp[t]` of position t belongs to output token t − |prompt| + 1. */
export function policyBatch(samples: readonly PolicySample[]): Batch {
  return packBatch(samples.map(policyItem));
}

function policyItem({ prompt, ids, ...s }: PolicySample): PackItem {
  const first = prompt.length;
  const all = new Int32Array(first + ids.length);
  all.set(Array.from(prompt));
  all.set(ids, first);
  return {
    ids: all,
    sampleId: s.id,
    weight: s.weight,
    isTarget: (index) => index >= first,
    columns: {
      advantage: (index) => s.advantage[index - first]!,
      old_logp: (index) => s.oldLogp?.[index - first] ?? 0,
      ref_logp: (index) => s.refLogp?.[index - first] ?? 0,
      sampler_logp: (index) => s.samplerLogp[index - first]!,
      ...(s.returns && {
        old_value: (index: number) => s.oldValue![index - first]!,
        return: (index: number) => s.returns![index - first]!,
      }),
    },
  };
}

/** Splits samples, in order, into groups whose tokens fit the budget. */
export function splitByTokens<T extends { prompt: ArrayLike<number>; ids: readonly number[] }>(
  samples: readonly T[],
  budget: number,
): T[][] {
  const groups: T[][] = [];
  let room = 0;
  for (const s of samples) {
    const need = s.prompt.length + s.ids.length - 1;
    if (need > room || groups.length === 0) {
      groups.push([]);
      room = budget;
    }
    groups.at(-1)!.push(s);
    room -= need;
  }
  return groups;
}

/** All samples of an update; `weightSum` is what the weighted token losses are divided by. */
export function policyStep(samples: readonly PolicySample[], budget: number, weightSum: number): StepBatch {
  return {
    microBatches: splitByTokens(samples, budget).map(policyBatch),
    weightSum: Math.max(weightSum, 1e-30),
  };
}

/** Per-token values of a micro-batch back to its samples' output tokens. */
export function outputsOf(batch: Batch, values: ArrayLike<number>): number[][] {
  const out: number[][] = [];
  for (let n = 0; n + 1 < batch.cuSeqlens.length; n++) {
    const row: number[] = [];
    for (let t = batch.cuSeqlens[n]!; t < batch.cuSeqlens[n + 1]!; t++)
      if (batch.targets[t]! >= 0) row.push(values[t]!);
    out.push(row);
  }
  return out;
}
