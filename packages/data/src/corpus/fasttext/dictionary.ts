// Upstream fastText's dictionary over raw UTF-8 bytes: words first, labels after, counts, ids by exact spelling.
import { appendNgrams, hashBytes } from "./hash.ts";

export const LABEL_PREFIX = "__label__";
const EOS = new TextEncoder().encode("</s>");
const LABEL = new TextEncoder().encode(LABEL_PREFIX);
export const EOS_HASH = hashBytes(EOS, 0, EOS.length);

/** Upstream's separators: space, \n, \r, \t, \v, \f, NUL. */
export function isSeparator(byte: number): boolean {
  return byte <= 32 && (byte === 32 || (byte >= 9 && byte <= 13) || byte === 0);
}

/** Rows and labels of one line. Buffers grow and are reused; `rows[0, count)` are input-matrix rows. */
export class LineRows {
  rows = new Int32Array(4096);
  count = 0;
  hashes = new Int32Array(1024);
  labels: number[] = [];
  /** Tokens seen, end of sentence and labels included; upstream's learning rate counts these. */
  tokens = 0;
}

export class Dictionary {
  private arena = new Uint8Array(1 << 16);
  private used = 0;
  private starts: number[] = [];
  private hashes: number[] = [];
  counts: number[] = [];
  private labelFlags: boolean[] = [];
  private slots = new Int32Array(1 << 12).fill(-1);
  nwords = 0;
  nlabels = 0;
  ntokens = 0;
  /** Id of `</s>`, −1 when absent. */
  eosId = -1;

  get size(): number {
    return this.starts.length;
  }

  /** Id of the bytes, −1 when unknown. */
  find(bytes: Uint8Array, start: number, end: number, hash: number): number {
    const mask = this.slots.length - 1;
    const length = end - start;
    for (let s = hash & mask; ; s = (s + 1) & mask) {
      const id = this.slots[s]!;
      if (id < 0) return -1;
      if (this.hashes[id] !== hash) continue;
      const from = this.starts[id]!;
      const to = id + 1 < this.starts.length ? this.starts[id + 1]! : this.used;
      if (to - from !== length) continue;
      let k = 0;
      while (k < length && this.arena[from + k] === bytes[start + k]) k++;
      if (k === length) return id;
    }
  }

  private insert(bytes: Uint8Array, start: number, end: number, hash: number): number {
    const length = end - start;
    if (this.used + length > this.arena.length) {
      const bigger = new Uint8Array(Math.max(this.arena.length * 2, this.used + length));
      bigger.set(this.arena.subarray(0, this.used));
      this.arena = bigger;
    }
    const id = this.starts.length;
    this.starts.push(this.used);
    this.arena.set(bytes.subarray(start, end), this.used);
    this.used += length;
    this.hashes.push(hash);
    this.counts.push(0);
    this.labelFlags.push(isLabel(bytes, start, end));
    if (this.starts.length * 2 > this.slots.length) this.rehash(this.slots.length * 2);
    else this.place(id);
    return id;
  }

  private place(id: number): void {
    const mask = this.slots.length - 1;
    let s = this.hashes[id]! & mask;
    while (this.slots[s]! >= 0) s = (s + 1) & mask;
    this.slots[s] = id;
  }

  private rehash(capacity: number): void {
    this.slots = new Int32Array(capacity).fill(-1);
    for (let id = 0; id < this.starts.length; id++) this.place(id);
  }

  private add(bytes: Uint8Array, start: number, end: number, hash: number): void {
    let id = this.find(bytes, start, end, hash);
    if (id < 0) id = this.insert(bytes, start, end, hash);
    this.counts[id]!++;
    this.ntokens++;
  }

  /** Counts one line (without its newline) and its `</s>`. */
  addLine(bytes: Uint8Array, start: number, end: number): void {
    forEachToken(bytes, start, end, (from, to, hash) => this.add(bytes, from, to, hash));
    this.add(EOS, 0, EOS.length, EOS_HASH);
  }

  word(id: number): string {
    return new TextDecoder().decode(this.bytesOf(id));
  }

  bytesOf(id: number): Uint8Array {
    return this.arena.subarray(this.starts[id]!, id + 1 < this.size ? this.starts[id + 1]! : this.used);
  }

  isLabel(id: number): boolean {
    return this.labelFlags[id]!;
  }

