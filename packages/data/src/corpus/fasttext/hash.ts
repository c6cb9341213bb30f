// Upstream fastText's hashes: FNV-1a over signed bytes for words, a 64-bit polynomial for word n-grams.

const FNV_OFFSET = 2166136261 | 0;
const FNV_PRIME = 16777619;
const NGRAM_MULTIPLIER = 116049371;

/** 32-bit FNV-1a of bytes[start, end); bytes are sign-extended as upstream's `int8_t` cast does. Signed result. */
export function hashBytes(bytes: Uint8Array, start: number, end: number): number {
  let h = FNV_OFFSET;
  for (let i = start; i < end; i++) h = Math.imul(h ^ ((bytes[i]! << 24) >> 24), FNV_PRIME);
  return h;
}

/**
 * Appends the bucket of every 2..n-gram over hashes[0, count) to rows, starting at rows[at]; returns the new end.
 * h ← h · 116049371 + next over 64 bits, bucket = h mod `bucket`, row = base + bucket.
 * Words are 32-bit halves; every product stays below 2^53.
 */
export function appendNgrams(
  hashes: Int32Array,
  count: number,
  n: number,
  bucket: number,
  base: number,
  rows: Int32Array,
  at: number,
): number {
  const inverse = 1 / bucket;
  const wrap = 4294967296 % bucket;
  for (let i = 0; i < count; i++) {
    const first = hashes[i]!;
    let lo = first >>> 0;
    let hi = (first >> 31) >>> 0;
    const stop = Math.min(count, i + n);
    for (let j = i + 1; j < stop; j++) {
      const low = (lo & 0xffff) * NGRAM_MULTIPLIER;
      const mid = (lo >>> 16) * NGRAM_MULTIPLIER + Math.floor(low / 65536);
      const next = hashes[j]!;
      const sum = (mid & 0xffff) * 65536 + (low & 0xffff) + (next >>> 0);
      const carry = sum >= 4294967296 ? 1 : 0;
      lo = sum >>> 0;
      hi = (Math.imul(hi, NGRAM_MULTIPLIER) + Math.floor(mid / 65536) + (next >> 31) + carry) >>> 0;
      const x = (hi % bucket) * wrap + lo;
      let r = x - Math.floor(x * inverse) * bucket;
      if (r < 0) r += bucket;
      else if (r >= bucket) r -= bucket;
      rows[at++] = base + r;
    }
  }
  return at;
}
