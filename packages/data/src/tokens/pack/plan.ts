// Which examples share a pack: `random` (DeepSeekMath's), `bfd` (best fit decreasing, one global pass), `wrapped`.
import { NsaError, Rng } from "@nsa/core";

/**
 * `random`: examples in random order, concatenated until the next one does not fit; none is cut (DeepSeekMath §3.1).
 * `bfd`: longest first, each into the pack with the least room that holds it; none is cut.
 * `wrapped`: examples in random order, cut wherever a pack is full.
 */
export type PackMethod = "random" | "bfd" | "wrapped";

export interface PackPlan {
  method: PackMethod;
  /** Tokens of a full pack. */
  capacity: number;
  /** Pieces of all packs, in order: the example, where in it the piece starts, tokens; each [pieces]. */
  example: Uint32Array;
  from: Uint32Array;
  length: Uint32Array;
  /** First piece of each pack, [packs + 1]. */
  starts: Uint32Array;
  /** Examples left out because they are longer than a pack (never with `wrapped`). */
  tooLong: number;
  /** Share of the packs' capacity that holds tokens. */
  fill: number;
}

const ORDER_STREAM = 15;

/**
 * Plans packs of at most `capacity` tokens over examples of the given lengths; empty examples are left out.
 * Throws NsaError `pack_nothing` (exit 3) when nothing fits and `pack_capacity` (exit 2).
 */
export function planPacks(
  lengths: ArrayLike<number>,
  options: { method: PackMethod; capacity: number; seed: number },
): PackPlan {
  const { method, capacity, seed } = options;
  if (!Number.isInteger(capacity) || capacity < 1) {
    throw new NsaError({
      code: "pack_capacity",
      what: `a pack of ${capacity} tokens`,
      why: "a pack holds at least one token",
      fix: "set the length of a pack, for example 4096",
      exitCode: 2,
    });
  }
  const order = new Rng(seed, ORDER_STREAM).permutation(lengths.length, 0);
  const pieces = method === "wrapped" ? wrap(lengths, order, capacity) : whole(lengths, order, options);
  let tokens = 0;
  for (const n of pieces.length) tokens += n;
  const packs = pieces.starts.length - 1;
  if (packs === 0) {
    throw new NsaError({
      code: "pack_nothing",
      what: `none of ${lengths.length} examples can be packed`,
      why: pieces.tooLong > 0 ? `all are longer than ${capacity} tokens` : "there are no tokens",
      fix: "raise the length of a pack, or give examples",
      exitCode: 3,
    });
  }
  return { method, capacity, ...pieces, fill: tokens / (packs * capacity) };
}

type Pieces = Pick<PackPlan, "example" | "from" | "length" | "starts" | "tooLong">;

function wrap(lengths: ArrayLike<number>, order: Uint32Array, capacity: number): Pieces {
  const example: number[] = [];
  const from: number[] = [];
  const length: number[] = [];
  const starts = [0];
  let room = capacity;
  for (const e of order) {
    for (let at = 0; at < lengths[e]!; ) {
      const n = Math.min(lengths[e]! - at, room);
      example.push(e);
      from.push(at);
      length.push(n);
      at += n;
      room -= n;
      if (room === 0) {
        starts.push(example.length);
        room = capacity;
      }
    }
  }
  if (room < capacity) starts.push(example.length);
  return {
    example: Uint32Array.from(example),
    from: Uint32Array.from(from),
    length: Uint32Array.from(length),
    starts: Uint32Array.from(starts),
    tooLong: 0,
  };
}