  label(index: number): string {
    return this.word(this.nwords + index);
  }

  /** Drops rare words, then orders words before labels and frequent before rare (ties by first sight). */
  threshold(minCount: number): void {
    const ids = [...this.starts.keys()].filter((id) => this.labelFlags[id] || this.counts[id]! >= minCount);
    ids.sort(
      (a, b) =>
        Number(this.labelFlags[a]) - Number(this.labelFlags[b]) || this.counts[b]! - this.counts[a]! || a - b,
    );
    const old = { arena: this.arena, starts: this.starts, used: this.used, counts: this.counts };
    const oldHashes = this.hashes;
    const total = this.ntokens;
    this.reset();
    for (const id of ids) {
      const end = id + 1 < old.starts.length ? old.starts[id + 1]! : old.used;
      this.counts[this.insert(old.arena, old.starts[id]!, end, oldHashes[id]!)] = old.counts[id]!;
    }
    this.finish(total);
  }

  private reset(): void {
    this.arena = new Uint8Array(1 << 16);
    this.used = 0;
    this.starts = [];
    this.hashes = [];
    this.counts = [];
    this.labelFlags = [];
    this.slots = new Int32Array(1 << 12).fill(-1);
  }

  private finish(ntokens: number): void {
    this.nlabels = this.labelFlags.filter(Boolean).length;
    this.nwords = this.size - this.nlabels;
    this.ntokens = ntokens;
    this.eosId = this.find(EOS, 0, EOS.length, EOS_HASH);
  }

  /** Rebuilds a stored dictionary; entries in id order. */
  static of(entries: Iterable<{ word: Uint8Array; count: number }>, ntokens: number): Dictionary {
    const d = new Dictionary();
    for (const { word, count } of entries) {
      d.counts[d.insert(word, 0, word.length, hashBytes(word, 0, word.length))] = count;
    }
    d.finish(ntokens);
    return d;
  }

  /**
   * Upstream's `getLine`: in-vocabulary words, `</s>`, then the buckets of all word n-grams (unknown words take
   * part in n-grams). bytes[start, end) is one line without its newline.
   */
  lineRows(
    bytes: Uint8Array,
    start: number,
    end: number,
    wordNgrams: number,
    bucket: number,
    out: LineRows,
  ): void {
    const longest = ((end - start) >> 1) + 2;
    if (out.hashes.length < longest) out.hashes = new Int32Array(longest * 2);
    if (out.rows.length < longest * wordNgrams) out.rows = new Int32Array(longest * wordNgrams * 2);
    const { rows, hashes } = out;
    let n = 0;
    let words = 0;
    out.tokens = 1;
    out.labels.length = 0;
    let i = start;
    while (i < end) {
      while (i < end && isSeparator(bytes[i]!)) i++;
      if (i >= end) break;
      const from = i;
      let h = 2166136261 | 0;
      for (; i < end; i++) {
        const b = bytes[i]!;
        if (b <= 32 && isSeparator(b)) break;
        h = Math.imul(h ^ ((b << 24) >> 24), 16777619);
      }
      out.tokens++;
      const id = this.find(bytes, from, i, h);
      if (id >= 0 ? id >= this.nwords : isLabel(bytes, from, i)) {
        if (id >= 0) out.labels.push(id - this.nwords);
        continue;
      }
      if (id >= 0) rows[n++] = id;
      hashes[words++] = h;
    }
    if (this.eosId >= 0) rows[n++] = this.eosId;
    hashes[words++] = EOS_HASH;
    if (wordNgrams > 1 && bucket > 0)
      n = appendNgrams(hashes, words, wordNgrams, bucket, this.nwords, rows, n);
    out.count = n;
  }
}

function isLabel(bytes: Uint8Array, start: number, end: number): boolean {
  if (end - start < LABEL.length) return false;
  for (let k = 0; k < LABEL.length; k++) if (bytes[start + k] !== LABEL[k]) return false;
  return true;
}

function forEachToken(
  bytes: Uint8Array,
  start: number,
  end: number,
  visit: (from: number, to: number, hash: number) => void,
): void {
  let i = start;
  while (i < end) {
    while (i < end && isSeparator(bytes[i]!)) i++;
    if (i >= end) return;
    const from = i;
    while (i < end && !isSeparator(bytes[i]!)) i++;
    visit(from, i, hashBytes(bytes, from, i));
  }
}
