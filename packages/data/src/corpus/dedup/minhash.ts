// MinHash signatures: native where built, and a TypeScript twin with the same bits. The probability that a value of
// two signatures agrees is the Jaccard similarity of the documents' shingle sets.
import { hasNative, nativeAddon } from "../../native.ts";

export interface MinhashOptions {
  /** Words in a shingle. */
  shingleWords: number;
  /** Values in a signature: bands × rows. */
  hashes: number;
  seed: number;
}

/** Finaliser of MurmurHash3 over 32 bits. */
export function finalise(value: number): number {
  let x = value ^ (value >>> 16);
  x = Math.imul(x, 0x85ebca6b);
  x ^= x >>> 13;
  x = Math.imul(x, 0xc2b2ae35);
  return (x ^ (x >>> 16)) >>> 0;
}

/** Hashes of the shingles of one normalised document's bytes. */
function shinglesOf(text: Uint8Array, shingleWords: number): Uint32Array {
  const words: number[] = [];
  for (let i = 0; i < text.length; i++) {
    let h = 2166136261 | 0;
    const from = i;
    for (; i < text.length && text[i] !== 32; i++) h = Math.imul(h ^ text[i]!, 16777619);
    if (i > from) words.push(h);
  }
  const width = Math.min(words.length, shingleWords);
  const shingles = new Uint32Array(words.length === 0 ? 0 : words.length - width + 1);
  for (let i = 0; i < shingles.length; i++) {
    let h = 0;
    for (let j = 0; j < width; j++) h = (Math.imul(h ^ words[i + j]!, 0x9e3779b1) + 0x7f4a7c15) | 0;
    shingles[i] = finalise(h);
  }
  return shingles;
}

/** The twin: signatures [documents × hashes] of newline-ended normalised documents. */
export function minhashTypescript(lines: Uint8Array, options: MinhashOptions): Uint32Array {
  const { hashes, seed, shingleWords } = options;
  let documents = 0;
  for (let i = lines.indexOf(10); i >= 0; i = lines.indexOf(10, i + 1)) documents++;
  const out = new Uint32Array(documents * hashes).fill(0xffffffff);
  const a = Uint32Array.from(
    { length: hashes },
    (_, k) => finalise((seed + Math.imul(2 * k, 0x9e3779b1)) | 0) | 1,
  );
  const c = Uint32Array.from({ length: hashes }, (_, k) =>
    finalise((seed + Math.imul(2 * k + 1, 0x9e3779b1)) | 0),
  );
  for (let d = 0, from = 0; d < documents; d++) {
    const end = lines.indexOf(10, from);
    for (const x of shinglesOf(lines.subarray(from, end), shingleWords)) {
      for (let k = 0; k < hashes; k++) {
        let h = Math.imul(x ^ c[k]!, a[k]!);
        h = (h ^ (h >>> 16)) >>> 0;
        if (h < out[d * hashes + k]!) out[d * hashes + k] = h;
      }
    }
    from = end + 1;
  }
  return out;
}

/** Signatures [documents × hashes] of newline-ended lines of words, as `wordLines` gives them. */
export function minhashSignatures(lines: Uint8Array, options: MinhashOptions): Uint32Array {
  return hasNative() ? nativeAddon().minhash(lines, options) : minhashTypescript(lines, options);
}

/** Share of equal values: the estimate of the Jaccard similarity. */
export function similarity(a: Uint32Array, b: Uint32Array): number {
  let equal = 0;
  for (let k = 0; k < a.length; k++) if (a[k] === b[k]) equal++;
  return equal / a.length;
}

/** Hash of rows [band · rows, (band + 1) · rows) of a signature. */
export function bandHash(signatures: Uint32Array, start: number, rows: number): number {
  let h = 0x811c9dc5 | 0;
  for (let r = 0; r < rows; r++) h = Math.imul(h ^ signatures[start + r]!, 0x9e3779b1) + 0x7f4a7c15;
  return finalise(h | 0);
}
