// Words already encoded: an open-addressing table keyed by UTF-16 units, so that a hit makes no string and no object.

const SLOT = 4;
/** Longest word kept, UTF-16 units. */
const LONGEST = 64;
const MAX_WORDS = 1 << 20;

/** Slot: [hash, start of the key, length of the key << 8 | count of ids, the id or the start of the ids]. */
export class WordCache {
  private slots = new Int32Array(SLOT << 14);
  private mask = (1 << 14) - 1;
  private words = 0;
  private keys = new Uint16Array(1 << 16);
  private keyEnd = 0;
  private ids = new Int32Array(1 << 14);
  private idEnd = 0;

  static hash(codes: Uint16Array, from: number, end: number): number {
    let h = end - from;
    for (let i = from; i < end; i++) h = Math.imul(h ^ codes[i]!, 0x01000193) + (h >>> 15);
    h ^= h >>> 16;
    h = Math.imul(h, 0x7feb352d);
    return h ^ (h >>> 15);
  }

  /** Copies the ids of the word to `out` at `at` and returns the new end; −1 when the word is not here. */
  copy(codes: Uint16Array, from: number, end: number, hash: number, out: Int32Array, at: number): number {
    const { slots, mask, keys } = this;
    const length = end - from;
    for (let s = hash & mask; ; s = (s + 1) & mask) {
      const slot = s * SLOT;
      const info = slots[slot + 2]!;
      if (info === 0) return -1;
      if (slots[slot] !== hash || info >>> 8 !== length) continue;
      let key = slots[slot + 1]!;
      let i = from;
      while (i < end && keys[key] === codes[i]) {
        i++;
        key++;
      }
      if (i < end) continue;
      const count = info & 255;
      const first = slots[slot + 3]!;
      if (count === 1) {
        out[at] = first;
        return at + 1;
      }
      for (let k = 0; k < count; k++) out[at + k] = this.ids[first + k]!;
      return at + count;
    }
  }

  /** Remembers a word that is not here yet. Long words are left out; a full table starts anew. */
  add(
    codes: Uint16Array,
    from: number,
    end: number,
    hash: number,
    ids: Int32Array,
    first: number,
    last: number,
  ): void {
    const length = end - from;
    const count = last - first;
    if (length > LONGEST || count > 255 || count === 0) return;
    if (this.words >= MAX_WORDS) this.clear();
    if (this.words * 2 > this.mask) this.grow();
    if (this.keyEnd + length > this.keys.length) this.keys = widened(this.keys);
    if (this.idEnd + count > this.ids.length) this.ids = widened(this.ids);
    const start = this.keyEnd;
    for (let i = from; i < end; i++) this.keys[this.keyEnd++] = codes[i]!;
    let value = ids[first]!;
    if (count > 1) {
      value = this.idEnd;
      for (let k = first; k < last; k++) this.ids[this.idEnd++] = ids[k]!;
    }
    this.words++;
    this.place(hash, start, (length << 8) | count, value);
  }

  private place(hash: number, start: number, info: number, value: number): void {
    const { slots, mask } = this;
    let s = hash & mask;
    while (slots[s * SLOT + 2] !== 0) s = (s + 1) & mask;
    slots[s * SLOT] = hash;
    slots[s * SLOT + 1] = start;
    slots[s * SLOT + 2] = info;
    slots[s * SLOT + 3] = value;
  }

  private grow(): void {
    const old = this.slots;
    this.mask = this.mask * 2 + 1;
    this.slots = new Int32Array((this.mask + 1) * SLOT);
    for (let i = 0; i < old.length; i += SLOT) {
      if (old[i + 2] !== 0) this.place(old[i]!, old[i + 1]!, old[i + 2]!, old[i + 3]!);
    }
  }

  clear(): void {
    this.slots.fill(0);
    this.words = 0;
    this.keyEnd = 0;
    this.idEnd = 0;
  }
}

function widened<T extends Uint16Array | Int32Array>(array: T): T {
  const wide = new (array.constructor as new (n: number) => T)(array.length * 2);
  wide.set(array);
  return wide;
}
