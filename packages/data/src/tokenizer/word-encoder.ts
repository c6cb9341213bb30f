// Ids of words: cache, whole-word vocabulary entries, merges. The inner loop of the tokenizer.
import { type MergeTable, mergeIds } from "./merges.ts";
import { unitsOf } from "./pretokenize.ts";
import type { Splitter } from "./split.ts";
import { WordCache } from "./word-cache.ts";

/** Texts up to this many UTF-16 units share their buffers with the next. */
const SHARED = 1 << 20;

export interface WordVocabulary {
  /** Id of each byte, [256]. */
  bytes: Int32Array;
  merges: MergeTable;
  /** Texts that become one token without merging (`ignore_merges`). */
  whole?: ReadonlyMap<string, number>;
}

export class WordEncoder {
  private readonly cache = new WordCache();
  private codes = new Uint16Array(0);
  private ends = new Int32Array(0);
  private bytes = new Uint8Array(256);

  constructor(
    private readonly split: Splitter,
    private readonly vocabulary: WordVocabulary,
  ) {}

  /** Writes the ids of the text at `at` in `out`, which has room for three a unit of UTF-16; returns the new end. */
  encode(text: string, out: Int32Array, at: number): number {
    const n = text.length;
    const codes = unitsOf(text, this.codes);
    const ends = this.ends.length >= n ? this.ends : new Int32Array(n * 2);
    if (codes.length <= SHARED) this.codes = codes;
    if (ends.length <= SHARED) this.ends = ends;
    const words = this.split(text, codes, n, ends);
    const { cache } = this;
    const { whole } = this.vocabulary;
    let from = 0;
    for (let w = 0; w < words; w++) {
      const end = ends[w]!;
      const hash = WordCache.hash(codes, from, end);
      const next = cache.copy(codes, from, end, hash, out, at);
      if (next >= 0) at = next;
      else {
        const first = at;
        const id = whole?.get(text.slice(from, end));
        if (id === undefined) at = this.merge(codes, from, end, out, at);
        else out[at++] = id;
        cache.add(codes, from, end, hash, out, first, at);
      }
      from = end;
    }
    return at;
  }

  /** Ids of a word that the cache does not hold. */
  private merge(codes: Uint16Array, from: number, end: number, out: Int32Array, at: number): number {
    const { bytes: ids, merges } = this.vocabulary;
    if (this.bytes.length < (end - from) * 3) this.bytes = new Uint8Array((end - from) * 6);
    const utf8 = this.bytes;
    const n = toUtf8(codes, from, end, utf8);
    const word = out.subarray(at, at + n);
    for (let i = 0; i < n; i++) word[i] = ids[utf8[i]!]!;
    return at + mergeIds(merges, word, n);
  }
}

/** UTF-8 of UTF-16 units; a lone surrogate becomes U+FFFD. Returns the number of bytes. */
function toUtf8(codes: Uint16Array, from: number, end: number, out: Uint8Array): number {
  let n = 0;
  for (let i = from; i < end; i++) {
    let c = codes[i]!;
    if (c < 0x80) {
      out[n++] = c;
      continue;
    }
    if (c < 0x800) {
      out[n++] = 0xc0 | (c >> 6);
      out[n++] = 0x80 | (c & 63);
      continue;
    }
    if ((c & 0xf800) === 0xd800) {
      const low = i + 1 < end ? codes[i + 1]! : 0;
      if (c < 0xdc00 && (low & 0xfc00) === 0xdc00) {
        c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
        out[n++] = 0xf0 | (c >> 18);
        out[n++] = 0x80 | ((c >> 12) & 63);
        out[n++] = 0x80 | ((c >> 6) & 63);
        out[n++] = 0x80 | (c & 63);
        i++;
        continue;
      }
      c = 0xfffd;
    }
    out[n++] = 0xe0 | (c >> 12);
    out[n++] = 0x80 | ((c >> 6) & 63);
    out[n++] = 0x80 | (c & 63);
  }
  return n;
}
