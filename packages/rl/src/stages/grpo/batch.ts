// Sampled outputs as micro-batches: prompt and output in one document, targets and weights on the sampled ids alone.
import { type Batch, type PackItem, packBatch, type StepBatch } from "@nsa/core";
import { type Insert, insertedCount, sampledMask, wholeIds } from "@nsa/eval";

/** An output as the update reads it. Values of tokens are [N], of its N sampled ids. */
export interface PolicySample {
  prompt: ArrayLike<number>;
  /** Sampled ids, [N]. */
  ids: readonly number[];
  /** What tools wrote between them: it is read and never learned. */
  inserts?: readonly Insert[];
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
  /** log π of the sampler, nats. */
  samplerLogp: readonly number[];
  /** Ids that each token was drawn among, itself first; log-probabilities are then over them alone. */
  kept?: readonly (readonly number[])[];
  id: number;
}

/** One micro-batch of the given samples. `logp[t]` of position t belongs to output token t − |prompt| + 1. */
export function policyBatch(samples: readonly PolicySample[]): Batch {
  return packBatch(samples.map(policyItem));
}

/** Number of each id among the sampled ones, −1 for those that a tool wrote. */
function sampledNumbers(s: PolicySample): Int32Array {
  let next = 0;
  return Int32Array.from(sampledMask(s), (own) => (own ? next++ : -1));
}

function policyItem(s: PolicySample): PackItem {
  const { prompt } = s;
  const first = prompt.length;
  const output = wholeIds(s);
  const number = sampledNumbers(s);
  const all = new Int32Array(first + output.length);
  all.set(Array.from(prompt));
  all.set(output, first);
  const of = (values: ArrayLike<number> | undefined) => (index: number) =>
    values?.[number[index - first]!] ?? 0;
  return {
    ids: all,
    sampleId: s.id,
    weight: s.weight,
    isTarget: (index) => index >= first && number[index - first]! >= 0,
    columns: {
      advantage: of(s.advantage),
      old_logp: of(s.oldLogp),
      ref_logp: of(s.refLogp),
      sampler_logp: of(s.samplerLogp),
      ...(s.returns && { old_value: of(s.oldValue), return: of(s.returns) }),
    },
  };
}

/** Splits samples, in order, into groups whose tokens fit the budget. */
export function splitByTokens<
  T extends { prompt: ArrayLike<number>; ids: readonly number[]; inserts?: readonly Insert[] },
>(samples: readonly T[], budget: number): T[][] {
  const groups: T[][] = [];
  let room = 0;
  for (const s of samples) {
    const need = s.prompt.length + s.ids.length + insertedCount(s) - 1;
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