/** Plans that never cut: each example gets a pack, then the examples are listed pack by pack. */
function whole(
  lengths: ArrayLike<number>,
  order: Uint32Array,
  { method, capacity }: { method: PackMethod; capacity: number },
): Pieces {
  const fitting = order.filter((e) => lengths[e]! > 0 && lengths[e]! <= capacity);
  let tooLong = 0;
  for (const e of order) if (lengths[e]! > capacity) tooLong++;
  const sequence = method === "bfd" ? longestFirst(lengths, fitting, capacity) : fitting;
  const packOf = new Uint32Array(sequence.length);
  const packs =
    method === "bfd"
      ? bestFit(lengths, sequence, capacity, packOf)
      : nextFit(lengths, sequence, capacity, packOf);
  const starts = new Uint32Array(packs + 1);
  for (const pack of packOf) starts[pack + 1]!++;
  for (let p = 0; p < packs; p++) starts[p + 1]! += starts[p]!;
  const next = starts.slice();
  const example = new Uint32Array(sequence.length);
  sequence.forEach((e, i) => {
    example[next[packOf[i]!]!++] = e;
  });
  const length = example.map((e) => lengths[e]!);
  return { example, from: new Uint32Array(example.length), length, starts, tooLong };
}

function nextFit(
  lengths: ArrayLike<number>,
  order: Uint32Array,
  capacity: number,
  packOf: Uint32Array,
): number {
  let packs = 0;
  let room = 0;
  order.forEach((e, i) => {
    if (lengths[e]! > room) {
      packs++;
      room = capacity;
    }
    room -= lengths[e]!;
    packOf[i] = packs - 1;
  });
  return packs;
}

/** A counting sort, longest first; equal lengths keep their random order. */
function longestFirst(lengths: ArrayLike<number>, order: Uint32Array, capacity: number): Uint32Array {
  const at = new Uint32Array(capacity + 2);
  for (const e of order) at[capacity - lengths[e]! + 1]!++;
  for (let i = 0; i <= capacity; i++) at[i + 1]! += at[i]!;
  const sorted = new Uint32Array(order.length);
  for (const e of order) sorted[at[capacity - lengths[e]!]!++] = e;
  return sorted;
}

/** Each example into the pack with the least room that holds it: a list of packs per room, a bit map over the rooms. */
function bestFit(
  lengths: ArrayLike<number>,
  order: Uint32Array,
  capacity: number,
  packOf: Uint32Array,
): number {
  const NONE = -1;
  const head = new Int32Array(capacity + 1).fill(NONE);
  const next = new Int32Array(order.length);
  const words = (capacity >> 5) + 1;
  const bits = new Uint32Array(words);
  const summary = new Uint32Array((words >> 5) + 1);
  let packs = 0;

  /** The smallest room of at least `n` that some pack has, or −1. */
  const roomFrom = (n: number): number => {
    const w = n >> 5;
    const here = bits[w]! & (-1 << (n & 31));
    if (here !== 0) return (w << 5) + lowestBit(here);
    let s = (w + 1) >> 5;
    if (s >= summary.length) return NONE;
    let group = summary[s]! & (-1 << ((w + 1) & 31));
    while (group === 0) {
      if (++s >= summary.length) return NONE;
      group = summary[s]!;
    }
    const word = (s << 5) + lowestBit(group);
    return (word << 5) + lowestBit(bits[word]!);
  };

  for (let i = 0; i < order.length; i++) {
    const n = lengths[order[i]!]!;
    let room = roomFrom(n);
    let pack: number;
    if (room === NONE) {
      pack = packs++;
      room = capacity;
    } else {
      pack = head[room]!;
      head[room] = next[pack]!;
      if (head[room] === NONE) {
        bits[room >> 5]! &= ~(1 << (room & 31));
        if (bits[room >> 5] === 0) summary[room >> 10]! &= ~(1 << ((room >> 5) & 31));
      }
    }
    packOf[i] = pack;
    const left = room - n;
    if (left === 0) continue;
    next[pack] = head[left]!;
    head[left] = pack;
    bits[left >> 5]! |= 1 << (left & 31);
    summary[left >> 10]! |= 1 << ((left >> 5) & 31);
  }
  return packs;
}

const lowestBit = (word: number) => 31 - Math.clz32(word & -word);
