// Sampled outputs as micro-batches: prompt and output in one document, targets and weights on the output alone.
import type { Batch, StepBatch } from "@nsa/core";

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
  /** What the sampler said. */
  samplerLogp: readonly number[];
  id: number;
}

/** One micro-batch of the given samples. `logp[t]` of position t belongs to output token t − |prompt| + 1. */
export function policyBatch(samples: readonly PolicySample[]): Batch {
  const total = samples.reduce((a, s) => a + s.prompt.length + s.ids.length - 1, 0);
  const column = () => new Float32Array(total);
  const columns = { advantage: column(), old_logp: column(), ref_logp: column(), sampler_logp: column() };
  const batch: Batch = {
    tokens: new Int32Array(total),
    targets: new Int32Array(total).fill(-1),
    lossWeight: new Float32Array(total),
    positions: new Int32Array(total),
    cuSeqlens: new Int32Array(samples.length + 1),
    sampleIds: Float64Array.from(samples, (s) => s.id),
    columns,
  };
  let at = 0;
  samples.forEach((s, n) => {
    const P = s.prompt.length;
    for (let j = 0; j < P + s.ids.length - 1; j++) {
      const t = at + j;
      batch.tokens[t] = j < P ? s.prompt[j]! : s.ids[j - P]!;
      batch.positions[t] = j;
      const k = j - P + 1;
      if (k < 0) continue;
      batch.targets[t] = s.ids[k]!;
      batch.lossWeight[t] = s.weight;
      columns.advantage[t] = s.advantage[k]!;
      columns.old_logp[t] = s.oldLogp?.[k] ?? 0;
      columns.ref_logp[t] = s.refLogp?.[k] ?? 0;
      columns.sampler_logp[t] = s.samplerLogp[k]!;
    }
    at += P + s.ids.length - 1;
    batch.cuSeqlens[n + 1] = at;
  });
  return batch;
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
