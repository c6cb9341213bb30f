// The merge loop of BPE over ids: a flat table of pairs, a scan for short words, a heap for long ones.

/** Longest word, in bytes, that the plain scan takes; it is O(n²). */
const SCAN_LIMIT = 40;
const NONE = 0x7fffffff;
const SLOT = 4;

function hashPair(a: number, b: number): number {
  const h = Math.imul(a, 0x9e3779b1) ^ Math.imul(b, 0x85ebca6b);
  return h ^ (h >>> 15);
}

/** Ranks and results of pairs of ids. */
export class MergeTable {
  private readonly slots: Int32Array;
  private readonly mask: number;

  constructor(pairs: number) {
    let capacity = 16;
    while (capacity < pairs * 2) capacity *= 2;
    this.mask = capacity - 1;
    this.slots = new Int32Array(capacity * SLOT).fill(-1);
  }

  /** A pair given twice keeps its last rank. */
  set(a: number, b: number, rank: number, id: number): void {
    const { slots, mask } = this;
    let s = hashPair(a, b) & mask;
    while (slots[s * SLOT] !== -1 && (slots[s * SLOT] !== a || slots[s * SLOT + 1] !== b)) s = (s + 1) & mask;
    slots[s * SLOT] = a;
    slots[s * SLOT + 1] = b;
    slots[s * SLOT + 2] = rank;
    slots[s * SLOT + 3] = id;
  }

  /** Index of the pair's slot, or −1. */
  find(a: number, b: number): number {
    const { slots, mask } = this;
    for (let s = hashPair(a, b) & mask; ; s = (s + 1) & mask) {
      const key = slots[s * SLOT]!;
      if (key === a && slots[s * SLOT + 1] === b) return s;
      if (key === -1) return -1;
    }
  }

  rank(a: number, b: number): number {
    const s = this.find(a, b);
    return s < 0 ? NONE : this.slots[s * SLOT + 2]!;
  }

  id(a: number, b: number): number {
    return this.slots[this.find(a, b) * SLOT + 3]!;
  }
}

const ranks = new Int32Array(SCAN_LIMIT);

/**
 * Merges ids[0 … n) in place, lowest rank first, leftmost among equals, and returns the new length.
 */
export function mergeIds(table: MergeTable, ids: Int32Array, n: number): number {
  if (n > SCAN_LIMIT) return mergeLong(table, ids, n);
  for (let i = 0; i + 1 < n; i++) ranks[i] = table.rank(ids[i]!, ids[i + 1]!);
  while (n > 1) {
    let best = NONE;
    let at = 0;
    for (let i = 0; i + 1 < n; i++) {
      if (ranks[i]! < best) {
        best = ranks[i]!;
        at = i;
      }
    }
    if (best === NONE) break;
    ids[at] = table.id(ids[at]!, ids[at + 1]!);
    n--;
    for (let i = at + 1; i < n; i++) {
      ids[i] = ids[i + 1]!;
      ranks[i] = ranks[i + 1]!;
    }
    if (at + 1 < n) ranks[at] = table.rank(ids[at]!, ids[at + 1]!);
    if (at > 0) ranks[at - 1] = table.rank(ids[at - 1]!, ids[at]!);
  }
  return n;
}

/** The same over a linked list and a binary heap of (rank, position), O(n log n). */
function mergeLong(table: MergeTable, ids: Int32Array, n: number): number {
  const next = Int32Array.from({ length: n }, (_, i) => (i + 1 < n ? i + 1 : -1));
  const previous = Int32Array.from({ length: n }, (_, i) => i - 1);
  const current = new Int32Array(n).fill(NONE);
  const heap: number[] = [];
  const push = (i: number) => {
    const rank = next[i] === -1 ? NONE : table.rank(ids[i]!, ids[next[i]!]!);
    current[i] = rank;
    if (rank === NONE) return;
    // One number orders by rank, then by position: both stay below 2^26.
    const key = rank * 2 ** 26 + i;
    let at = heap.push(key) - 1;
    while (at > 0 && heap[(at - 1) >> 1]! > key) {
      heap[at] = heap[(at - 1) >> 1]!;
      at = (at - 1) >> 1;
    }
    heap[at] = key;
  };
  const pop = (): number => {
    const top = heap[0]!;
    const last = heap.pop()!;
    if (heap.length > 0) {
      let at = 0;
      for (;;) {
        let child = 2 * at + 1;
        if (child >= heap.length) break;
        if (child + 1 < heap.length && heap[child + 1]! < heap[child]!) child++;
        if (heap[child]! >= last) break;
        heap[at] = heap[child]!;
        at = child;
      }
      heap[at] = last;
    }
    return top;
  };
  for (let i = 0; i < n; i++) push(i);
  while (heap.length > 0) {
    const key = pop();
    const i = key % 2 ** 26;
    if (Math.floor(key / 2 ** 26) !== current[i]) continue;
    const j = next[i]!;
    ids[i] = table.id(ids[i]!, ids[j]!);
    current[j] = NONE;
    next[i] = next[j]!;
    if (next[i] !== -1) previous[next[i]!] = i;
    push(i);
    if (previous[i] !== -1) push(previous[i]!);
  }
  let length = 0;
  for (let i = 0; i !== -1; i = next[i]!) ids[length++] = ids[i]!;
  return length;
}
