// A preference as ids, and pairs as micro-batches: the two outputs of a pair are documents 2i and 2i + 1 of one micro-batch.
//
// Legend: T tokens of the micro-batch, P pairs in it.
import { type Batch, type PackItem, packBatch } from "@nsa/core";

/** An output with its end, [N]; `learned` [N] is 1 for each id that the policy writes, 0 for what a tool wrote; all are learned where it is absent. */
export interface Answer {
  ids: ArrayLike<number>;
  learned?: ArrayLike<number>;
}

export interface Pair {
  /** Where it comes from: `file:line`, or the name of a sampled question. */
  place: string;
  /** Pairs with the same text here have the same question. */
  question: string;
  prompt: ArrayLike<number>;
  chosen: Answer;
  rejected: Answer;
}

/** Ids of an output that the policy writes. */
export const learnedTokens = ({ ids, learned }: Answer): number =>
  learned ? Array.from(learned).filter((l) => l === 1).length : ids.length;

/** Positions of the longer output with its prompt. */
export const longestOf = ({ prompt, chosen, rejected }: Pair): number =>
  prompt.length + Math.max(chosen.ids.length, rejected.ids.length) - 1;

/** Positions that a pair takes in a micro-batch. */
export const positionsOf = ({ prompt, chosen, rejected }: Pair): number =>
  2 * prompt.length + chosen.ids.length + rejected.ids.length - 2;

function itemOf(prompt: ArrayLike<number>, { ids, learned }: Answer, sign: 1 | -1, weight: number): PackItem {
  const first = prompt.length;
  const all = new Int32Array(first + ids.length);
  all.set(Array.from(prompt));
  all.set(Array.from(ids), first);
  return {
    ids: all,
    weight,
    isTarget: (index) => index >= first && (learned?.[index - first] ?? 1) === 1,
    columns: { sign: () => sign, ref_logp: () => 0 },
  };
}

/**
 * One micro-batch of pairs. Column `sign` is 1 on the tokens of chosen outputs and −1 on those of rejected ones; `ref_logp` is 0 and
 * waits for the reference. Weights of a pair's tokens sum to 1.
 */
export function pairBatch(pairs: readonly Pair[]): Batch {
  return packBatch(
    pairs.flatMap(({ prompt, chosen, rejected }) => {
      const weight = 1 / (learnedTokens(chosen) + learnedTokens(rejected));
      return [itemOf(prompt, chosen, 1, weight), itemOf(prompt, rejected, -1, weight)];
    }),
  );
}

/** Splits pairs, in order, into groups whose positions fit the budget; a pair is never cut, and one too long is a group alone. */
export function splitPairs(pairs: readonly Pair[], budget: number): Pair[][] {
  const groups: Pair[][] = [];
  let room = 0;
  for (const pair of pairs) {
    const need = positionsOf(pair);
    if (need > room || groups.length === 0) {
      groups.push([]);
      room = budget;
    }
    groups.at(-1)!.push(pair);
    room -= need;
  }
  return groups;
}

/** Sums of log-probabilities of a pair's outputs, nats. */
export interface PairLogps {
  chosen: number;
  rejected: number;
}

/** Sums over the outputs of each pair of a micro-batch, [P], of values [T] that are 0 where there is no target. */
export function pairSums({ cuSeqlens }: Pick<Batch, "cuSeqlens">, values: ArrayLike<number>): PairLogps[] {
  const sum = (document: number) => {
    let total = 0;
    for (let t = cuSeqlens[document]!; t < cuSeqlens[document + 1]!; t++) total += values[t]!;
    return total;
  };
  return Array.from({ length: (cuSeqlens.length - 1) / 2 }, (_, i) => ({
    chosen: sum(2 * i),
    rejected: sum(2 * i + 1),
  }));
}
